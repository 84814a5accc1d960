"""The spectral radius of a field's Jacobian, kept along a run."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _trees as trees
from ._counting import Work

# y -> dy/dt at a fixed time.
Field = Callable[[Any], Any]

# The power method stops when two estimates agree to this, and after so many products:
# from a slope, which holds many modes, and from the vector of the last estimate.
_AGREEMENT, _COLD_PRODUCTS, _WARM_PRODUCTS = 0.01, 30, 8
# A part of the slope, in which a mode that has begun to grow shows first, is mixed into
# the second vector.
_MIXED = 0.1
# Accepted steps between estimates: the least, and the most. In between the interval
# doubles when the radius moved by less than _CALM, and halves beyond _MOVING.
_LEAST, _MOST = 3, 25
_CALM, _MOVING = 0.03, 0.15
# A step below this share of the last accepted one was most likely rejected before.
_CUT = 0.85


class SpectralState(eqx.Module):
    """The last estimate of the spectral radius ρ, and how long to trust it."""

    rho: Float[Array, ""]
    # Where the power method ended, and the same in what is orthogonal to that: the mode
    # that may overtake. Unit vectors.
    vector: Any
    second: Any
    # Accepted steps since the estimate, and to the next.
    age: Int[Array, ""]
    interval: Int[Array, ""]
    # The last accepted step.
    h: Float[Array, ""]


class _Power(eqx.Module):
    """The power method on the way: its two vectors and the radius."""

    first: Any
    second: Any
    rho: Float[Array, ""]
    # Whether the first has converged, so that the next product goes to the second.
    settled: Bool[Array, ""]
    done: Bool[Array, ""]


def begin(slope: Any) -> SpectralState:
    """Nothing known yet: the first step is to estimate."""
    zero = jnp.zeros((), jnp.int32)
    real = jnp.zeros((), trees.dtype(slope))
    return SpectralState(real, slope, slope, zero, zero, real)


def advance(state: SpectralState, h: Any) -> SpectralState:
    """The state after a step of length h, if it is accepted."""
    return eqx.tree_at(lambda s: (s.age, s.h), state, (state.age + 1, h))


def refresh(
    field: Field, y: Any, slope: Any, state: SpectralState, h: Any, *, exact: bool
) -> tuple[SpectralState, Work]:
    """The spectral radius at y, estimated anew if it is time to.

    It is time when `interval` steps have been accepted since the last estimate, and
    when h is much below the last accepted step: then the step was most likely tried
    before and rejected, and ρ may be why. (What a rejected step found is lost: diffrax
    discards the solver's state.)

    The method is the nonlinear power method with Jacobian-vector products by
    differences of the field or by automatic differentiation. Once it has settled, one
    product goes to a second vector, orthogonal to the first: if that grows more, the
    two change places, and the method goes on. A lone vector would stay with its mode
    long after another has overtaken it. Leaves that the field does not read
    (quadratures) are left out: their columns of J are zero.

    **Arguments:**

    - `slope`: field(y).
    - `exact`: products by `jax.jvp` instead of differences.

    **Cost:** none if it is not time; about 2 products from the last vectors, and up to
    30 the first time.

    **References:** Sommeijer, Shampine and Verwer (1998), section 2.2.
    """
    due = _is_due(state, h)
    most = jnp.where(state.interval == 0, _COLD_PRODUCTS, _WARM_PRODUCTS)
    read, product = _read_leaves(field, y), _product(field, y, slope, exact)
    zero, false = jnp.zeros((), jnp.int32), jnp.asarray(False)
    power = _Power(*_start(state, y, slope, read), state.rho, false, false)
    power, count = _iterated(
        power, lambda v: _only(product(v), read), jnp.where(due, most, 0)
    )
    first, second, rho = power.first, power.second, power.rho
    new = SpectralState(rho, first, second, zero, _interval(state, rho), state.h)
    state = trees.where(due, new, state)
    return state, Work(zero, count) if exact else Work(count, zero)


def _is_due(state: SpectralState, h: Any) -> Any:
    """Whether it is time for an estimate, before a step of length h."""
    return (state.age >= state.interval) | (jnp.abs(h) < _CUT * jnp.abs(state.h))


def _iterated(
    power: _Power, product: Callable[[Any], Any], most: Any
) -> tuple[_Power, Any]:
    """The power method to its end, or for so many products; and their number."""

    def going(carry: Any) -> Any:
        power, count = carry
        return ~power.done & (count < most)

    def body(carry: Any) -> Any:
        power, count = carry
        return _power_step(power, product), count + 1

    return jax.lax.while_loop(going, body, (power, jnp.zeros((), jnp.int32)))


def _power_step(power: _Power, product: Callable[[Any], Any]) -> _Power:
    """The vectors after one product."""
    first, second, rho, settled = power.first, power.second, power.rho, power.settled
    image = product(trees.where(settled, second, first))
    image = _axpy(1, image, jnp.where(settled, -trees.inner(first, image), 0), first)
    image, new = _unit(image)
    sound = jnp.isfinite(new) & (new > 0)
    overtaken = settled & sound & (new > rho)
    # The image replaces the vector that it is the image of; then they may swap.
    first, second = (
        trees.where(settled & ~overtaken | ~sound, first, image),
        trees.where(overtaken, first, trees.where(settled & sound, image, second)),
    )
    agrees = ~sound | (jnp.abs(new - rho) <= _AGREEMENT * new)
    rho = jnp.where(sound & (overtaken | ~settled), new, rho)
    return _Power(first, second, rho, ~settled & agrees, settled & ~overtaken)


def _start(
    state: SpectralState, y: Any, slope: Any, read: list[bool]
) -> tuple[Any, Any]:
    """The two vectors to begin with: of the last estimate, or from the slope."""
    cold = state.interval == 0
    unit, length = _unit(_only(slope, read))
    # At a point of rest the slope says nothing; any vector without symmetries will do.
    some, _ = _unit(_only(_pseudo_random(y), read))
    first = trees.where(cold, trees.where(length > 0, unit, some), state.vector)
    second = trees.where(cold, some, _axpy(1, state.second, _MIXED, unit))
    second = _axpy(1, second, -trees.inner(first, second), first)
    return first, _unit(second)[0]


def _interval(state: SpectralState, rho: Any) -> Any:
    moved = jnp.abs(rho - state.rho)
    calm, moving = moved <= _CALM * rho, moved > _MOVING * rho
    factor = jnp.where(calm, 4, jnp.where(moving, 1, 2))
    return jnp.clip(factor * state.interval // 2, _LEAST, _MOST)


def _product(field: Field, y: Any, slope: Any, exact: bool) -> Callable[[Any], Any]:
    """v -> J(y) v for unit vectors v."""
    if exact:
        return lambda v: jax.jvp(field, (y,), (v,))[1]
    # The best forward difference has an increment of √eps times the scale on which
    # the field is curved; that is not known, and |y| stands in for it.
    eps = jnp.finfo(trees.dtype(y)).eps
    length = trees.norm(y)
    delta = jnp.sqrt(eps) * jnp.where(length > 0, length, 1)

    def product(v: Any) -> Any:
        moved = field(_axpy(1, y, delta, v))
        return jax.tree.map(lambda a, b: (a - b) / delta.astype(a.dtype), moved, slope)

    return product


def _read_leaves(field: Field, y: Any) -> list[bool]:
    """Which leaves of y the field reads, as far as its program shows it."""
    program = jax.make_jaxpr(field)(y).jaxpr
    read = {id(v) for equation in program.eqns for v in equation.invars}
    read |= {id(v) for v in program.outvars}
    flags = [id(v) in read for v in program.invars]
    # A field that reads nothing is constant, and any leaf is as good as another.
    return flags if any(flags) else [True] * len(flags)


def _only(v: Any, read: list[bool]) -> Any:
    leaves, structure = jax.tree.flatten(v)
    kept = [x if r else jnp.zeros_like(x) for x, r in zip(leaves, read, strict=True)]
    return jax.tree.unflatten(structure, kept)


def _axpy(a: Any, x: Any, b: Any, y: Any) -> Any:
    def leaf(x: Any, y: Any) -> Any:
        return jnp.asarray(a, x.dtype) * x + jnp.asarray(b, x.dtype) * y

    return jax.tree.map(leaf, x, y)


def _unit(v: Any) -> tuple[Any, Any]:
    """v/‖v‖ (zero for zero), and ‖v‖."""
    length = trees.norm(v)
    safe = jnp.where(length > 0, length, 1)
    return jax.tree.map(lambda x: x / safe.astype(x.dtype), v), length


def _pseudo_random(y: Any) -> Any:
    """A vector of the shape of y, the fractional parts of multiples of √2 less ½."""

    def leaf(x: Any) -> Any:
        k = jnp.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
        return jnp.mod(k * 1.41421356, 1) - 0.5

    return jax.tree.map(leaf, y)
