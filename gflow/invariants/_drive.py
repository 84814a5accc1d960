"""What may push the parameters when the loss is any function of a model's outputs.

φ(w) the model's outputs or end-to-end coefficients, flat · L = f(φ(w)), f unknown ·
c = ∂f/∂φ, any vector · G the metric.

Whatever f is, -G^-1 ∇L is a combination of the fields χ_i = G^-1 ∇φ_i with coefficients
that the data choose; a law that holds for every f is one that no χ_i changes.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .. import _trees as trees
from .._types import Params
from ..flows import Flow, GradientFlow, HeavyBall, Nesterov
from ..problem import Metric, as_metric

# In a program's text, a conversion to lower precision.
_ROUNDS = re.compile(r"new_dtype=(float32|float16|bfloat16)")

# Entries of `like` below this share of the largest have no size of their own.
_TINY = 1e-6

Flat = Float[Array, " n"]


@dataclasses.dataclass(frozen=True)
class Inertia:
    """The damping of a flow with inertia, and whether it is that number over t."""

    damping: float
    falls: bool


@dataclasses.dataclass(frozen=True)
class Drive:
    """φ and G as functions of flat parameters, in float64, and the law of motion.

    The coordinates are x = w/s, with a power of two s for each parameter, its size in
    `like`: laws do not depend on coordinates, and round-off is judged against 1.

    **Fields:** `outputs`: x -> φ(w), flat; `descend`: (x, covector) -> G^-1 covector;
    `scales`: s; `start`: x of `like`; `whole`: x -> a tree of w as the user has it;
    `inertia`: None for gradient flow.
    """

    outputs: Callable[[Flat], Float[Array, " m"]]
    descend: Callable[[Flat, Flat], Flat]
    scales: np.ndarray
    start: np.ndarray
    whole: Callable[[Flat], Params]
    metric: Metric | None
    inertia: Inertia | None

    @property
    def size(self) -> int:
        """The number of parameters."""
        return len(self.scales)

    @property
    def state_size(self) -> int:
        """The number of parameters; of a flow with inertia, of (w, v, t)."""
        return self.size if self.inertia is None else 2 * self.size + 1

    @property
    def num_outputs(self) -> int:
        """The number of fields χ_i."""
        return jax.eval_shape(self.outputs, jnp.asarray(self.scales)).size

    @functools.cached_property
    def weights(self) -> Float[np.ndarray, " m"]:
        """1/‖χ_i‖ at a generic point, so that no field hides behind another."""
        with jax.ensure_compile_time_eval():  # also where a program is being traced
            jacobian = jax.jit(lambda k: jax.jacrev(self.outputs)(self.draw(k)))(
                jax.random.key(0)
            )
        norms = np.linalg.norm(np.asarray(jacobian), axis=1)
        return np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 1)

    def push(self, x: Flat, c: Float[Array, " m"]) -> Flat:
        """Σ_i c_i χ_i(x), each field weighed by one over its size somewhere."""
        _, pullback = jax.vjp(self.outputs, x)
        return self.descend(x, pullback(c * jnp.asarray(self.weights))[0])

    def draw(self, key: Array) -> Flat:
        """Generic parameters of the size of `like`, and where it is not 0 its signs."""
        factor_key, zero_key = jax.random.split(key)
        drawn = jax.random.normal(zero_key, self.start.shape)
        factor = jnp.exp(0.4 * jax.random.normal(factor_key, self.start.shape))
        start = jnp.asarray(self.start)
        return jnp.where(start == 0, drawn, start * factor)

    def draw_push(self, key: Array) -> tuple[Flat, Flat]:
        """Generic parameters, and Σ c_i χ_i there for a random c."""
        x_key, c_key = jax.random.split(key)
        x = self.draw(x_key)
        return x, self.push(x, jax.random.normal(c_key, (self.num_outputs,)))


def drive(
    phi: Callable[..., Any],
    like: Params,
    inputs: PyTree[Any] | None,
    rates: Metric | PyTree[float] | None,
    flow: Flow | None = None,
) -> Drive:
    """The drive of φ(w), or of φ(w, inputs). To be called, and used, in float64.

    **Raises:** `TypeError` if φ cannot be called, `like` holds no parameter or the
    flow's fields are not known; `ValueError` if φ or the rates do not fit `like`, or φ
    rounds.
    """
    if not callable(phi):
        raise TypeError(f"phi must be a function of the parameters, not {phi!r}")
    metric = as_metric(rates)
    params, static = trees.split(like)
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
    if metric is not None:
        metric.check(params)
    flat, unravel = ravel_pytree(params)
    flat = np.asarray(flat)
    if not np.all(np.isfinite(flat)):
        raise ValueError("`like` holds a number that is not finite")
    flat = _raised(flat)
    scales = jnp.asarray(_scales(flat))

    def whole(x: Flat) -> Params:
        return eqx.combine(unravel(scales * x), static)

    def outputs(x: Flat) -> Float[Array, " m"]:
        out = phi(whole(x)) if inputs is None else phi(whole(x), inputs)
        return jnp.concatenate([_real(leaf) for leaf in jax.tree.leaves(out)])

    def descend(x: Flat, covector: Flat) -> Flat:
        covector = covector / scales  # of w; and a velocity of x is one of w over s
        if metric is not None:
            moved = metric.inverse_apply(unravel(scales * x), unravel(covector))
            covector = ravel_pytree(moved)[0]
        return covector / scales

    try:
        program = jax.make_jaxpr(outputs)(flat)
    except Exception as error:
        raise ValueError(
            "phi cannot be evaluated at `like` (wrong tree structure or shapes, or "
            f"inputs missing?): {type(error).__name__}: {trees.first_line(error)}"
        ) from error
    if _ROUNDS.search(str(program)):
        raise ValueError(
            "phi rounds to less than float64 inside, and that would be taken for a "
            "dependence on the parameters: let it keep the precision of its arguments"
        )
    inertia = None if flow is None else inertia_of(flow)
    sizes = np.asarray(scales)
    return Drive(outputs, descend, sizes, flat / sizes, whole, metric, inertia)


def _real(leaf: Any) -> Flat:
    """Flat and float64, of complex numbers both parts."""
    flat = jnp.ravel(jnp.asarray(leaf))
    parts = [flat.real, flat.imag] if jnp.iscomplexobj(flat) else [flat]
    return jnp.concatenate(parts).astype(jnp.float64)


def _raised(flat: np.ndarray) -> np.ndarray:
    """Entries next to nothing beside the largest, but not 0, as large as the others.

    In units of their own their fields would hide all others.
    """
    tiny = (flat != 0) & (np.abs(flat) < _TINY * np.max(np.abs(flat), initial=0))
    others = np.abs(flat[(flat != 0) & ~tiny])
    return np.where(tiny, np.sign(flat) * np.mean(others), flat) if any(tiny) else flat


def _scales(flat: np.ndarray) -> np.ndarray:
    """The power of two next to each entry; of zeros, to the mean of the others."""
    sizes = np.abs(flat)
    typical = np.mean(sizes[sizes > 0]) if np.any(sizes > 0) else 1.0
    return 2.0 ** np.round(np.log2(np.where(sizes > 0, sizes, typical)))


def inertia_of(flow: Flow) -> Inertia | None:
    """None for gradient flow; `TypeError` for flows that are not known."""
    if isinstance(flow, GradientFlow):
        return None
    if isinstance(flow, HeavyBall):
        return Inertia(float(flow.friction), falls=False)
    if isinstance(flow, Nesterov):
        return Inertia(float(flow.damping), falls=True)
    raise TypeError(
        "the laws of GradientFlow, HeavyBall and Nesterov are known to be counted, not "
        f"those of {type(flow).__name__}"
    )
