"""A run's solver judged anew, on the host between two stretches."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from . import _trees as trees
from ._position import Position
from ._stretch import Checkpoint, Setting, start
from .linalg import SpectralRadius, spectral_radius
from .solvers import (
    Auto,
    Evaluations,
    GuardState,
    Look,
    Probe,
    has_symmetric_derivative,
    num_evaluations,
)

# Enough to know h rho to the factor of two that a choice turns on.
_PRODUCTS, _ACCURACY = 4, 0.5
_STEPS_AHEAD = 4


def revised(setting: Setting, t1: float, position: Position) -> Position:
    """The position with the solver that `Auto` now wants."""
    checkpoint, guard = position.checkpoint, position.checkpoint.controller_state
    # Under a clock the solver's steps are in s.
    pace = 1.0 if checkpoint.stride is None else float(checkpoint.stride.pace)
    look = Look(
        t=position.t,
        t1=t1,
        h=float(guard.dt) * pace,
        num_attempts=position.num_attempts,
        num_rejected=int(guard.num_rejected),
    )
    looks = Evaluations()

    def stiffness() -> float:
        nonlocal looks
        found = _spectral_radius(setting, checkpoint)
        looks += Evaluations(1, int(found.products))
        return float(guard.dt) * float(found.lower)

    def roughness() -> float:
        nonlocal looks
        looks += Evaluations(2, 1)
        return float(_roughness(setting, checkpoint))

    probe = Probe(stiffness, roughness)
    choice = Auto().revised(
        position.choice,
        look,
        rtol=float(setting.rtol),
        implicit=setting.rtol.dtype == np.float64
        and checkpoint.stride is None
        and has_symmetric_derivative(setting.problem),
        probe=probe,
    )
    position = dataclasses.replace(
        position, choice=choice, earlier=position.earlier + looks
    )
    if choice.solver is setting.solver:
        return position
    changed = setting.using(choice)
    return dataclasses.replace(
        position,
        checkpoint=restarted(changed, checkpoint, t1),
        earlier=position.earlier + taken(setting.solver, position),
        since=_work(position),
    )


def _field(setting: Setting, checkpoint: Checkpoint) -> tuple[Any, Any]:
    """The parameters, and the velocity as a function of them alone."""
    t, state = checkpoint.t, checkpoint.state
    terms, flow = setting.flow.terms(setting.static), setting.flow

    def field(w: Any) -> Any:
        moved = eqx.tree_at(flow.params, state, w)
        return flow.params(terms.vf(t, moved, setting.problem))

    return flow.params(state), field


@eqx.filter_jit
def _spectral_radius(setting: Setting, checkpoint: Checkpoint) -> SpectralRadius:
    """That of the velocity's derivative, searched for from the velocity."""
    w, field = _field(setting, checkpoint)

    def product(direction: Any) -> Any:
        return jax.jvp(field, (w,), (direction,))[1]

    metric = setting.problem.metric
    weights = None if metric is None else metric.weights()

    def weigh(x: Any) -> Any:
        def scaled(weight: Any, subtree: Any) -> Any:
            return jax.tree.map(lambda leaf: weight.astype(leaf.dtype) * leaf, subtree)

        return jax.tree.map(scaled, weights, x)

    return spectral_radius(
        product,
        field(w),
        max_products=_PRODUCTS,
        rtol=_ACCURACY,
        weigh=None if weights is None else weigh,
    )


@eqx.filter_jit
def _roughness(setting: Setting, checkpoint: Checkpoint) -> Any:
    """How far the velocity, some steps ahead, is from where its derivative points."""
    w, field = _field(setting, checkpoint)
    velocity = field(w)
    ahead = _STEPS_AHEAD * checkpoint.controller_state.dt
    way = jax.tree.map(lambda v: ahead * v, velocity)
    there = field(jax.tree.map(jnp.add, w, way))
    turned = jax.jvp(field, (w,), (way,))[1]
    beyond = jax.tree.map(lambda a, b, c: a - b - c, there, velocity, turned)
    return trees.norm(beyond) / trees.norm(turned)


def restarted(setting: Setting, checkpoint: Checkpoint, t1: float) -> Checkpoint:
    """A checkpoint of the same state and counts from which a solver starts afresh."""
    fresh, _ = start(
        setting, checkpoint.t, jnp.asarray(t1, setting.rtol.dtype), checkpoint.state
    )
    old = checkpoint.controller_state
    return eqx.tree_at(lambda c: _counts(c.controller_state), fresh, _counts(old))


def _counts(guard: GuardState) -> tuple[Any, ...]:
    return (
        guard.num_accepted,
        guard.num_rejected,
        guard.num_refused,
        guard.gradients,
        guard.products,
    )


def _work(position: Position) -> tuple[int, int, int]:
    guard = position.checkpoint.controller_state
    return position.num_attempts, int(guard.gradients), int(guard.products)


def taken(solver: Any, position: Position) -> Evaluations:
    """What the present solver has taken since it was chosen."""
    own = (
        now - then for now, then in zip(_work(position), position.since, strict=True)
    )
    return num_evaluations(solver, *own)
