"""Outcome codes, and the errors raised once at the entry of a run."""

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trajectory import Trajectory


class Outcome(enum.Enum):
    """How a run ended: its `message`, and whether the end asked for was reached.

    `ok` is true only when `t1` (or the last step) or a stop that names a goal was
    reached and every saved number is finite.
    """

    reached_end = (True, "the end was reached")
    reached_undetermined = (
        True,
        "the end was reached, but the flow is not unique: a kink turned repelling "
        "under values held on it, or w0 lies on one, and one way was taken",
    )
    reached_roughly = (
        True,
        "the end was reached through kinks that were not located, with errors of "
        "first order in the step, not of the size of the tolerance",
    )
    stationary = (True, "the gradient norm fell below its threshold")
    loss_reached = (True, "the loss fell below its threshold")
    target_reached = (True, "the observable reached its target")
    interrupted = (False, "interrupted by the user")
    wall_clock = (False, "the wall-clock budget was used up")
    max_steps = (False, "the step budget was used up")
    zero_gradient = (False, "the velocity at w0 is exactly zero, so nothing moves")
    diverged = (False, "the parameter norm passed the divergence threshold")
    blow_up = (False, "the parameters run to infinity")
    nonfinite_loss = (False, "the loss is not finite")
    nonfinite_grad = (False, "the gradient is not finite")
    nonfinite_state = (False, "every step, however small, ends at a non-finite state")
    nonfinite_observable = (False, "a saved observable is not finite")
    unresolved = (False, "the flow could not be followed at a kink")
    crowded = (
        False,
        "more values are held at zero at one time than the solver has room for",
    )
    unbalanced = (False, "the loss dropped and the energy integrated do not agree")
    ascent = (False, "the loss rises along the velocity, however small the step")
    step_underflow = (False, "the step size fell below the resolution of time")
    stalled = (False, "time hardly advances")

    def __init__(self, ok: bool, message: str) -> None:
        self.ok = ok
        self.message = message


# What to try, for the outcomes where the cause suggests something.
ADVICE = {
    Outcome.wall_clock: "raise the budget, or let simulate go on: resume=trajectory",
    Outcome.max_steps: (
        "a looser rtol, a shorter t1, or stops=[gf.MaxSteps(n)] with a larger n"
    ),
    Outcome.reached_roughly: (
        "declare the kinks: gf.models.TwoLayerReLU, DeepReLU, problem.KinkedObjective; "
        "many that are declared: solver=gf.solvers.Filippov(), and time"
    ),
    Outcome.unresolved: "tighten rtol, or a starting point off the kinks",
    Outcome.crowded: (
        "solver=gf.solvers.Filippov(max_held=...), up to the number of kinks"
    ),
    Outcome.zero_gradient: (
        "w0 is a stationary point (all zeros, perhaps) or every rate is zero: "
        "move w0 off it"
    ),
    Outcome.diverged: "is the loss bounded below? lower eta, or raise Diverged(norm)",
    Outcome.blow_up: "the loss is not bounded below along this path, or eta is too big",
    Outcome.nonfinite_loss: "look at the loss at trajectory.w1 (log or sqrt of <= 0?)",
    Outcome.nonfinite_grad: (
        "look at the gradient at trajectory.w1 (sqrt at 0, or a jnp.where whose "
        "untaken branch is not finite?)"
    ),
    Outcome.nonfinite_state: (
        "the loss is undefined just past trajectory.w1 (log or sqrt of <= 0?)"
    ),
    Outcome.nonfinite_observable: "look at the observable named above",
    Outcome.unbalanced: (
        "either the solver left the flow, or steps at a loose tolerance passed a steep "
        "stretch and only the energy is off: tighten rtol, which tells; or leave the "
        "choice of solver to simulate; does the loss have kinks (ReLU) that are not "
        "declared?"
    ),
    Outcome.ascent: (
        "the velocity is not a descent direction of the loss there: a kink, a "
        "stop_gradient or custom gradient, or randomness in the loss"
    ),
    Outcome.step_underflow: (
        "the gradient is not continuous there, or the dtype is too narrow: enable "
        "float64, or loosen rtol"
    ),
    Outcome.stalled: (
        "the flow may be sliding along a kink: declare it (gf.models.TwoLayerReLU, "
        "problem.KinkedObjective), or loosen rtol"
    ),
}


class RunError(RuntimeError):
    """A run that stopped short; `trajectory` holds all it computed."""

    def __init__(self, trajectory: "Trajectory") -> None:
        super().__init__(trajectory.verdict)
        self.trajectory = trajectory


class RunInterrupted(KeyboardInterrupt):
    """A run ended by Ctrl-C; `trajectory` holds all it computed."""

    def __init__(self, trajectory: "Trajectory") -> None:
        super().__init__(trajectory.verdict)
        self.trajectory = trajectory
