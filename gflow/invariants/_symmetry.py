"""From a symmetry of the loss to what its flows conserve.

ξ the generator · G the metric · b = G ξ · D the derivative · γ(t) the damping.

The loss is invariant iff ⟨∇L, ξ⟩ = 0 at every w. Then

    gradient flow  w' = -G^-1 ∇L:  if ∇h = b,  h' = ⟨b, w'⟩ = -⟨ξ, ∇L⟩ = 0,          (1)
    inertia  w'' + γ w' = -G^-1 ∇L:  (⟨b, w'⟩ e^∫γ)' = ⟨Db w', w'⟩ e^∫γ,            (2)

for constant G. So gradient flow conserves a charge iff b is a gradient, Db symmetric;
inertia iff ξ preserves the kinetic energy, Db antisymmetric (Noether).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, PyTree

from .._types import Params
from ..flows import Flow, HeavyBall, Nesterov
from ..problem import Metric, Problem
from ._charge import covector, gradient_charge, momentum_charge
from ._drive import Drive, Flat, drive
from ._generators import Generator
from ._invariant import Invariant
from ._momentum_laws import MomentumLaw, growth

# Relative size below which what should vanish has vanished, in float64.
_ZERO = 1e-9

_DRAWS = 20


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """Whether a generator leaves the loss as it is, and what flows then conserve.

    **Fields:**

    - `residual`: max |⟨∇L, ξ⟩| over ‖∇L‖ ‖ξ‖ at random w and losses f(φ).
    - `asymmetry`: of Db, max |⟨x, Db y⟩ - ⟨y, Db x⟩| over ‖Db x‖ ‖y‖ + ‖Db y‖ ‖x‖;
        `symmetry` the same with a plus: 0 for a Killing field. nan if the metric
        depends on w, of which (2) says nothing.
    - `invariant`: what gradient flow conserves, or None.
    - `generator`, `metric`: ξ on trees, and G.
    """

    residual: float
    asymmetry: float
    symmetry: float
    invariant: Invariant | None
    generator: Generator
    metric: Metric | None

    @property
    def holds(self) -> bool:
        """Whether the loss is invariant."""
        return self.residual < _ZERO

    @property
    def has_momentum_charge(self) -> bool:
        """Whether flows with inertia conserve a charge."""
        return self.holds and self.symmetry < _ZERO

    def momentum_charge(self, flow: Flow) -> MomentumLaw:
        """e^∫γ ⟨G w', ξ(w)⟩, which a flow with inertia conserves.

        e^(friction t) under `HeavyBall`, t^damping under `Nesterov`. From rest it is 0
        for ever: the velocity stays orthogonal to ξ.

        **Raises:** `ValueError` if there is none, `TypeError` for another flow.
        """
        if not isinstance(flow, HeavyBall | Nesterov):
            raise TypeError(
                "only HeavyBall and Nesterov have a momentum, not "
                f"{type(flow).__name__}; of gradient flow see `invariant`"
            )
        if not self.has_momentum_charge:
            raise ValueError(f"no charge under momentum: {self._why_no_momentum}")
        field = eqx.Partial(covector, self.metric, self.generator)
        return MomentumLaw(
            eqx.Partial(momentum_charge, flow, field),
            formula=f"{growth(flow)} <G w', xi>",
            conserved_by=(type(flow).__name__,),
            reference="Noether 1918",
        )

    @property
    def _why_no_momentum(self) -> str:
        if not self.holds:
            return "the loss is not invariant"
        if np.isnan(self.symmetry):
            return "the metric depends on w"
        return f"xi changes the kinetic energy (by {self.symmetry:.0e})"

    def __repr__(self) -> str:
        """Three lines."""
        if not self.holds:
            return f"no symmetry: <grad L, xi> is {self.residual:.0e} of its terms"
        gradient = (
            "a charge"
            if self.invariant is not None
            else f"no charge: G xi is no gradient field ({self.asymmetry:.0e} off)"
        )
        momentum = "a charge" if self.has_momentum_charge else self._why_no_momentum
        return (
            f"symmetry: <grad L, xi> is {self.residual:.0e} of its terms\n"
            f"  gradient flow: {gradient}\n"
            f"  momentum: {momentum}"
        )


def symmetry(
    phi: Problem | Callable[..., Any],
    generator: Generator | ArrayLike,
    like: Params,
    *,
    inputs: PyTree[Any] | None = None,
    rates: Metric | PyTree[float] | None = None,
    key: Array | None = None,
) -> Symmetry:
    """Check that a generator leaves the loss as it is, and make its conserved charge.

    The charge of gradient flow is h with ∇h = G ξ, by Gauss's quadrature along the ray
    from 0 (from `like`, where G ξ is not finite at 0). It exists where G ξ is a
    gradient field: of a rotation it is not, of a rescaling it is. Under inertia it is
    the other way round. Near `like`, that is: the random points are about its size and
    have its signs, and where the quadrature does not resolve the charge, as next to a
    singularity of ξ, it is nan.

    **Arguments:**

    - `phi`: a `Problem`, of whose loss and metric it is asked, or as in `count`, of
        every loss f(φ(w)).
    - `generator`: w -> tree like w; by `generator_of` from the group's action, by
        `scaling`, `translation` or `mixing`; or a matrix A, ξ = A w for the flat
        parameters.
    - `like`, `inputs`, `rates`: as in `count`.
    - `key`: of the random points, by default `jax.random.key(0)`.

    **Returns:** a `Symmetry`.

    **Raises:** `ValueError` for a generator that vanishes, is not finite, does not fit
    the parameters, moves what a rate of 0 freezes, or whose charge the quadrature does
    not resolve; for a problem with rates or data besides; for a metric that mixes
    parameters; else as `count`.

    **Cost:** some twenty gradients and derivatives of ξ; the charge 32 evaluations of
    ξ.

    **References:** Noether 1918; Głuch, Urbanke 2021 (arXiv 2104.05508); Zhao, Ganev,
    Walters, Yu, Dehmamy 2023 (arXiv 2210.17216).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import mixing, symmetry
    >>> like = {"u": jnp.ones((2, 3)), "v": jnp.ones((1, 2))}
    >>> A = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> turn = mixing(lambda w: w["u"], lambda w: w["v"], A)
    >>> print(symmetry(lambda w: w["v"] @ w["u"], turn, like).has_momentum_charge)
    True

    ```
    """
    with jax.enable_x64(True):
        key = jax.random.key(0) if key is None else key
        if isinstance(phi, Problem):
            if rates is not None or inputs is not None:
                raise ValueError(
                    "a problem has its own rates and data: give them to it, or give "
                    "the model's function instead of the problem"
                )
            driven = drive(phi.loss, like, None, phi.metric)
        else:
            driven = drive(phi, like, inputs, rates)
        _check_diagonal(driven, key)
        moves = generator if callable(generator) else _linear(generator)
        _check_structure(moves, driven.whole(jnp.asarray(driven.start)))
        field = eqx.Partial(covector, driven.metric, moves)
        keys = jax.random.split(key, _DRAWS)
        told = jax.jit(jax.vmap(eqx.Partial(_checks, driven, moves, field)))(keys)
        told = {name: np.asarray(values) for name, values in told.items()}
        _check_generator(told)
        worst = {name: float(np.max(values)) for name, values in told.items()}
        if not worst["metric"] < _ZERO:
            worst["symmetry"] = np.nan
        invariant = None
        if worst["residual"] < _ZERO and worst["asymmetry"] < _ZERO:
            invariant = gradient_charge(driven, field, keys)
    return Symmetry(
        worst["residual"],
        worst["asymmetry"],
        worst["symmetry"],
        invariant,
        moves,
        driven.metric,
    )


def _linear(matrix: ArrayLike) -> Generator:
    A = jnp.asarray(matrix)

    def generator(w: Params) -> Params:
        flat, unravel = ravel_pytree(eqx.filter(w, eqx.is_inexact_array))
        if A.shape != (flat.size, flat.size):
            raise ValueError(
                f"the matrix must have shape ({flat.size}, {flat.size}), not {A.shape}"
            )
        return unravel(A.astype(flat.dtype) @ flat)

    return generator


def _checks(driven: Drive, moves: Generator, field: Any, key: Array) -> dict[str, Any]:
    """What should vanish, at random parameters."""
    w_key, c_key, x_key, y_key = jax.random.split(key, 4)
    w = driven.draw(w_key)

    def flat(tree: Params) -> Flat:
        return ravel_pytree(eqx.filter(tree, eqx.is_inexact_array))[0]

    scales = jnp.asarray(driven.scales)  # w = s x: covectors times s, fields over s

    def flat_field(at: Flat) -> Flat:
        return scales * flat(field(driven.whole(at)))

    xi = flat(moves(driven.whole(w))) / scales
    _, pullback = jax.vjp(driven.outputs, w)
    [gradient] = pullback(jax.random.normal(c_key, (driven.num_outputs,)))
    x, y = (jax.random.normal(k, w.shape) for k in (x_key, y_key))
    along_x, along_y = (jax.jvp(flat_field, (w,), (d,))[1] for d in (x, y))
    norm = jnp.linalg.norm
    size = norm(along_x) * norm(y) + norm(along_y) * norm(x)
    # Of a constant field all are 0.
    still = size <= _ZERO * norm(flat_field(w)) * norm(x)
    size = jnp.where(still, 1, size)
    one, other = jnp.where(still, 0, y @ along_x), jnp.where(still, 0, x @ along_y)
    metric = driven.descend(w, jnp.ones_like(w))
    steepness = norm(gradient)
    return {
        "gradient": steepness,
        "residual": jnp.abs(gradient @ xi)
        / (jnp.where(steepness > 0, steepness, 1) * norm(xi)),
        "asymmetry": jnp.abs(one - other) / size,
        "symmetry": jnp.abs(one + other) / size,
        "metric": norm(metric - driven.descend(2 * w, jnp.ones_like(w))),
        "frozen": norm(jnp.where(metric > 0, 0, xi)),
        "length": norm(xi),
    }


def _check_diagonal(driven: Drive, key: Array) -> None:
    """Raise `ValueError` of a metric that mixes parameters."""
    if driven.metric is None:
        return
    x = driven.draw(key)
    c = jax.random.normal(jax.random.fold_in(key, 1), x.shape)
    apart = driven.descend(x, c) - driven.descend(x, jnp.ones_like(x)) * c
    if jnp.linalg.norm(apart) > _ZERO * jnp.linalg.norm(driven.descend(x, c)):
        raise ValueError(
            "charges are derived for rates and mirrors, a number for each parameter, "
            "not for a metric that mixes them; `discover` finds their laws"
        )


def _check_structure(moves: Generator, w: Params) -> None:
    """Raise `ValueError` unless ξ(w) has the parameters of w, in their shapes."""
    xi = eqx.filter(moves(w), eqx.is_inexact_array)
    params = eqx.filter(w, eqx.is_inexact_array)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (xi, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "the generator must be a tree like the parameters: it has leaves of shapes "
            f"{shapes[0]}, they {shapes[1]}"
        )


def _check_generator(told: dict[str, np.ndarray]) -> None:
    if not np.all(np.isfinite(told["length"])):
        raise ValueError("the generator is not finite near `like`")
    if not np.all(told["length"] > 0):
        raise ValueError("the generator vanishes near `like`: it moves nothing")
    if not np.any(told["gradient"] > 0):
        raise ValueError("phi does not change near `like`: every field is a symmetry")
    if np.any(told["frozen"] > 0):
        raise ValueError("the generator moves parameters that a rate of 0 freezes")
