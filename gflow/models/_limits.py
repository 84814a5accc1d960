"""The interpolator that the flow of a diagonal linear network converges to.

B the data's matrix, [A, -A] for a signed net, whose halves make one w ≥ 0 · L `depth`
· ν `dual` · s = Bᵀν · p = L/(L - 2).

The plain flow w' = -L h wᴸ⁻¹, h = Bᵀ(B x - y), moves log w (L = 2) or w²⁻ᴸ by elements
of range(Bᵀ). With ν the multiplier scaled to take up constants its limit x = wᴸ is

    L = 2: x = x0 eˢ        L ≥ 3: x = (w0²⁻ᴸ - s)⁻ᵖ        L = 1: x = w0 + s     (1)

and B x(s) = y is the stationarity of a convex function of ν, Σ Ψ(s) - ⟨y, ν⟩ with
Ψ' = x. The weight-normalized flow ends where the plain flow from `effective_init(r)`
does, r being the norm of that limit: one equation in one unknown.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, ArrayLike, Float

from ._diagonal import DiagonalNet, Halves, checked_data
from ._weight_normalization import WeightNormalized


class DiagonalLimit(NamedTuple):
    """Where the flow ends.

    - `x`: the interpolator, shape (N,).
    - `weights`: the plain weights u, v at the limit.
    - `radius`: their norm.
    - `w0_effective`: plain weights from which the plain flow has this limit.
    - `residual`: ‖A x - y‖/‖y‖ of the solve.
    """

    x: Float[Array, " n"]
    weights: Halves
    radius: Float[Array, ""]
    w0_effective: Halves
    residual: float


def diagonal_limit(
    model: DiagonalNet | WeightNormalized, A: ArrayLike, y: ArrayLike, w0: Any
) -> DiagonalLimit:
    """Limit of the flow from w0, if it converges to an interpolator.

    Nothing is integrated: the invariants leave M unknowns, found by Newton's method
    on a convex dual, and for weight normalization the end's norm, found by bisection.
    Holds for plain nets with shared layers at any depth, and weight-normalized ones
    of any kind with one joint norm. In the polar and standard kinds at depth 2 the
    norm is unique, as the limit minimizes a strictly convex potential; elsewhere
    bisection finds one norm that fits.

    **Arguments:** `A`: (M, N); `y`: (M,), in the range of A; `w0`: as `model.init`
    gives it, with positive weights.

    **Raises:** `ValueError` if the model is layerwise or separately normalized, a
    weight is not positive, x64 is off, or no interpolator is found: because there is
    none, or because effective weights below about e^-200 (L = 2) or e^-60 (L ≥ 3) are
    more than float64 resolves.

    **Cost:** some 30 Newton steps, each a QR factorization of N x M, and fifty times
    that with weight normalization; no gradients.

    **References:** Woodworth et al. 2020 (arXiv 2002.09277); Chou, Rauhut, Ward 2023
    (arXiv 2305.05448).

    ```python
    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import jax.numpy as jnp
    >>> from gflow.models import DiagonalNet, diagonal_limit
    >>> net, A, y = DiagonalNet(2), jnp.array([[1.0, 2.0]]), jnp.array([2.0])
    >>> print(diagonal_limit(net, A, y, net.init(1e-3)).x.round(3))
    [0.001 1.   ]

    ```
    """
    net = model.net if isinstance(model, WeightNormalized) else model
    if net.layerwise or (isinstance(model, WeightNormalized) and model.separate):
        raise ValueError("the limit is known for shared layers and one joint norm only")
    if jnp.zeros(()).dtype != jnp.float64:
        raise ValueError(
            "the limit needs float64: jax.config.update('jax_enable_x64', True)"
        )
    data, targets = checked_data(net, A, y)
    basis, coordinates = _full_rank(np.asarray(data), np.asarray(targets))
    B = jnp.hstack([basis, -basis]) if net.signed else basis
    start = model.weights(w0) if isinstance(model, WeightNormalized) else w0
    if not bool(jnp.all(_stacked(start) > 0)):
        raise ValueError("the limit needs initial weights that are positive")
    log_w0 = jnp.log(_stacked(start))
    if isinstance(model, WeightNormalized):
        if not float(model.kappa) > 0:
            raise ValueError("with kappa = 0 the direction is frozen: no limit to find")
        log_w0 = _effective_log(model, w0, B, coordinates, log_w0)
    x = _plain_limit(B, coordinates, log_w0, net.depth)
    return _limit(net, data, targets, x, log_w0)


def _limit(
    net: DiagonalNet, A: Array, y: Array, x: Array, log_w0: Array
) -> DiagonalLimit:
    weights = _halves(net, _root(x, net.depth))
    signed_x = net.effective(weights)
    residual = float(jnp.linalg.norm(A @ signed_x - y) / jnp.linalg.norm(y))
    # A dual that runs away, because no x ≥ 0 interpolates, leaves a residual of order
    # one; round-off in ill-conditioned data one of order 1e-12.
    if not residual < 1e-8:
        raise ValueError(
            f"no interpolator found, relative residual {residual:.1e}: is y in the "
            "range of A (and A x = y solvable with x >= 0, if the net is unsigned), "
            "and is kappa r^2 below some hundreds?"
        )
    return DiagonalLimit(
        x=signed_x,
        weights=weights,
        radius=jnp.linalg.norm(_stacked(weights)),
        w0_effective=_halves(net, jnp.exp(log_w0)),
        residual=residual,
    )


@eqx.filter_jit
def _plain_limit(B: Array, y: Array, log_w0: Array, depth: int) -> Array:
    """Solve (1) and B x = y for x, by damped Newton.

    The unknown kept is z = z0 ± s, and not ν: from tiny weights z0 dwarfs z wherever
    x is not small, and forming the difference anew at each step would lose x.

    The Hessian B diag(x') Bᵀ spans as many decades as x does. So each step comes from
    a QR factorization of D Bᵀ, D = diag(x')^½, with rows in order of size: Householder
    reflections then keep small rows as accurate as large ones (Cox, Higham 1998).

    The damping needs no line search. Along a step d, with δ = max |Bᵀd| relative to the
    distance to the singularity of Ψ, the curvature at τ ≤ 1 grows at most like
    (1 - τδ)^(-p-1) for L ≥ 3 and e^(τδ) for L = 2. So the slope is still negative at

        L ≥ 3: t = (1 - (1 + pδ)^(-1/p))/δ        L = 2: t = log(1 + δ)/δ        (2)

    and the convex function falls all the way. t tends to 1 with δ, and far from the
    solution a step crosses decades of x at once.
    """
    sign = 1.0 if depth <= 2 else -1.0
    # Where log dx/ds is cut off below its largest: entries of x that round-off hides
    # still have to find their place at L = 2, and at L ≥ 3 they only spoil the solve.
    floor = -460.0 if depth <= 2 else -55.0
    eps = jnp.finfo(y.dtype).eps

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        z, change, _, _, count = state
        x, log_slope = _link(z, depth)
        # In units of the largest slope, so that weights that underflow still move; and
        # floored, so that one that underflows beside others does not divide by zero.
        top = jnp.max(log_slope)
        root = jnp.exp(0.5 * jnp.maximum(log_slope - top, floor))
        order = jnp.argsort(-root)
        basis, factor = jnp.linalg.qr((root[:, None] * B.T)[order])
        rest = y - B @ x
        half = jax.scipy.linalg.solve_triangular(factor, rest, trans=1)
        ds = jnp.zeros_like(z).at[order].set(basis @ half) / root
        size = jnp.maximum(jnp.max(jnp.abs(ds / z if depth > 2 else ds)), 1e-300)
        log_size = jnp.log(size) - top
        z = z + sign * _travel(log_size, depth) * ds / size
        return z, jnp.exp(log_size), change, jnp.linalg.norm(rest), count + 1

    def unfinished(state: tuple[Array, ...]) -> Array:
        _, change, previous, rest, count = state
        # Near the solution δ is squared at every step, until round-off stops it: in δ,
        # or in the residual, which entries of x below round-off do not enter.
        accurate = (change < 1e-3) | (rest < 8 * eps * jnp.linalg.norm(y))
        stalled = accurate & (change > 0.5 * previous)
        return (count < 300) & (change > 1e-13) & ~stalled & ~jnp.isnan(change)

    inf = jnp.asarray(jnp.inf, y.dtype)
    z0 = 2 * log_w0 if depth == 2 else jnp.exp((2 - depth) * log_w0)
    state = (z0, inf, inf, inf, jnp.asarray(0))
    z = jax.lax.while_loop(unfinished, step, state)[0]
    return _link(z, depth)[0]


def _link(z: Array, depth: int) -> tuple[Array, Array]:
    """Give x and log dx/ds of (1) from z = log x (L = 2), w (L = 1), w²⁻ᴸ (L ≥ 3)."""
    if depth == 2:
        return jnp.exp(z), z
    if depth == 1:
        return z, jnp.zeros_like(z)
    p = depth / (depth - 2)
    return z**-p, jnp.log(p) - (p + 1) * jnp.log(z)


def _travel(log_size: Array, depth: int) -> Array:
    """How far (2) goes, t δ, from log δ."""
    if depth == 1:
        return jnp.exp(log_size)
    if depth == 2:
        return jnp.logaddexp(0.0, log_size)
    p = depth / (depth - 2)
    fraction = -jnp.expm1(-jnp.logaddexp(0.0, jnp.log(p) + log_size) / p)
    # z falls to a thousandth at most: closer to 0, the difference is round-off.
    return jnp.minimum(fraction, 0.999)


@eqx.filter_jit
def _effective_log(
    model: WeightNormalized, w0: Any, B: Array, y: Array, log_w0: Array
) -> Array:
    """Find log w0_eff at the self-consistent norm r of the limit.

    The gap log(norm of the limit) - log r is positive at r below the norm of every
    interpolator, and ‖w‖ᴸ ≥ ‖x‖ ≥ ‖y‖/‖B‖ bounds those from below.
    """
    depth = model.net.depth

    def effective(log_r: Array) -> Array:
        return log_w0 + model.log_contraction(w0, jnp.exp(log_r))

    def gap(log_r: Array, _: None = None) -> Array:
        x = _plain_limit(B, y, effective(log_r), depth)
        return 0.5 * jnp.log(jnp.sum(_root(x, depth) ** 2)) - log_r

    lower = jnp.log(jnp.linalg.norm(y) / jnp.linalg.norm(B)) / depth
    upper = jax.lax.while_loop(
        lambda log_r: (gap(log_r) > 0) & (log_r < lower + 12),
        lambda log_r: log_r + 0.25,
        lower + 0.25,
    )
    # From above to below, so that the sign of the bracket is known.
    solver = optx.Bisection(rtol=1e-14, atol=1e-14, flip=True)
    options = {"lower": upper - 0.25, "upper": upper}
    root = optx.root_find(gap, solver, upper, options=options, throw=False)
    return effective(root.value)


def _full_rank(A: np.ndarray, y: np.ndarray) -> tuple[Array, Array]:
    """The same equations in an orthonormal basis of the range of A."""
    left, values, right = np.linalg.svd(A, full_matrices=False)
    kept = values > values[0] * max(A.shape) * np.finfo(float).eps
    return jnp.asarray(values[kept, None] * right[kept]), jnp.asarray(
        left[:, kept].T @ y
    )


def _root(x: Array, depth: int) -> Array:
    return x if depth == 1 else x ** (1 / depth)


def _stacked(halves: Halves) -> Array:
    return jnp.concatenate([halves[name] for name in sorted(halves)])


def _halves(net: DiagonalNet, w: Array) -> Halves:
    return {"u": w[: net.size], "v": w[net.size :]} if net.signed else {"u": w}
