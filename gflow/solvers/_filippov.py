"""Integration of piecewise smooth gradient flows through their kinks."""

import dataclasses
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Params
from ..problem import Problem
from ._counting import CountingSolver, Work
from ._frame import Frame, frame
from ._meeting import Place, either_way, meet
from ._mode import Mode, Tally, added
from ._segments import SegmentInterpolation
from ._substeps import begin, run

_TERMS: Any = diffrax.AbstractTerm
# Gradients that the stages of a segment take, and what the looks at all switching
# values (five losses in each) come to.
_PER_SEGMENT, _PER_ROUND = 6 + 2, 2
# A pair this near to zero, relative to the largest, lies on its kink at the start.
_ON_KINK_POWER = 0.75


class FilippovState(eqx.Module):
    """What a step hands to the next."""

    place: Place
    # Segments per unit of time in the last step.
    density: Float[Array, ""]
    # Spent on accepted steps, in gradients.
    spent: Int[Array, ""]
    # Whether more values are to be held at zero than there is room for.
    crowded: Bool[Array, ""]


class Filippov(CountingSolver):
    """Tsit5 from kink to kink: gradient flow of a loss with declared kinks.

    The flow of a piecewise smooth loss is a Filippov system: it crosses a kink, or
    slides along it where the fields of both sides point to it. A mode is a side for
    each switching value and a set of values held at zero; within it the field is
    smooth. Each step is a chain of Tsit5 steps from one kink to the next, located on
    dense output; all values that are zero there are resolved together, by one
    complementarity problem for their multipliers. Order 5 across kinks.

    `args` must be the problem, one that declares its `kinks`; the state its parameters
    or the `FlowState` of `GradientFlow`. Where a kink becomes repelling under values
    held on it, or the start lies on one that repels to both sides, the flow goes on in
    more than one way; one is taken, and `report` says so under "undetermined".

    **Arguments:**

    - `static`: the leaves of w that are not parameters, None where all are; `simulate`
        fills them in.
    - `max_held`: room for values held at zero at one time; default: the problem's
        guess. Where it does not suffice no step is accepted, and `simulate` ends with
        the outcome `crowded`.
    - `max_segments`: the most kinks in one step.

    **Cost:** for each kink 6 gradients and some 7 losses, a factorization of size
    `max_held` for each gradient; memory of 5 `max_segments` states.

    **References:** Filippov 1988, *Differential equations with discontinuous
    righthand sides*; Júdice, Pires 1994; Tsitouras 2011.

    ```python
    >>> import diffrax, jax.numpy as jnp
    >>> from gflow.problem import KinkedObjective
    >>> from gflow.solvers import Filippov
    >>> problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    >>> run = diffrax.diffeqsolve(  # |w| falls at rate 1 and stays at its kink
    ...     diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)), Filippov(),
    ...     0.0, 2.0, 0.1, jnp.array([1.0, -3.0]), problem,
    ...     stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-9))
    >>> print(abs(run.ys[-1]).round(6))
    [0. 1.]

    ```
    """

    static: Any = None
    max_held: int | None = eqx.field(default=None, static=True)
    max_segments: int = eqx.field(default=16, static=True)

    term_structure: ClassVar = _TERMS
    interpolation_cls: ClassVar = SegmentInterpolation

    def order(self, terms: Any) -> int:
        """5."""
        return 5

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> FilippovState:
        """The mode at the start; values that are zero are resolved."""
        setting, flat = frame(terms, args, self.static, y0)
        z = setting.kinks.values(setting.w(flat))
        near = jnp.finfo(z.dtype).eps ** _ON_KINK_POWER * jnp.max(jnp.abs(z))
        side = jnp.where(z > 0, 1, -1).astype(jnp.int8)
        kinks = setting.kinks
        slopes = jnp.where(z > 0, kinks.high, kinks.low).astype(z.dtype)
        room = self._room(setting, flat)
        none = jnp.full(room, z.shape[0])
        mode = Mode(side, slopes, none, jnp.zeros(room, bool))
        place, (fits, _) = meet(
            setting, t0, flat, mode, jnp.abs(z) <= near, Tally.zero()
        )
        # A value that is zero at the start has neither crossed nor come to slide.
        tally = Tally.zero(
            undetermined=either_way(setting, place),
            unresolved=place.tally.unresolved,
            most_held=place.tally.most_held,
        )
        place = eqx.tree_at(lambda p: p.tally, place, tally)
        zero = jnp.zeros((), int)
        return FilippovState(place, jnp.zeros((), z.dtype), zero, ~fits)

    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: FilippovState,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS, Work]:
        """A chain of steps from t0 to t1."""
        del made_jump
        setting, flat = frame(terms, args, self.static, y0)
        place = eqx.tree_at(lambda p: p.flat, solver_state.place, flat)
        chain = begin(t0, place, self.max_segments)
        # A step that would meet too many kinks is refused before it costs anything.
        too_long = solver_state.density * (t1 - t0) > self.max_segments
        stop = jnp.where(too_long | solver_state.crowded, chain.t, t1)
        chain = run(setting, chain, stop)
        done = (chain.t >= t1) & chain.fits
        error = jnp.where(done, chain.error, jnp.inf)
        density = (chain.num_segments - 1) / (t1 - t0)
        spent = _PER_SEGMENT * chain.num_segments + _PER_ROUND * chain.num_rounds
        state = FilippovState(
            chain.place,
            density.astype(flat.dtype),
            solver_state.spent + spent.astype(int),
            solver_state.crowded | ~chain.fits,
        )
        dense = {
            "starts": chain.starts,
            "lengths": chain.lengths,
            "firsts": chain.firsts,
            "coefficients": chain.coefficients,
            "like": y0,
        }
        work = Work(spent.astype(int), jnp.zeros((), int))
        y1 = setting.unravel(chain.place.flat)
        error = setting.unravel(error)
        return y1, error, dense, state, diffrax.RESULTS.successful, work

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The field on the side that automatic differentiation takes."""
        return terms.vf(t0, y0, args)

    def placed(self, problem: Problem, static: Params) -> "Filippov":
        """With the leaves of w that do not move, unless it knows them."""
        if self.static is not None:
            return self
        return dataclasses.replace(self, static=static)

    def report(self, solver_state: FilippovState) -> dict[str, Any]:
        """Crossings, slides and exits, and what could not be decided."""
        tally = solver_state.place.tally
        return {
            "crossings": tally.crossings,
            "slides": tally.slides,
            "exits": tally.exits,
            "undetermined": tally.undetermined,
            "unresolved": tally.unresolved,
            "most_held": tally.most_held,
            "crowded": solver_state.crowded.astype(int),
            "gradients_accepted": solver_state.spent,
        }

    def carried(self, fresh: FilippovState, old: FilippovState) -> FilippovState:
        """The fresh state with what was counted before, to the end of the last step."""
        place, spent = fresh.place, fresh.spent + old.spent
        tally = added(place.tally, old.place.tally)
        return eqx.tree_at(lambda s: (s.place.tally, s.spent), fresh, (tally, spent))

    def _room(self, setting: Frame, flat: Array) -> int:
        w = setting.w(flat)
        room = setting.kinks.max_held(w) if self.max_held is None else self.max_held
        return min(room, setting.kinks.size(w))
