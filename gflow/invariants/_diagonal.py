"""Conserved quantities of the flows of diagonal linear networks.

L depth · κ rate of v in the polar flow w = r v · G(r) the log stretch: κr²/2, for the
exponential kind κ log r · U = v e^G, or w itself where nothing is normalized · Z an
orthonormal basis of ker A.

With shared layers w and U obey w' = -c h wᴸ⁻¹ with h = Aᵀ(A x - y) and a scalar c > 0
common to all coordinates, h with the other sign on the negative half. Hence

    φ(U)' = -c h and +c h,    φ(U) = log |U| (L = 2),  U²⁻ᴸ (else, up to a factor)   (1)

so Zᵀφ is conserved, and φ(U_u) + φ(U_v) for each coordinate if both halves share c.
With a vector a layer, (w_k²)' = -2 h x for every layer k; normalized, (r_k²)' is the
same for every layer, and so is (U_k²)' up to e^(2G) of the first layer.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._types import Params
from ..models import DiagonalNet, WeightNormalized
from ._invariant import Invariant

Model = DiagonalNet | WeightNormalized

_REFERENCE = "Chou, Rauhut, Ward 2023 (arXiv 2305.05448)"


def diagonal_invariants(
    model: Model, A: ArrayLike | None = None, w0: Params | None = None
) -> dict[str, Invariant]:
    """What gradient flow conserves on a diagonal linear network, plain or normalized.

    | name | what | where |
    |---|---|---|
    | norm | ‖V‖ of each group | normalized |
    | layers | w_k² - w_1², normalized (v_k² - v_1²) e^(2G) | layerwise |
    | radii | r_k² - r_1², exponential log r_k - log r_1 | layerwise, normalized |
    | range | Zᵀ log U (L = 2), Zᵀ U²⁻ᴸ (else) | shared layers |
    | pair | u v of U (L = 2), u²⁻ᴸ + v²⁻ᴸ of U (else) | signed, shared, one norm |

    Under one norm of both halves and L = 2, pair is u v exp(κr²)/r² in the plain
    weights. With separate norms there is no pair, and range holds of each half,
    "range_u" and "range_v". Layerwise standard normalization needs one ‖V‖ for all.
    Holds for the square loss, or any other loss of A x, at the model's own rates.

    **Arguments:**

    - `A`: (M, N), for "range", which is left out without it or where ker A is 0.
    - `w0`: where the flow starts. It only sets a constant factor, e^(-G) at w0, that
        keeps the numbers in floating-point range where κr² is beyond some hundreds.

    **Returns:** name -> invariant. Changing A, κ or w0 does not compile anew.

    **References:** Chou, Rauhut, Ward 2023 (arXiv 2305.05448).

    ```python
    >>> from gflow.invariants import diagonal_invariants
    >>> from gflow.models import DiagonalNet
    >>> net = DiagonalNet(2, signed=True)
    >>> laws = diagonal_invariants(net)
    >>> print(laws["pair"](net.init(0.5, 2.0)), laws["pair"].formula)
    [1. 1.] u v

    ```
    """
    net = _net(model)
    laws: dict[str, Invariant] = {}
    start = None
    if isinstance(model, WeightNormalized):
        laws["norm"] = _law("‖V‖", eqx.Partial(_norms, model))
        start = None if w0 is None else model.log_stretch(w0)
    if net.layerwise:
        return laws | _layer_laws(model, start)
    joint = isinstance(model, DiagonalNet) or not model.separate
    if net.signed and joint:
        laws["pair"] = _law(_pair_formula(model), eqx.Partial(_pair, model, start))
    if A is None:
        return laws
    kernel = _kernel(np.asarray(A, dtype=float))
    if kernel.shape[0] == 0:
        return laws
    if net.signed and not joint:
        laws["range_u"] = _range_law(model, start, ("u",), kernel)
        laws["range_v"] = _range_law(model, start, ("v",), kernel)
    else:
        halves = ("u", "v") if net.signed else ("u",)
        laws["range"] = _range_law(model, start, halves, kernel)
    return laws


def _law(
    formula: str, value: eqx.Partial, scale: eqx.Partial | None = None
) -> Invariant:
    # What the functions need are leaves of a `Partial`, not variables of a closure:
    # with other data they are the same program.
    return Invariant(value, formula=formula, scale=scale, reference=_REFERENCE)


def _layer_laws(model: Model, start: Any) -> dict[str, Invariant]:
    value = eqx.Partial(_layers, model, start)
    scale = eqx.Partial(_layer_squares, model, start)
    if isinstance(model, DiagonalNet):
        return {"layers": _law("w_k^2 - w_1^2", value, scale)}
    exponential = model.kind == "exponential"
    gain = "r_1^(2 kappa)" if exponential else "exp(kappa r_1^2)"
    radii = _law(
        "log r_k - log r_1" if exponential else "r_k^2 - r_1^2",
        eqx.Partial(_radii, model),
        eqx.Partial(_radial_charge, model),
    )
    return {"layers": _law(f"(v_k^2 - v_1^2) {gain}", value, scale), "radii": radii}


def _range_law(
    model: Model, start: Any, halves: tuple[str, ...], kernel: np.ndarray
) -> Invariant:
    terms = " - ".join(_charge_formula(model, half) for half in halves)
    return _law(
        f"Z^T ({terms})",
        eqx.Partial(_range, model, start, halves, jnp.asarray(kernel)),
        eqx.Partial(_charges, model, start, halves),
    )


def _pair_formula(model: Model) -> str:
    if _net(model).depth != 2:
        return " + ".join(_charge_formula(model, half) for half in ("u", "v"))
    if isinstance(model, DiagonalNet):
        return "u v"
    exponential = model.kind == "exponential"
    return "u v r^(2 kappa - 2)" if exponential else "u v exp(kappa r^2) / r^2"


def _charge_formula(model: Model, half: str) -> str:
    depth = _net(model).depth
    name = half if isinstance(model, DiagonalNet) else f"U_{half}"
    return f"log {name}" if depth == 2 else f"{name}^({2 - depth})"


def _net(model: Model) -> DiagonalNet:
    return model if isinstance(model, DiagonalNet) else model.net


def _kernel(A: np.ndarray) -> np.ndarray:
    """Rows that are an orthonormal basis of ker A."""
    _, values, right = np.linalg.svd(A, full_matrices=True)
    rank = int(np.sum(values > values[0] * max(A.shape) * np.finfo(A.dtype).eps))
    return right[rank:]


def _norms(model: WeightNormalized, w: Params) -> Array:
    return _flat(model.norm(w["direction"]))


def _flat(tree: Any) -> Array:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _stretched(model: Model, start: Any, w: Params) -> tuple[Params, Params]:
    """Directions v and G less its value at the start; if plain, w and 0."""
    if isinstance(model, DiagonalNet):
        return w, jax.tree.map(jnp.zeros_like, w)
    gain = model.log_stretch(w)
    if start is not None:
        gain = jax.tree.map(jnp.subtract, gain, start)
    return model.unit(w), model.spread(gain)


def _exp(exponent: Array) -> Array:
    # Beyond e^600 the terms of a law cancel to below round-off of each: it cannot be
    # seen any more, but the drift relative to its terms can still be reported.
    return jnp.exp(jnp.minimum(exponent, 600.0))


def _charge(model: Model, start: Any, w: Params) -> Params:
    """The halves φ(U) of (1)."""
    direction, gain = _stretched(model, start, w)
    power = 2 - _net(model).depth
    if power == 0:
        return jax.tree.map(lambda d, g: jnp.log(jnp.abs(d)) + g, direction, gain)
    return jax.tree.map(lambda d, g: d**power * _exp(power * g), direction, gain)


def _pair(model: Model, start: Any, w: Params) -> Array:
    if _net(model).depth == 2:
        # The product and not its logarithm, so that a weight may be zero.
        direction, gain = _stretched(model, start, w)
        return direction["u"] * direction["v"] * _exp(gain["u"] + gain["v"])
    charge = _charge(model, start, w)
    return charge["u"] + charge["v"]


def _range(
    model: Model, start: Any, halves: tuple[str, ...], kernel: Array, w: Params
) -> Array:
    charge = _charge(model, start, w)
    first, *second = (charge[half] for half in halves)
    return kernel @ (first - second[0] if second else first)


def _charges(model: Model, start: Any, halves: tuple[str, ...], w: Params) -> Array:
    charge = _charge(model, start, w)
    return _flat([charge[half] for half in halves])


def _squares(model: Model, start: Any, w: Params) -> Params:
    """Squares of each layer, times e^(2G) of the first layer if normalized."""
    direction, gain = _stretched(model, start, w)
    return jax.tree.map(lambda d, g: d**2 * _exp(2 * g[:1]), direction, gain)


def _layers(model: Model, start: Any, w: Params) -> Array:
    squares = _squares(model, start, w)
    return jnp.stack([s[1:] - s[:1] for s in jax.tree.leaves(squares)])


def _layer_squares(model: Model, start: Any, w: Params) -> Array:
    return _flat(_squares(model, start, w))


def _radial_charge(model: WeightNormalized, w: Params) -> Array:
    """What changes alike in every layer, groups by layers."""
    charge = jnp.log if model.kind == "exponential" else jnp.square
    return jnp.stack([charge(r) for r in jax.tree.leaves(model.radius(w))])


def _radii(model: WeightNormalized, w: Params) -> Array:
    charge = _radial_charge(model, w)
    return charge[:, 1:] - charge[:, :1]
