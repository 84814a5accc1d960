"""Whether quantities are conserved along a run, and if not, why."""

import dataclasses
from typing import Literal, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .._results import Outcome
from .._types import InvariantFn, Invariants
from ..flows import Flow, GradientFlow
from ..steppers import GradientDescent, Stepper
from ..trajectory import Trajectory, relative_tolerance
from ._along import Along, along
from ._descent_drift import DescentDrift, descent_drift

Verdict = Literal[
    "conserved", "tolerance", "kinks", "step size", "undecided", "violated"
]

# The drift of a law over the tolerance lies in [0.01, 10] (benchmarks/drift.py).
_TOLERANCES = 10.0

# How far the drift under gradient descent may be from its leading order, and how much
# of the third order may come on top, in units of the cubes of relative steps.
_LEADING, _THIRD = 0.5, 10.0


@dataclasses.dataclass(frozen=True)
class Verified:
    """A quantity along a run, and what explains its drift.

    **Fields:**

    - `name`, `formula`; `formula` is empty if the quantity has none.
    - `ts`: (K,), the saved times; `moved`: (K,), ‖h(w(t)) - h(w0)‖ over `scale`, the
        largest norm of the pieces of which h is made.
    - `rate`: the largest |⟨∇h, v⟩| over Σ_i |∂_i h v_i| at the saved points, v the
        velocity of gradient flow; nan if the run's law of motion does not follow it.
    - `explained`: (K,), how far h may have moved, over `scale`: by the tolerance of a
        flow; of gradient descent, how far it moves to leading order in the step size;
        nan if there is no theory.
    - `verdict`: conserved (to round-off), tolerance, kinks (that the flow passed
        unlocated), step size, undecided, violated; `reason` in words.
    """

    name: str
    formula: str
    ts: Float[np.ndarray, " k"]
    moved: Float[np.ndarray, " k"]
    scale: float
    rate: float
    explained: Float[np.ndarray, " k"]
    verdict: Verdict
    reason: str

    @property
    def drift(self) -> float:
        """The largest of `moved`."""
        return float(np.max(self.moved))

    @property
    def holds(self) -> bool:
        """Whether the quantity is a law of the run, as far as can be told."""
        return self.verdict not in ("undecided", "violated")


@dataclasses.dataclass(frozen=True)
class Verification:
    """Quantities along a run, in a table."""

    rows: tuple[Verified, ...]

    @property
    def holds(self) -> bool:
        """Whether all are conserved but for what is explained."""
        return all(row.holds for row in self.rows)

    def __getitem__(self, name: str) -> Verified:
        """The quantity of that name."""
        return {row.name: row for row in self.rows}[name]

    def __repr__(self) -> str:
        """A line a quantity."""
        head = ("name", "drift", "explained", "rate", "verdict", "why")
        lines = [head] + [
            (
                row.name,
                f"{row.drift:.1e}",
                f"{np.max(row.explained):.1e}",
                f"{row.rate:.0e}",
                row.verdict,
                row.reason,
            )
            for row in self.rows
        ]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )


def verify(trajectory: Trajectory, invariants: Invariants) -> Verification:
    """Tell why quantities drift along a run: tolerance, step size, or no law.

    A conservation law makes ⟨∇h, v⟩ vanish at every point, v = -G^-1 ∇L. Where it does
    not, by more than round-off, h is violated. Else the drift is that of the method.

    Of a flow it is at most 10 times the tolerance, relative to the pieces of h; more
    where the run says of itself that it passed kinks without locating them; else h is
    violated all the same: the run is not of the problem that it has now.

    Of gradient descent the steps are made once more. The sum of η ⟨∇h, v⟩ over all of
    them is 0 for a law, and the drift of one, to leading order, is

        h(t) - h(0) = Σ_k ½ η² vᵀ∇²h v.

    Where it is more than that and the third order may be, h is undecided: not smooth,
    or steep next to a singularity.

    **Arguments:**

    - `trajectory`: with parameters saved.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`.

    **Returns:** a `Verification`. Under other flows and methods there is no theory
    here: what moves beyond round-off is undecided, beyond the tolerance of a flow
    violated.

    **Raises:** `ValueError` if the run kept no parameters, or a quantity cannot be
    evaluated or is not real; `TypeError` if they are no mapping.

    **Cost:** at each saved point one gradient, and as many derivatives of h as it has
    entries, kept as a matrix; of gradient descent the run once more besides.

    **References:** Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka 2021 (arXiv
    2012.04728); of gradient descent, Hairer, Lubich, Wanner 2006, IX.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    >>> w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    >>> laws = {
    ...     "balance": lambda w: w["u"] ** 2 - w["v"] ** 2,
    ...     "sum": lambda w: w["u"] + w["v"],
    ... }
    >>> run = gf.simulate(problem, gf.GradientFlow(), w0, t1=1.0)
    >>> [row.verdict for row in gf.invariants.verify(run, laws).rows]
    ['tolerance', 'violated']

    ```
    """
    measured = along(trajectory, invariants)
    law, steps = trajectory.origin.law, None
    if isinstance(law, GradientDescent) and not trajectory.stats.get("num_estimates"):
        steps = descent_drift(trajectory, invariants)
    rows: list[Verified] = []
    with np.errstate(all="ignore"):  # what is not finite is undecided
        for name, told in measured.items():
            rows.append(_verified(name, invariants[name], trajectory, told, steps))
    return Verification(tuple(rows))


