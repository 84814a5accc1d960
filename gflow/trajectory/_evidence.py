"""How far the energy balance and the tolerances of a run can be trusted."""

from typing import Any

import jax
import numpy as np

from .._results import Outcome
from .._types import Params

# On smooth problems the defect is some 0.01 to 100 tolerances. At this many, or at this
# share of the loss dropped whatever the tolerance, the solver has left the flow.
BALANCE_TOLERANCES, BALANCE_SHARE = 1e3, 0.1
# Where a flow slides along kinks that are not located, ‖∇L‖² is taken beside the slide,
# on either side, and its mean exceeds the squared speed along it: the energy comes out
# too large however small the step, by up to 0.28 of the loss dropped on nets of 30 to
# 1,000 units that were right to 2e-4. It never comes out too small.
_SLIDING_SHARE = 0.5
# And the loss itself is known to so many units in the last place.
_BALANCE_ULPS = 1e3
# A parameter held only to `atol` has no relative accuracy below this many of it.
_SMALL = 100


def relative_tolerance(w0: Params, rtol: float, atol: float) -> float:
    """rtol, and atol relative to the largest of the parameters."""
    largest = max(float(np.max(np.abs(x), initial=0)) for x in jax.tree.leaves(w0))
    return rtol + atol / max(largest, atol)


def rise_note(losses: Any) -> tuple[str, ...]:
    """A note if the loss is higher at the end than at the start."""
    rise = losses[-1] - losses[0]
    return (f"the loss is higher at the end, by {rise:.3g}",) if rise > 0 else ()


def balanced(
    end: tuple[Outcome, str],
    losses: Any,
    energies: Any,
    tolerance: float,
    *,
    is_rough: bool,
) -> tuple[Outcome, str]:
    """The end, or the energy balance so far off that the run did not follow its law.

    `is_rough` says that kinks were passed that were not located.
    """
    dropped = losses[0] - np.min(losses)
    gap = losses[0] - losses - energies
    if is_rough:
        gap = np.maximum(gap, np.minimum(gap + _SLIDING_SHARE * dropped, 0))
    off = np.max(np.abs(gap))
    explained = min(BALANCE_TOLERANCES * tolerance, BALANCE_SHARE) * dropped
    if end[0].ok and off > max(explained, _round_off(losses)):
        text = f"energy {energies[-1]:.4g}, loss dropped {losses[0] - losses[-1]:.4g}"
        return Outcome.unbalanced, text
    return end


def _round_off(losses: Any) -> float:
    eps = float(np.finfo(losses.dtype).eps)
    return float(_BALANCE_ULPS * eps * np.max(np.abs(losses)))


def flow_notes(
    losses: Any, w0: Params, atol: float, *, is_rough: bool
) -> tuple[str, ...]:
    """What makes the evidence of a flow weaker than it looks."""
    notes: list[str] = []
    if _round_off(losses) > BALANCE_SHARE * (losses[0] - np.min(losses)):
        notes.append(
            "the loss dropped by little more than its round-off: its energy balance "
            "says nothing"
        )
    sizes = np.concatenate([np.abs(np.ravel(x)) for x in jax.tree.leaves(w0)])
    small = int(np.sum((sizes > 0) & (sizes < _SMALL * atol)))
    if small:
        lower = "" if is_rough else "if they matter, lower atol; "
        notes.append(
            f"{small} parameters start below {_SMALL} atol = {_SMALL * atol:.1g}: "
            f"{lower}neither the error control nor the energy balance sees them"
        )
    return tuple(notes)


def energy_defect(losses: Any, energies: Any) -> float:
    """max |L(0) - L(t) - energy(t)| over the loss dropped; nan if none was dropped."""
    dropped = losses[0] - np.min(losses)
    if not dropped > 0:
        return float("nan")
    return float(np.max(np.abs(losses[0] - losses - energies)) / dropped)
