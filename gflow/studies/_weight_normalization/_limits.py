"""Part 1: where the flows of P1 end, over initial scale and rate ratio."""

import dataclasses
from typing import Any

import numpy as np

from ...models import (
    DiagonalNet,
    diagonal_limit,
    l1_excess_bound,
    l1_minimizer,
    sparse_p1,
)
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._runs import (
    descend,
    method_name,
    relative,
    run_to_limit,
    time_of,
    with_kappa,
    x_end,
)
from ._settings import Settings

# Relative l2 error of the limit, alpha -> kappa (None: plain) -> error. Computed from
# the invariants by Newton's method on the dual, independently of any flow.
TABLE: dict[float, dict[float | None, float]] = {
    0.001: {None: 1.63e-5, 0.5: 9.86e-2, 1.0: 3.53e-2, 5.0: 1.51e-5, 10.0: 8.8e-10},
    0.01: {None: 9.68e-4, 0.5: 9.87e-2, 1.0: 3.54e-2, 5.0: 1.54e-5, 10.0: 9.1e-10},
    0.1: {None: 5.94e-2, 0.5: 1.17e-1, 1.0: 4.89e-2, 5.0: 8.89e-5, 10.0: 3.1e-8},
    0.2: {None: 2.05e-1, 0.5: 1.89e-1, 1.0: 1.19e-1, 5.0: 1.45e-2, 10.0: 1.22e-3},
}
_SOURCE = "derived: dual of the potential that the flow minimizes"


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One initial scale and one method."""

    alpha: float
    kappa: float | None
    error: float
    oracle_error: float
    distance: float
    excess: float
    bound: float
    helps_by_law: bool
    time: float
    descent_time: float
    evidence: str


def p1_limits(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Every cell of the table by the flow, beside the oracle."""
    cells: list[_Cell] = []
    methods = (None, *settings.kappas)
    for alpha in settings.alphas:
        for kappa in methods:
            progress(f"P1 to its limit: alpha = {alpha:g}, {method_name(kappa)}")
            cells.append(_cell(alpha, kappa, settings))
    return StudyResult(
        claims=_claims(cells),
        dataset=_dataset(cells, settings),
        figures=(figure(),),
        evidence={
            f"P1, alpha = {c.alpha:g}, {method_name(c.kappa)}": c.evidence
            for c in cells
        },
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "p1_limits",
        "Relative error of the limit on P1 (40 unknowns, 20 equations, 3 "
        "nonzero entries) against the initial scale. Markers: the flow, run "
        "until the relative residual is 1e-12. Lines: the minimizer of the "
        "potential at the same scales, found by Newton's method without any "
        "flow. A large rate ratio keeps the sparse bias at practical initial "
        "scales; from a tiny one a small ratio is worse than plain flow. On "
        "the right each flow has its own clock: a large kappa also speeds it "
        "up. Crosses there: gradient descent on the clock t = eta k.",
        _draw,
    )


def _cell(alpha: float, kappa: float | None, settings: Settings) -> _Cell:
    data = sparse_p1()
    assert data.x_true is not None
    model = with_kappa(DiagonalNet(data.x_true.size), kappa)
    w0 = model.init(alpha)
    end = run_to_limit(model, w0, data.A, data.y, settings)
    x = x_end(model, end.run)
    descent = descend(model, w0, data.A, data.y, settings)
    limit = diagonal_limit(model, data.A, data.y, w0)
    least = float(np.sum(l1_minimizer(data.A, data.y, nonnegative=True)))
    x0 = np.full(data.x_true.size, alpha**2)
    # It helps if the effective initial scale is below the one that was given.
    start = np.asarray(model.effective(w0))
    shrunk = float(np.sum(np.asarray(limit.w0_effective["u"]) ** 2))
    return _Cell(
        alpha=alpha,
        kappa=kappa,
        error=relative(x, data.x_true),
        oracle_error=relative(np.asarray(limit.x), data.x_true),
        distance=relative(x, np.asarray(limit.x)),
        excess=float(np.sum(np.abs(x))) / least - 1,
        bound=l1_excess_bound(x0, least, kappa=kappa),
        helps_by_law=shrunk < float(np.sum(start)),
        time=end.time_fitted,
        descent_time=time_of(descent),
        evidence=f"{end.run!r}\n{descent!r}",
    )


def _claims(cells: list[_Cell]) -> tuple[Claim, ...]:
    return (*_instance_claims(), *_table_claims(cells), *_overall_claims(cells))


def _instance_claims() -> list[Claim]:
    data = sparse_p1()
    first = np.array([0.02811413, -0.02953955, 0.14320286])
    return [
        Claim(
            "p1-matrix",
            "The matrix of P1 is the one of the table: largest deviation of its first "
            "three entries from 0.02811413, -0.02953955, 0.14320286.",
            "numpy: default_rng(0).standard_normal((20, 40))/sqrt(20)",
            expected=0.0,
            measured=float(np.max(np.abs(data.A[0, :3] - first))),
            tolerance=5e-9,
            kind="at_most",
        ),
        Claim(
            "p1-least-l1",
            "The least l1 norm Q of a solution of P1 is that of the sparse vector.",
            "linear programming",
            expected=2.2,
            measured=float(np.sum(l1_minimizer(data.A, data.y, nonnegative=True))),
            tolerance=1e-9,
        ),
    ]


