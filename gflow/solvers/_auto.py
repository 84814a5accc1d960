"""The automatic choice of solver, made anew as a run goes on."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx

from .. import _trees as trees
from .._types import Params
from ..problem import Kinks, Problem
from ..trajectory import Plan
from ._bdf import BDF
from ._filippov import Filippov
from ._rkc import RKC

# The first look is after so many attempted steps, the next after half as many more.
_FIRST_LOOK = 8
# h ρ from which a dear forecast is taken for stiffness, and from which stability holds
# the step: Tsit5's interval ends at 3.3. At tight tolerances accuracy holds it well
# below that for long, where BDF costs about as much, so that nothing is lost by an
# early change. RKC, of order 2, costs more there and has to wait.
_STIFF, _HELD = 0.15, 1.5
# What BDF takes for a whole stiff flow: so many gradients at rtol 1, growing with this
# power of 1/rtol; and what RKC, of order 2, takes beyond it. Medians of five problems
# of 400 to 18,000 parameters, which RKC exceeds up to threefold; mild flows take less.
_BY_BDF, _MORE_BY_RKC = (250.0, 0.12), (30.0, 0.4)
_GRADIENTS_A_STEP = 6
# The explicit way is left where it looks dearer than that. The forecast is crude, and
# the more so the earlier it is made: after n attempts it must look so many over n times
# as dear, if that is more. On a net that does not become stiff, forecasts came near to
# the first number as long as accuracy held the step, and nowhere near the second later.
_MARGIN, _MARGIN_IF_HELD = 128.0, 40.0
# Beyond this the number of steps left overflows; it is dear anyway.
_LARGEST_EXPONENT = 600.0
# Where h falls faster than this power of t there is a singularity, for every solver.
_COLLAPSE = -10.0
# Through kinks that are not declared nothing is gained by a tolerance below this.
_ROUGH_RTOL = 1e-3
# Each kink that Filippov meets takes a look at all of them, so that its cost grows like
# the square of their number: 3 s at 1,600, 14 s at 5,000, minutes at 10,000; at 200,000
# it takes some 0.1 s for each kink, of which there are tens of thousands. But a single
# one then turns the velocity by so little that to pass it unlocated is an error like
# others. Where pairs slide such a step is of order 1 whatever the solver, and Heun's
# equal weights keep it on the slide: 200 x 1,000 pairs, 1,560 of them sliding at the
# end, come out within 0.8 of a tolerance of 1e-3, by Bosh3 within 11, by Tsit5 within
# 16 and at 1e-4 within 98. The floor keeps that flow below a minute.
_MOST_LOCATED, _MANY_RTOL = 5_000, 1e-4
# And atol, as a share of that and the largest parameter: without, the smallest of many
# parameters would hold the steps, here to an eighth.
_MANY_ATOL = 1e-3
# Where f takes fewer operations a parameter (a dense net on 50 examples), the algebra
# on the recycled vectors takes several times what it saves, as on matrix completion by
# three factors, at 240 (P3 in the benchmarks).
_CHEAP = 300.0
# A solver that has more than this share of so many attempts rejected does not fit.
_TRIAL, _FAILING = 24, 0.5
# Nor does one that would take so many times what is dear for a whole flow.
_CREEPING = 100.0


@dataclasses.dataclass(frozen=True)
class Look:
    """What is known of a run when its solver is judged.

    - `t`, `t1`: time, and the end; `h`: the size of the next step.
    - `num_attempts`, `num_rejected`: steps so far.
    """

    t: float
    t1: float
    h: float
    num_attempts: int
    num_rejected: int


@dataclasses.dataclass(frozen=True)
class Probe:
    """What it costs gradients and products to know of the field f at a look.

    - `stiffness`: h ρ, with ρ the spectral radius of f's Jacobian J, from below.
    - `is_rough`: whether f jumps within four steps.
    - `operations`: floating-point operations that f takes, for each parameter.
    """

    stiffness: Callable[[], float]
    is_rough: Callable[[], bool]
    operations: Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The solver in use, its reason, and when to judge it again (None: never).

    `least_rtol` and `least_atol` are the tightest tolerances that it is run at.
    """

    solver: Any
    plan: Plan
    next_look: int | None = None
    last: Look | None = None
    least_rtol: float = 0.0
    least_atol: float = 0.0