def _verified(
    name: str,
    h: InvariantFn,
    trajectory: Trajectory,
    told: Along,
    steps: DescentDrift | None,
) -> Verified:
    scale = max(float(np.max(told.scales)), float(np.finfo(float).tiny))
    change = (told.values - told.values[0]) / scale
    moved = np.linalg.norm(change, axis=1)
    law = trajectory.origin.law
    follows = isinstance(law, GradientFlow | Stepper)
    rate = float(np.max(told.rates)) if follows else np.nan
    # Each step rounds the parameters; their sum walks at random.
    eps = float(np.finfo(told.values.dtype).eps)
    noise = eps * (100 + 10 * trajectory.stats["num_steps"] ** 0.5)
    if steps is not None:
        theory = _by_step_size(name, steps, scale, change, noise)
    elif isinstance(law, Flow):
        theory = _by_tolerance(trajectory, moved)
    else:
        hint = f"there is no theory here of {trajectory.origin.law_name}"
        theory = _Theory(np.full(len(moved), np.nan), "undecided", hint)
    broken = ~np.isfinite(moved + told.scales + np.max(told.rates, axis=1))
    verdict, reason = theory.verdict, theory.reason
    if broken.any():
        first = trajectory.ts[broken][0]
        verdict, reason = "undecided", f"not finite, or no slope, at t = {first:.6g}"
    elif rate > eps**0.5:  # even if it stood still: a projection may have held it
        verdict, reason = "violated", "the velocity itself changes it"
    elif np.max(moved) <= noise:
        verdict, reason = "conserved", "to round-off"
    claimed, by = getattr(h, "conserved_by", ()), type(law).__name__
    if (
        verdict == "violated"
        and isinstance(law, Flow)
        and claimed
        and by not in claimed
    ):
        reason += f"; claimed of {', '.join(claimed)}, not of {by}"
    return Verified(
        name=name,
        formula=getattr(h, "formula", ""),
        ts=trajectory.ts,
        moved=moved,
        scale=scale,
        rate=rate,
        explained=theory.explained,
        verdict=verdict,
        reason=reason,
    )


class _Theory(NamedTuple):
    """How much drift there may be, and what that of a law is to be called."""

    explained: Float[np.ndarray, " k"]
    verdict: Verdict
    reason: str


def _by_tolerance(trajectory: Trajectory, moved: Float[np.ndarray, " k"]) -> _Theory:
    options, law = trajectory.origin.options, trajectory.origin.law
    params = eqx.filter(trajectory.w0, eqx.is_inexact_array)
    tolerance = relative_tolerance(params, options["rtol"], options["atol"])
    ratio = float(np.max(moved)) / tolerance
    verdict, reason = "tolerance", f"{ratio:.2g} of it"
    if ratio > _TOLERANCES and trajectory.result is Outcome.reached_roughly:
        verdict, reason = "kinks", f"passed unlocated; {ratio:.2g} tolerances"
    elif ratio > _TOLERANCES:
        verdict, reason = "violated", f"moves by {ratio:.2g} tolerances"
    elif not isinstance(law, GradientFlow):
        verdict = "undecided"
        reason = f"below the tolerance; there is no theory here of {type(law).__name__}"
    return _Theory(np.full(len(moved), _TOLERANCES * tolerance), verdict, reason)


def _by_step_size(
    name: str,
    steps: DescentDrift,
    scale: float,
    change: Float[np.ndarray, "k entries"],
    noise: float,
) -> _Theory:
    leading = steps.leading[name] / scale
    explained = np.linalg.norm(leading, axis=1)
    first = float(np.max(np.linalg.norm(steps.first[name] / scale, axis=1)))
    off = float(np.max(np.linalg.norm(change - leading, axis=1)))
    most = float(np.max(explained))
    third = _THIRD * float(np.max(steps.cubes))
    verdict = "step size"
    if most > noise:
        times = float(np.max(np.linalg.norm(change, axis=1))) / most
        reason = f"{times:.3g} times its leading order"
    else:
        reason = "of higher order: the leading one vanishes"
    if not np.isfinite(first + off):
        verdict, reason = "undecided", "the steps are not finite"
    elif first > noise * (1 + float(np.max(steps.path))):
        verdict, reason = "violated", "steps change it to first order"
    elif off > _LEADING * most + third + noise:
        verdict, reason = "undecided", f"{reason}, and more than the third may be"
    return _Theory(explained, verdict, reason)