def _table_claims(cells: list[_Cell]) -> list[Claim]:
    claims: list[Claim] = []
    for cell in cells:
        expected = TABLE.get(cell.alpha, {}).get(cell.kappa)
        if expected is None:
            continue
        # Below 1e-6 the error of the limit is an exponential of what a solver may get
        # wrong, so only its size is claimed.
        kind, tolerance = ("relative", 0.02) if expected > 1e-6 else ("factor", 2.0)
        claims.append(
            Claim(
                f"p1-{cell.alpha:g}-{method_name(cell.kappa).replace(' = ', '-')}",
                f"Limit of the flow on P1 from w0 = {cell.alpha:g}, "
                f"{method_name(cell.kappa)}: relative error to the sparse vector.",
                _SOURCE,
                expected=expected,
                measured=cell.error,
                tolerance=tolerance,
                kind=kind,
            )
        )
    return claims


def _overall_claims(cells: list[_Cell]) -> list[Claim]:
    late = np.median([abs(c.descent_time / c.time - 1) for c in cells])
    return [
        Claim(
            "p1-oracle",
            "The flow ends where the potential's minimizer is: largest relative "
            "distance over all cells.",
            _SOURCE,
            expected=0.0,
            measured=worst([cell.distance for cell in cells]),
            tolerance=1e-8,
            kind="at_most",
        ),
        Claim(
            "p1-descent-time",
            "Gradient descent fits the data (relative residual 1e-3) at the flow's "
            "time: median relative difference over all cells.",
            "backward error analysis: of first order in eta",
            expected=0.0,
            measured=float(late),
            tolerance=0.05,
            kind="at_most",
        ),
        *_bias_claims(cells),
    ]


def _bias_claims(cells: list[_Cell]) -> list[Claim]:
    plain = {cell.alpha: cell for cell in cells if cell.kappa is None}
    others = [cell for cell in cells if cell.kappa is not None]
    predicted = [c.helps_by_law == (c.error < plain[c.alpha].error) for c in others]
    bounded = [c.excess / c.bound for c in cells if np.isfinite(c.bound)]
    return [
        Claim(
            "p1-helps-or-hurts",
            "Weight normalization helps exactly where kappa > 2 log(r/r0)/(r^2 - "
            "r0^2), r the norm of the limit: share of cells predicted rightly.",
            "derived: law of effective initialization",
            expected=1.0,
            measured=float(np.mean(predicted)),
        ),
        Claim(
            "p1-l1-excess",
            "The limit's l1 norm exceeds the least one by no more than the bound: "
            "largest excess over bound.",
            "derived: log(b1/bmin)/log(Q/b1), log(b1/bmin)/(kappa (Q - b1))",
            expected=1.0,
            # From alphas so large that there is no bound, nothing is shown.
            measured=worst(bounded),
            kind="at_most",
        ),
    ]


def _dataset(cells: list[_Cell], settings: Settings) -> Any:
    import xarray

    methods = [method_name(kappa) for kappa in (None, *settings.kappas)]
    shape = (len(settings.alphas), len(methods))

    def grid(name: str) -> Any:
        values = np.array([getattr(cell, name) for cell in cells], dtype=float)
        return (("alpha", "p1_method"), values.reshape(shape))

    return xarray.Dataset(
        {
            "p1_error": grid("error"),
            "p1_oracle_error": grid("oracle_error"),
            "p1_l1_excess": grid("excess"),
            "p1_l1_excess_bound": grid("bound"),
            "p1_time_fitted": grid("time"),
            "p1_descent_time_fitted": grid("descent_time"),
        },
        coords={"alpha": list(settings.alphas), "p1_method": methods},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels

    figure, (left, right) = panels(2)
    for method in dataset.p1_method.values:
        at = {"p1_method": method}
        (line,) = left.plot(
            dataset.alpha, dataset["p1_oracle_error"].sel(at), label=str(method)
        )
        color = line.get_color()
        left.plot(dataset.alpha, dataset["p1_error"].sel(at), "o", color=color)
        right.plot(dataset.alpha, dataset["p1_time_fitted"].sel(at), color=color)
        steps = dataset["p1_descent_time_fitted"].sel(at)
        right.plot(dataset.alpha, steps, "x", color=color)
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="initial scale α")
    left.set(title="Does the limit stay sparse?", ylabel="relative error of the limit")
    right.set(title="How soon are the data fitted?")
    right.set_ylabel("time t to residual 1e-3")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    # Where no curve of the table passes.
    _explain(left, {"-": "theory", "o": "end of the flow"}, (0.02, 0.25))
    _explain(right, {"-": "flow", "x": "gradient descent"}, (0.02, 0.02))
    return figure


def _explain(ax: Any, marks: dict[str, str], place: tuple[float, float]) -> None:
    """A second legend: what lines and markers are, whatever their color."""
    handles = [ax.plot([], [], look, color="gray")[0] for look in marks]
    ax.legend(handles, list(marks.values()), loc=place)
