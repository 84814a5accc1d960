"""A run's solver judged anew, on the host between two stretches."""

import dataclasses
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from . import _trees as trees
from ._position import Position
from ._stretch import Checkpoint, Setting, start
from .linalg import SpectralRadius, spectral_radius
from .solvers import (
    Auto,
    CountingSolver,
    Evaluations,
    GuardState,
    Look,
    Probe,
    has_symmetric_derivative,
    num_evaluations,
)

# Enough to know h rho to the factor of two that a choice turns on.
_PRODUCTS, _ACCURACY = 6, 0.5
_INCREMENT_POWER = 0.4
# How much shorter a solver's first step may be than its predecessor's next.
_LEAST_CHANGE = 1e-4
# A jump of the velocity is looked for so many steps to either side.
_STEPS_AHEAD, _STEPS_WITHIN = (2.0, 4.0), (0.5, 1.0)
# It is told by a second difference beyond round-off that grows less than fourfold when
# its length doubles; or by many times, as the jump comes in.
_JUMP, _GROWTH, _ENTRY = 1e-4, 2.5, 32.0


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
        looks += Evaluations(1 + int(found.products), 0)
        return float(guard.dt) * float(found.lower)

    def is_rough() -> bool:
        nonlocal looks
        found, taken = _is_rough(setting, checkpoint)
        looks += Evaluations(taken, 0)
        return found

    probe = Probe(stiffness, is_rough, lambda: _operations(setting, checkpoint))
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

    velocity = field(w)
    # By differences, since a loss may have no forward-mode derivative.
    eps = float(jnp.finfo(setting.rtol.dtype).eps)

    def size(v: Any) -> Any:
        # As the controller sees it: no large parameter hides how small others are.
        atol, rtol = setting.atol, setting.rtol
        return trees.norm(jax.tree.map(lambda a, x: a / (atol + rtol * abs(x)), v, w))

    increment = eps**_INCREMENT_POWER * jnp.maximum(size(w), eps)

    def product(direction: Any) -> Any:
        share = increment / size(direction)
        there = field(jax.tree.map(lambda x, v: x + share * v, w, direction))
        return jax.tree.map(lambda a, b: (a - b) / share, there, velocity)

    # Where stability holds the steps the velocity has lost its stiff components.
    flat, unravel = ravel_pytree(w)
    noise = unravel(jax.random.normal(jax.random.key(0), flat.shape, flat.dtype))
    begin = jax.tree.map(
        lambda v, z: v / trees.norm(velocity) + z / trees.norm(noise), velocity, noise
    )
    metric = setting.problem.metric
    weights = None if metric is None else metric.weights()

    return spectral_radius(
        product,
        begin,
        max_products=_PRODUCTS,
        rtol=_ACCURACY,
        weigh=None if weights is None else functools.partial(trees.scaled, weights),
    )


def _operations(setting: Setting, checkpoint: Checkpoint) -> float:
    """Of the velocity, for each parameter, as XLA counts them before it compiles."""

    def velocity(setting: Setting, checkpoint: Checkpoint) -> Any:
        w, field = _field(setting, checkpoint)
        return field(w)

    compiled: Any = eqx.filter_jit(velocity)
    cost = compiled.lower(setting, checkpoint).lowered.cost_analysis() or {}
    return cost.get("flops", math.inf) / setting.size


def _is_rough(setting: Setting, checkpoint: Checkpoint) -> tuple[bool, int]:
    """Whether the velocity jumps within some steps, and the gradients to know it.

    The second difference of a smooth field along the way grows fourfold when its
    length doubles; that of a field that jumps inside does not. Nor does that of a
    smooth one over a length on which it bends back: within a step it does.
    """

    def bends(steps: tuple[float, float]) -> Any:
        found = _bends(setting, checkpoint, jnp.asarray(steps, setting.rtol.dtype))
        return map(float, found)

    speed, short, long = bends(_STEPS_AHEAD)
    num = 1 + 2 * len(_STEPS_AHEAD)
    if not (long > _JUMP * speed and long < _GROWTH * short):
        return False, num
    _, least, less = bends(_STEPS_WITHIN)
    jumps = less < _GROWTH * least or less > _ENTRY * least or short > _ENTRY * less
    return jumps, 2 * num


@eqx.filter_jit
def _bends(setting: Setting, checkpoint: Checkpoint, steps: Any) -> Any:
    """The norms of the velocity and of its second differences over so many steps."""
    w, field = _field(setting, checkpoint)
    velocity = field(w)

    def bend(num: Any) -> Any:
        length = num * checkpoint.controller_state.dt
        ahead = field(jax.tree.map(lambda x, v: x + length * v, w, velocity))
        behind = field(jax.tree.map(lambda x, v: x - length * v, w, velocity))
        bends = jax.tree.map(lambda a, b, c: a + b - 2 * c, ahead, behind, velocity)
        return trees.norm(bends)

    return trees.norm(velocity), *jax.lax.map(bend, steps)


def restarted(setting: Setting, checkpoint: Checkpoint, t1: float) -> Checkpoint:
    """A checkpoint of the same state and counts from which a solver starts afresh."""
    fresh, _ = start(
        setting, checkpoint.t, jnp.asarray(t1, setting.rtol.dtype), checkpoint.state
    )
    old = checkpoint.controller_state
    fresh = eqx.tree_at(lambda c: _counts(c.controller_state), fresh, _counts(old))
    # A first step is guessed from scales alone; what the run has come to bounds it.
    dt = jnp.clip(fresh.controller_state.dt, _LEAST_CHANGE * old.dt, old.dt)
    return eqx.tree_at(lambda c: c.controller_state.dt, fresh, dt)


def resumed(setting: Setting, checkpoint: Checkpoint, t1: float) -> Checkpoint:
    """As `restarted`, by the same solver, which keeps what it tells of the run."""
    fresh, solver = restarted(setting, checkpoint, t1), setting.solver
    if not isinstance(solver, CountingSolver):
        return fresh
    state = solver.carried(fresh.solver_state, checkpoint.solver_state)
    return dataclasses.replace(fresh, solver_state=state)


def _counts(guard: GuardState) -> tuple[Any, ...]:
    return (
        guard.num_accepted,
        guard.num_rejected,
        guard.num_refused,
        guard.error_sum,
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