class Auto(eqx.Module):
    """Choose the solver for a flow, and change it when the evidence changes.

    | what is known | solver | because |
    |---|---|---|
    | the problem declares its kinks | Filippov | it goes through them at full order |
    | and has more than 5,000 of them | Heun, rtol ≥ 1e-4 | too many to locate |
    | nothing yet | Tsit5 | cheapest where nothing is stiff; it learns by going on |
    | forecast dear, f jumps within 4 steps | Bosh3, rtol ≥ 1e-3 | kinks |
    | forecast cheap, or h ρ < 0.15 | the same | no stiffness to pay for |
    | forecast dear and h ρ ≥ 0.15 | BDF | stability holds the steps, or soon will |
    | h ρ ≥ 1.5 in float32, by a clock, in a metric that varies | RKC | see below |
    | BDF, f of fewer than 300 operations a parameter | num_ritz=0 | see below |
    | BDF or RKC fails or creeps, f jumps within 4 steps | Bosh3, rtol ≥ 1e-3 | kinks |
    | BDF, half of its steps rejected | RKC | no linear solve that could fail |
    | that RKC creeps | BDF again | it has left what made it fail |

    The forecast takes the size of the step as a power of t, fitted between looks: a
    sharpness that falls (cross-entropy) lets the steps grow, one that rises
    (progressive sharpening) shrinks them. Looks are at 8 attempted steps and whenever
    half as many more are made. "Dear" is at the first look 16 times what the solver
    for stiff flows takes for a whole one, falling to once at 128 steps; where stability
    holds the step (h ρ ≥ 1.5) it is 5 times, falling to once at 40. A solver creeps
    that would take 100 times as much.

    In float32 the products of Newton's method drown in round-off, and under a clock,
    or in a metric that depends on w, the Jacobian is not symmetric, which BDF's linear
    solver needs.

    Recycled Ritz vectors save gradients, and cost BDF algebra that does not depend on
    what a gradient takes; where that is next to nothing BDF does without.

    Of very many kinks each turns the velocity by little, and steps pass it unlocated;
    the outcome is then `reached_roughly`. Whether the flow is unique there is not told,
    and along slides the energy comes out too large (`energy_defect`).

    **Cost:** none where the forecast is cheap; else up to 17 gradients a look, and the
    first time some two seconds to compile it.
    """

    def first(self, problem: Problem | None = None, w0: Params = None) -> Choice:
        """The choice before anything is known, of a problem that may have kinks."""
        if problem is not None and problem.kinks is not None:
            return _through(problem.kinks, w0)
        plan = Plan("Tsit5", "Auto: explicit, order 5, while nothing shows stiffness")
        return Choice(diffrax.Tsit5(), plan, _FIRST_LOOK)

    def revised(
        self,
        choice: Choice,
        look: Look,
        *,
        rtol: float,
        implicit: bool,
        probe: Probe,
    ) -> Choice:
        """The choice after a look; its `solver` is the same object if it stays.

        `implicit` says whether BDF can be used.
        """
        next_look = look.num_attempts + look.num_attempts // 2
        dear = _price(_BY_BDF, rtol)
        if not implicit:
            dear += _price(_MORE_BY_RKC, rtol)
        if not isinstance(choice.solver, diffrax.Tsit5):
            return self._on_trial(choice, look, next_look, dear, implicit, probe)
        again = dataclasses.replace(choice, next_look=next_look, last=look)
        explicit = _GRADIENTS_A_STEP * forecast(choice.last, look)

        def looks_dear(margin: float) -> bool:
            return explicit > max(1.0, margin / look.num_attempts) * dear

        if not looks_dear(_MARGIN_IF_HELD) or _collapses(choice.last, look):
            return again
        # Differences across a kink look stiff, so kinks are asked for first.
        if probe.is_rough():
            return _on_kinks(again, look) if looks_dear(_MARGIN) else again
        stiffness = probe.stiffness()
        is_held = stiffness >= _HELD
        if is_held or (implicit and stiffness >= _STIFF and looks_dear(_MARGIN)):
            reason = (
                f"stiff from t = {look.t:.3g} (h rho = {stiffness:.2g}, "
                f"forecast {explicit:.2g} gradients)"
            )
            return _changed(again, _stiff_solver(implicit, probe), reason)
        return again

    def _on_trial(
        self,
        choice: Choice,
        look: Look,
        next_look: int,
        dear: float,
        implicit: bool,
        probe: Probe,
    ) -> Choice:
        """Whether a solver for stiff flows serves."""
        later, last = dataclasses.replace(choice, next_look=next_look), choice.last
        assert last is not None
        attempts = look.num_attempts - last.num_attempts
        if attempts < _TRIAL or choice.least_rtol > 0:
            return later
        judged = dataclasses.replace(later, last=look)
        rejected = look.num_rejected - last.num_rejected
        is_bdf = isinstance(choice.solver, BDF)
        fails = is_bdf and rejected > _FAILING * attempts
        ahead = _GRADIENTS_A_STEP * forecast(last, look)
        creeps = ahead > _CREEPING * dear
        if not (fails or creeps):
            return judged
        if probe.is_rough():
            return _on_kinks(judged, look)
        if fails:
            reason = f"{rejected} of {attempts} steps rejected at t = {look.t:.3g}"
            return _changed(judged, RKC(), reason)
        if is_bdf or not implicit:
            return judged
        reason = f"forecast {ahead:.2g} gradients at t = {look.t:.3g}"
        return _changed(judged, _stiff_solver(implicit, probe), reason)


