"""The dimension of a Lie algebra of smooth vector fields, by singular values.

z the state · X_c the field Σ_i c_i χ_i; of a flow with inertia, c_0 times its drift and
the force Σ_i c_i χ_i.

[X, Y] = DY X - DX Y takes two Jacobian-vector products. Brackets of depth k,
[X_1, [X_2, ... X_k]] of random c_1 ... c_k, span all brackets of depth k with
probability 1. If those of depth k + 1 do not raise the rank at a generic point, no
deeper ones do: the span of depth <= k is closed under brackets with generators.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..trajectory import stage_line
from ._drive import Drive, Flat

_Field = Callable[[Flat, Float[Array, " m"]], Flat]

# Singular values below this share of the largest are round-off of float64, of which
# each depth loses about a digit.
_THRESHOLD = 1e-8

# Brackets shorter than this share of what they are the difference of are round-off.
_CANCELED = 1e-9

# The rank is lower at special points: of a model with kinks, wherever the inputs tell
# less of a unit than elsewhere.
_NUM_POINTS = 8

# Brackets that are drawn beyond one for each dimension.
_SPARE = 10

_MAX_DEPTH = 10


@dataclasses.dataclass(frozen=True)
class SmoothRank:
    """The dimension of the algebra at a point, and what it was judged by.

    `gap`: the least singular value that counts over the largest that does not, inf if
    none does not; `depth`: that of the brackets which were needed.
    """

    rank: int
    gap: float
    depth: int


def smooth_ranks(drive: Drive, key: Array) -> list[SmoothRank]:
    """The rank of all brackets at each of several random states.

    **Raises:** `RuntimeError` if brackets of depth 10 still raise the rank.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    state_keys = jax.random.split(key, _NUM_POINTS)
    states, outputs = jax.jit(jax.vmap(lambda k: _state(drive, k)))(state_keys)
    if not np.all(np.isfinite(outputs)):
        raise ValueError("phi is not finite near `like`")
    rows = [np.zeros((0, drive.state_size))] * len(states)
    ranks = [SmoothRank(0, np.inf, 0)] * len(states)
    with stage_line("count") as line:
        for depth in range(1, _MAX_DEPTH + 1):
            line.set_postfix_str(f"brackets of depth {depth}")
            brackets = _brackets(drive, depth, rng)
            rows = [
                np.concatenate([old, brackets(state)])
                for old, state in zip(rows, states, strict=True)
            ]
            before, ranks = ranks, [_rank(at_point, depth) for at_point in rows]
            pairs = list(zip(before, ranks, strict=True))
            if all(new.rank in (old.rank, drive.state_size) for old, new in pairs):
                return [old if new.rank == old.rank else new for old, new in pairs]
    raise RuntimeError(f"brackets of depth {_MAX_DEPTH} still raise the rank")


def _state(drive: Drive, key: Array) -> tuple[Flat, Float[Array, " m"]]:
    """A random z, and φ there."""
    w_key, v_key = jax.random.split(key)
    w = drive.draw(w_key)
    if drive.inertia is None:
        return w, drive.outputs(w)
    # At t = 2: the damping of Nesterov's flow is singular at 0.
    v = jax.random.normal(v_key, w.shape)
    return jnp.concatenate([w, v, jnp.full(1, 2.0)]), drive.outputs(w)


def _brackets(
    drive: Drive, depth: int, rng: np.random.Generator
) -> Callable[[Flat], np.ndarray]:
    """z -> random brackets of a depth at z, a unit vector each; those that vanish not.

    More of them than dimensions, so that they span what such brackets can.
    """
    field, num_fields = _field(drive), drive.num_outputs + (drive.inertia is not None)
    shape = (drive.state_size + _SPARE, depth, num_fields)
    draws = rng.standard_normal(shape)

    def one(z: Flat, cs: Float[Array, "k m"]) -> tuple[Flat, Array]:
        norms = jax.vmap(lambda c: jnp.linalg.norm(field(z, c)))(cs)
        return _left_normed(field, z, cs), jnp.prod(norms)

    compiled = jax.jit(jax.vmap(one, (None, 0)))

    def at(state: Flat) -> np.ndarray:
        values, products = map(np.asarray, compiled(state, draws))
        if not np.all(np.isfinite(values)):
            raise ValueError("phi or its derivatives are not finite near `like`")
        uncanceled = products / np.linalg.norm(state) ** (depth - 1)
        lengths = np.linalg.norm(values, axis=1)
        real = lengths > _CANCELED * uncanceled
        return values[real] / lengths[real, None]

    return at


def _left_normed(field: _Field, z: Flat, cs: Float[Array, "k m"]) -> Flat:
    """[X_1, [X_2, ... X_k]] at z."""
    if len(cs) == 1:
        return field(z, cs[0])
    x, y = field(z, cs[0]), _left_normed(field, z, cs[1:])
    along_x = jax.jvp(lambda at: _left_normed(field, at, cs[1:]), (z,), (x,))[1]
    along_y = jax.jvp(lambda at: field(at, cs[0]), (z,), (y,))[1]
    return along_x - along_y


def _field(drive: Drive) -> _Field:
    inertia, n = drive.inertia, drive.size
    if inertia is None:
        return drive.push

    def field(z: Flat, c: Float[Array, " m"]) -> Flat:
        w, v, t = z[:n], z[n:-1], z[-1:]
        drift = (v, -inertia.damping / (t if inertia.falls else 1) * v, jnp.ones(1))
        force = (jnp.zeros(n), drive.push(w, c[1:]), jnp.zeros(1))
        return jnp.concatenate(
            [c[0] * d + f for d, f in zip(drift, force, strict=True)]
        )

    return field


def _rank(rows: np.ndarray, depth: int) -> SmoothRank:
    values = np.linalg.svd(rows, compute_uv=False)
    rank = int(np.sum(values > _THRESHOLD * np.max(values, initial=0.0)))
    rest = values[rank] if rank < len(values) else 0.0
    return SmoothRank(rank, float(values[rank - 1] / rest) if rest else np.inf, depth)
