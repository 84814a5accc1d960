"""Whether quantities are conserved along a run, and if not, why."""

import dataclasses
from typing import Literal, NamedTuple, get_args

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from .._types import Invariants
from ..flows import Flow, GradientFlow
from ..steppers import GradientDescent, Stepper
from ..trajectory import Trajectory, relative_tolerance
from ._along import Along, along

Verdict = Literal["conserved", "tolerance", "step size", "no theory", "violated"]

# The drift of a law over the tolerance lies in [0.01, 10] (benchmarks/drift.py).
_TOLERANCES = 10.0

# Sums of round-off, in units in the last place of the pieces of a law.
_ULPS = 1e4

# Points where the velocity is below this share of its largest: its own round-off, which
# obeys no law, is seen there first.
_SLOW = 1e-2


@dataclasses.dataclass(frozen=True)
class Verified:
    """A quantity along a run, and what explains its drift.

    **Fields:**

    - `name`, `formula`; `formula` is empty if the quantity has none.
    - `ts`: (K,), the saved times; `moved`: (K,), ‖h(w(t)) - h(w0)‖ over `scale`, the
        largest norm of the pieces of which h is made.
    - `rate`: the largest |⟨∇h, v⟩| over Σ_i |∂_i h v_i|, v the velocity of gradient
        flow where the run came by; nan if its law of motion does not follow it.
    - `explained`: (K,), how far h may have moved, over `scale`: by the tolerance of a
        flow; of gradient descent, how far it moves to leading order in the step size;
        nan if there is no theory.
    - `verdict`: conserved (to round-off), tolerance, step size, no theory, violated;
        `reason` in words.
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
        return self.verdict in get_args(Verdict)[:3]


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
    not, by more than round-off, h is violated whatever its drift. Where it does, the
    drift is the method's. Of a flow it is at most 10 times the tolerance, relative to
    the pieces of h; more is violated as well: the run did not follow the velocity that
    its problem has now. Of gradient descent it is that of its steps, and said beside
    their leading order

        h(t) - h(0) = ½ ∫ η vᵀ∇²h v dt,

    by the trapezoidal rule over the saved points. Where steps are large, or points few,
    the drift is some other multiple of that than 1.

    **Arguments:**

    - `trajectory`: with parameters saved, densely enough for the integral.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`.

    **Returns:** a `Verification`. Under other flows and discrete methods there is no
    theory here: quantities that move beyond tolerance or round-off are told so.

    **Raises:** `ValueError` if the run kept no parameters, or an invariant cannot be
    evaluated; `TypeError` if they are no mapping.

    **Cost:** at each saved point one gradient, and as many derivatives of h as it has
    entries.

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
    measured, speeds = along(trajectory, invariants)
    fast = speeds >= _SLOW * np.max(speeds)
    rows: list[Verified] = []
    for name, told in measured.items():
        formula = getattr(invariants[name], "formula", "")
        rows.append(_verified(name, formula, trajectory, told, fast))
    return Verification(tuple(rows))


def _verified(
    name: str,
    formula: str,
    trajectory: Trajectory,
    told: Along,
    fast: Bool[np.ndarray, " k"],
) -> Verified:
    scale = max(float(np.max(told.scales)), float(np.finfo(float).tiny))
    change = (told.values - told.values[0]) / scale
    moved = np.linalg.norm(change, axis=1)
    eps = float(np.finfo(told.values.dtype).eps)
    law = trajectory.origin.law
    follows = isinstance(law, GradientFlow | Stepper)
    rate = float(np.max(told.rates[fast])) if follows else np.nan
    theory = _theory(trajectory, told, change, scale)
    verdict: Verdict
    if not np.all(np.isfinite(moved)):
        first = trajectory.ts[~np.isfinite(told.values).all(axis=1)][0]
        verdict, reason = "violated", f"not finite at t = {first:.6g}"
    elif rate > eps**0.5:
        verdict, reason = "violated", "the velocity itself changes it"
    elif np.max(moved) <= _ULPS * eps:
        verdict, reason = "conserved", "to round-off"
    elif theory is None:
        verdict, reason = "no theory", f"of {trajectory.origin.law_name}"
    elif theory.fits:
        verdict, reason = theory.verdict, theory.reason
    else:
        verdict, reason = "violated", f"more than {theory.reason}"
    explained = np.full(len(moved), np.nan) if theory is None else theory.explained
    return Verified(
        name, formula, trajectory.ts, moved, scale, rate, explained, verdict, reason
    )


class _Theory(NamedTuple):
    """What explains a drift: how much of it, whether that is all, and in words."""

    explained: Float[np.ndarray, " k"]
    fits: bool
    verdict: Verdict
    reason: str


def _theory(
    trajectory: Trajectory,
    told: Along,
    change: Float[np.ndarray, "k entries"],
    scale: float,
) -> _Theory | None:
    law = trajectory.origin.law
    if isinstance(law, Flow):
        return _by_tolerance(trajectory, change)
    if isinstance(law, GradientDescent) and not trajectory.stats.get("num_estimates"):
        return _by_step_size(trajectory.ts, law, told.bends / scale, change)
    return None


def _by_tolerance(
    trajectory: Trajectory, change: Float[np.ndarray, "k entries"]
) -> _Theory:
    options = trajectory.origin.options
    params = eqx.filter(trajectory.w0, eqx.is_inexact_array_like)
    tolerance = relative_tolerance(params, options["rtol"], options["atol"])
    ratio = float(np.max(np.linalg.norm(change, axis=1))) / tolerance
    return _Theory(
        np.full(len(change), _TOLERANCES * tolerance),
        ratio <= _TOLERANCES,
        "tolerance",
        f"the tolerance explains: {ratio:.2g} of it",
    )


def _by_step_size(
    ts: Float[np.ndarray, " k"],
    law: GradientDescent,
    bends: Float[np.ndarray, "k entries"],
    change: Float[np.ndarray, "k entries"],
) -> _Theory:
    eta = np.asarray(law.eta)
    if eta.ndim:  # of each step: that of the step which begins at each saved time
        begins = np.append(0.0, np.cumsum(eta))[:-1]
        last = np.searchsorted(begins, ts, side="right") - 1
        eta = eta[np.clip(last, 0, len(eta) - 1)][:, None]
    rises = 0.5 * eta * bends
    steps = np.diff(ts)[:, None] * (rises[1:] + rises[:-1]) / 2
    zero = np.zeros((1, bends.shape[1]))
    predicted = np.concatenate([zero, np.cumsum(steps, axis=0)])
    explained = np.linalg.norm(predicted, axis=1)
    most = float(np.max(explained))
    if most <= _ULPS * float(np.finfo(change.dtype).eps):
        reason = "of higher order: the leading one vanishes"
    else:
        times = float(np.max(np.linalg.norm(change, axis=1))) / most
        reason = f"{times:.3g} times its leading order"
    return _Theory(explained, True, "step size", reason)