def _price(price: tuple[float, float], rtol: float) -> float:
    gradients, power = price
    return gradients * rtol**-power


def _through(kinks: Kinks, w0: Params) -> Choice:
    """The choice for declared kinks."""
    num = kinks.size(w0)
    reason = "Auto: the problem declares its kinks"
    if num <= _MOST_LOCATED:
        return Choice(Filippov(), Plan("Filippov", reason))
    return Choice(
        diffrax.Heun(),
        Plan("Heun", f"{reason}, {num} of them, too many to locate each"),
        least_rtol=_MANY_RTOL,
        least_atol=_MANY_RTOL * _MANY_ATOL * float(trees.largest(w0)),
    )


def _on_kinks(choice: Choice, look: Look) -> Choice:
    """The choice where the field jumps and nothing was declared."""
    reason = f"kinks that the problem does not declare, met at t = {look.t:.3g}"
    rough = dataclasses.replace(choice, least_rtol=_ROUGH_RTOL)
    return _changed(rough, diffrax.Bosh3(), reason)


def _stiff_solver(implicit: bool, probe: Probe) -> Any:
    if not implicit:
        return RKC()
    return BDF(num_ritz=0) if probe.operations() < _CHEAP else BDF()


def _collapses(last: Look | None, look: Look) -> bool:
    """Whether the step shrinks far faster than t grows: a singularity lies ahead."""
    if last is None or not 0 < last.t < look.t:
        return last is not None
    return math.log(look.h / last.h) < _COLLAPSE * math.log(look.t / last.t)


def forecast(last: Look | None, look: Look) -> float:
    """How many more steps of the present kind it is to t1.

    With h = h₀ (t/t₀)^p it is ∫ dt/h = (t₀/h₀) ((t₁/t₀)^(1-p) - 1)/(1 - p); p is fitted
    to the last two looks and held in [-1, 1].
    """
    if look.t == 0:
        return (look.t1 - look.t) / look.h
    power = 0.0
    if last is not None and 0 < last.t < look.t:
        power = math.log(look.h / last.h) / math.log(look.t / last.t)
        power = min(max(power, -1.0), 1.0)
    growth = math.log(look.t1 / look.t)
    if power == 1.0:
        return growth * look.t / look.h
    shape = math.expm1(min((1 - power) * growth, _LARGEST_EXPONENT)) / (1 - power)
    return shape * look.t / look.h


def _changed(choice: Choice, solver: Any, reason: str) -> Choice:
    name = type(solver).__name__
    plan = Plan(
        f"{choice.plan.solver}, then {name}", f"{choice.plan.reason}; {name}: {reason}"
    )
    return dataclasses.replace(choice, solver=solver, plan=plan)
