"""What is measured at each saved time, for flows and discrete methods alike."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import _trees as trees
from .._results import Outcome
from .._types import InvariantFn, Invariants, Observables, Params
from ..problem import Problem
from ._stops import Watch

# Saved points are measured in compiled blocks of this size, the last one filled up
# with copies: one program for any number of points, and little dispatch for many.
_BLOCK = 16

Block = dict[str, Any]


class Measurement(eqx.Module):
    """Everything to measure at one saved point (t, w)."""

    observables: Observables
    invariants: Invariants

    def __call__(self, t: Any, w: Params, problem: Problem) -> Block:
        loss, grad = problem.loss_and_grad(w)
        laws = {name: value_and_scale(h, w) for name, h in self.invariants.items()}
        return {
            "loss": loss,
            "grad_norm": trees.norm(grad),
            "observed": {
                n: jnp.asarray(f(t, w, problem)) for n, f in self.observables.items()
            },
            "invariants": {n: value for n, (value, _) in laws.items()},
            "scales": {n: scale for n, (_, scale) in laws.items()},
        }

    def checked(self, w: Params, problem: Problem) -> "Measurement":
        """Itself, with copies of both.

        **Raises:** `ValueError` naming the callable that does not work on w0;
        `TypeError` for what is no mapping.
        """
        observables = named("observables", self.observables)
        invariants = named("invariants", self.invariants)
        taken = {"loss", "grad_norm", "energy"} & set(observables)
        if taken:
            raise ValueError(f"observable name {sorted(taken)} is taken by gflow")
        t = jnp.zeros((), trees.dtype(w))
        for name, f in observables.items():
            _check_callable("observable", name, lambda w, f=f: f(t, w, problem), w)
        check_invariants(invariants, w)
        return Measurement(observables, invariants)


def named(kind: str, functions: Any) -> dict[str, Any]:
    """A copy of them.

    **Raises:** `TypeError` unless they are a mapping name -> callable.
    """
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        raise TypeError(
            f"{kind} must be a dict name -> function, not {functions!r:.60}"
        )
    return dict(functions)


def check_invariants(invariants: Invariants, w: Params) -> None:
    """Raise `ValueError` naming the invariant that does not work on w."""
    for name, h in invariants.items():
        _check_callable("invariant", name, h, w)


def _check_callable(kind: str, name: str, f: Callable[[Any], Any], w: Params) -> None:
    try:
        eqx.filter_eval_shape(lambda w: jnp.asarray(f(w)), w)
    except Exception as error:
        raise ValueError(
            f"{kind} {name!r} cannot be evaluated at w0: "
            f"{type(error).__name__}: {trees.first_line(error)}"
        ) from error


def value_and_scale(invariant: InvariantFn, w: Params) -> tuple[Any, Any]:
    """h(w), and ‖scale(w)‖ or, if the invariant has no scale, ‖h(w)‖."""
    value = jnp.asarray(invariant(w))
    scale = getattr(invariant, "scale", None)
    pieces = value if scale is None else scale(w)
    return value, jnp.linalg.norm(jnp.ravel(pieces))


@eqx.filter_jit
def _measure_block(
    measurement: Measurement, problem: Problem, static: Params, ts: Any, ws: Params
) -> Block:
    def one(point: tuple[Any, Params]) -> Block:
        t, w = point
        return measurement(t, eqx.combine(w, static), problem)

    return jax.lax.map(one, (ts, ws))


@dataclasses.dataclass(frozen=True)
class Record:
    """The points saved so far; adding to it makes a new one."""

    measurement: Measurement
    static: Params
    keep_params: bool
    max_bytes: int
    blocks: tuple[Block, ...] = ()
    # The first and the last point, kept whatever else is.
    ends: tuple[Params, Params] | None = None
    dropped_params: bool = False
    # Gradients that measuring took: whole blocks, filled up.
    num_gradients: int = 0

    @property
    def num_points(self) -> int:
        """How many points are saved."""
        return sum(len(block["ts"]) for block in self.blocks)

    def add(
        self, problem: Problem, ts: Any, ws: Params, energy: Any | None
    ) -> "Record":
        """The record with points (ts, ws) measured and added; ws leads with time."""
        if len(ts) == 0:
            return self
        block = self._measure(problem, ts, ws)
        block["ts"] = np.asarray(ts)
        if energy is not None:
            block["energy"] = np.asarray(energy)
        ws = jax.tree.map(np.asarray, ws)
        num_bytes = sum(x.nbytes for x in jax.tree.leaves(ws)) // len(ts)
        too_big = (self.num_points + len(ts)) * num_bytes > self.max_bytes
        dropped = self.dropped_params or (self.keep_params and too_big)
        kept = self.keep_params and not dropped
        block["ws"] = ws if kept else None
        earlier = self.blocks
        if dropped and not self.dropped_params:
            earlier = tuple({**b, "ws": None} for b in earlier)
        first = jax.tree.map(lambda x: x[0], ws) if self.ends is None else self.ends[0]
        return dataclasses.replace(
            self,
            blocks=(*earlier, block),
            ends=(first, jax.tree.map(lambda x: x[-1], ws)),
            dropped_params=dropped,
            num_gradients=self.num_gradients + _BLOCK * -(-len(ts) // _BLOCK),
        )

    @property
    def first(self) -> Params:
        """w at the first saved point."""
        assert self.ends is not None
        return eqx.combine(jax.tree.map(jnp.asarray, self.ends[0]), self.static)

    @property
    def last(self) -> Params:
        """w at the last saved point."""
        assert self.ends is not None
        return eqx.combine(jax.tree.map(jnp.asarray, self.ends[1]), self.static)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know about what was kept."""
        if not self.dropped_params:
            return ()
        return (
            f"ws not kept: they passed the budget of {self.max_bytes / 2**20:.4g} MiB "
            "(Save.max_bytes); w0, w1 and everything observed are here",
        )

    def _measure(self, problem: Problem, ts: Any, ws: Params) -> Block:
        pieces: list[Block] = []
        for start in range(0, len(ts), _BLOCK):
            index = np.minimum(np.arange(start, start + _BLOCK), len(ts) - 1)
            piece = _measure_block(
                self.measurement,
                problem,
                self.static,
                jnp.asarray(np.asarray(ts)[index], trees.dtype(ws)),
                jax.tree.map(lambda x, i=index: jnp.asarray(np.asarray(x)[i]), ws),
            )
            count = min(_BLOCK, len(ts) - start)
            pieces.append(jax.tree.map(lambda x, n=count: np.asarray(x)[:n], piece))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *pieces)

    def joined(self) -> "Record":
        """The same points in one block, of which slices are no copies."""
        kept = all(block["ws"] is not None for block in self.blocks)
        blocks = [{**b, "ws": b["ws"] if kept else None} for b in self.blocks]
        block = jax.tree.map(lambda *xs: np.concatenate(xs), *blocks)
        return dataclasses.replace(self, blocks=(block,))

    def first_points(self, num: int) -> "Record":
        """Only the first points of a joined record."""
        (block,) = self.blocks
        block = jax.tree.map(lambda x: x[:num], block)
        return dataclasses.replace(self, blocks=(block,))

    def gathered(self) -> Block:
        """All points of a joined record as arrays with time leading."""
        (block,) = self.blocks
        kept = block["ws"] is not None
        ws = eqx.combine(block["ws"], self.static) if kept else None
        return {**block, "ws": ws}


def end_at_start(
    record: Record, watch: Watch, speed: float
) -> tuple[Outcome, str] | None:
    """How a run ends before it begins, by its first point; None if it can begin."""
    first = record.blocks[0]
    if not np.isfinite(first["loss"][0]):
        return Outcome.nonfinite_loss, "at w0"
    if not (np.isfinite(first["grad_norm"][0]) and np.isfinite(speed)):
        return Outcome.nonfinite_grad, "at w0"
    if speed == 0:
        return Outcome.zero_gradient, ""
    met = watch.met_at_start()
    return None if met is None else (met, "already at w0")
