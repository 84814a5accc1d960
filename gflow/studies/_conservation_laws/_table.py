"""Part 1: the table of models with laws found, counted and published."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...invariants import Discovery, LawCount, count, discover
from .._claim import Claim
from .._parallel import Divided
from .._study import Figure, ReportProgress, StudyResult
from ._models import Model, models


class _Row(NamedTuple):
    """A model, its laws counted in two ways, and what was found without a hint.

    `exact` is None where the model is no polynomial, `found` where it has inertia:
    laws that hold the velocity are not sought.
    """

    model: Model
    exact: LawCount | None
    smooth: LawCount
    found: Discovery | None


def table(seed: int) -> Divided:
    """Each model a piece."""
    cases = models(seed)
    pieces = [partial(_row, model) for model in cases]
    costs = [1.0 if model.inputs is None else 2.0 for model in cases]
    return Divided(pieces, costs, _result)


def _row(model: Model, progress: ReportProgress) -> _Row:
    progress(f"laws of {model.name}")
    smooth = count(**model.arguments, flow=model.flow, method="smooth")
    if model.flow is not None:
        exact = count(**model.arguments, flow=model.flow)
        return _Row(model, exact if exact.method == "exact" else None, smooth, None)
    found = discover(**model.arguments)
    exact = found.count if found.count.method == "exact" else None
    return _Row(model, exact, smooth, found)


def _result(rows: Sequence[_Row]) -> StudyResult:
    return StudyResult(
        claims=tuple(claim for row in rows for claim in _claims(row)),
        dataset=_dataset(rows),
        figures=(figure(),),
        evidence={f"laws of {row.model.name}": _evidence(row) for row in rows},
    )


def _claims(row: _Row) -> list[Claim]:
    model = row.model
    slug = model.name.replace(",", "").replace(" = ", "").replace(" ", "-").lower()
    claims: list[Claim] = []
    for counted in (row.exact, row.smooth):
        if counted is not None:
            claims.append(
                Claim(
                    f"{counted.method}-{slug}",
                    f"{model.name}: {model.laws}, counted as {counted!r}.",
                    model.source,
                    expected=model.known,
                    measured=counted.num_laws if counted.is_clear else np.nan,
                )
            )
    if row.found is not None:
        claims.append(
            Claim(
                f"found-{slug}",
                f"{model.name}: laws found from gradients alone, {_formulas(row.found)}"
                f" ({row.found.verdict}).",
                model.source,
                expected=model.known,
                measured=len(row.found.laws),
            )
        )
    return claims


def _formulas(found: Discovery) -> str:
    shown = "; ".join(law.formula for law in found.laws[:2]) or "none"
    return shown + (" and others" if len(found.laws) > 2 else "")


def _evidence(row: _Row) -> str:
    lines = [repr(counted) for counted in (row.exact, row.smooth) if counted]
    return "\n".join([*lines, *([] if row.found is None else [repr(row.found)])])


def _dataset(rows: Sequence[_Row]) -> Any:
    import xarray

    def column(values: list[Any]) -> tuple[str, list[Any]]:
        return "model", values

    return xarray.Dataset(
        {
            "laws": column([row.model.laws for row in rows]),
            "laws_known": column([row.model.known for row in rows]),
            "laws_exact": column(
                [row.exact.num_laws if row.exact else np.nan for row in rows]
            ),
            "laws_smooth": column([row.smooth.num_laws for row in rows]),
            "laws_found": column(
                [len(row.found.laws) if row.found else np.nan for row in rows]
            ),
            "dimension": column([row.smooth.dimension for row in rows]),
            "gap": column([row.smooth.gap for row in rows]),
        },
        coords={"model": [row.model.name for row in rows]},
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "table",
        "Independent conservation laws of each model: published (bars), counted "
        "exactly modulo a prime (squares), by singular values of brackets (crosses), "
        "and found from gradients alone (dots). A missing mark: no polynomial, or a "
        "flow with inertia, whose laws hold the velocity and are not sought.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, [ax] = panels(1)
    figure.set_size_inches(9.6, 0.36 * dataset.sizes["model"] + 1.4)
    place = np.arange(dataset.sizes["model"])[::-1]
    ax.barh(place, dataset["laws_known"], color="#d0d0d0", label="published")
    marks = (("laws_exact", "s", "exact"), ("laws_smooth", "x", "smooth"))
    for k, (name, mark, label) in enumerate((*marks, ("laws_found", "o", "found"))):
        ax.plot(
            dataset[name],
            place + 0.22 * (1 - k),
            mark,
            color=COLORS[k],
            label=label,
            clip_on=False,
        )
    known = dataset["laws_known"].values.astype(int)
    names = dataset["model"].values
    ax.set_yticks(place, [f"{name}: {n}" for name, n in zip(names, known, strict=True)])
    ax.set(xlabel="independent conservation laws", ylim=(-0.6, len(place) - 0.4))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower right")
    ax.set_title("Are as many laws found as there are?")
    return figure
