"""What the cost of derivatives is held against."""

from typing import Any

import numpy as np

from .._claim import Claim
from .._statistics import worst

# The least highest order of which a power can be told.
_FAR = 6

_GROWTHS = (
    ("cost-taylor-written", "derivative", "written", "the k-th derivative"),
    ("cost-taylor-compiled", "derivative", "compiled", "the k-th derivative"),
    (
        "cost-gradient-written",
        "gradient",
        "written",
        "the gradient in the parameters of the k-TV penalty",
    ),
)


def claims_of(dataset: Any, values: dict[tuple[str, str], list[Any]]) -> list[Claim]:
    """How operations grow with the order, and that both ways agree."""
    k = dataset.cost_order.values.astype(float)
    claims: list[Claim] = []
    # What grows as k³ is hidden at low orders by what grows as k.
    if len(k) > 3 and k[-1] >= _FAR:
        claims += [_growth(dataset, *case) for case in _GROWTHS]
        claims += [_bend(dataset, *case) for case in _GROWTHS if case[2] == "written"]
    counts = dataset["cost_written"].sel(cost_of="derivative", cost_kind="nested")
    slope, (low, high) = slope_of(k, np.log(counts.values))
    claims.append(
        Claim(
            "cost-nested-doubles",
            "Operations of the nested k-th derivative, as written, double with each "
            "order: fitted factor (95 %).",
            "each forward pass doubles the program: O(2^k)",
            expected=2.0,
            measured=float(np.exp(slope)),
            tolerance=0.25,
            interval=(float(np.exp(low)), float(np.exp(high))),
        )
    )
    taylor = dataset["cost_written"].sel(cost_kind="taylor")
    ratio = taylor.sel(cost_of="gradient") / taylor.sel(cost_of="derivative")
    claims.append(
        Claim(
            "cost-gradient-cheap",
            "Operations, as written, of the gradient through k-TV over those of the "
            "k-th derivative, both by Taylor mode: largest over k.",
            "Griewank, Walther 2008, chapter 4: at most 5, reverse mode of anything",
            expected=5.0,
            measured=worst(ratio),
            kind="at_most",
        )
    )
    return [*claims, *(_same_values(values, of) for of in ("derivative", "gradient"))]


def _growth(dataset: Any, name: str, of: str, field: str, what: str) -> Claim:
    """The power of k with which the operations by Taylor mode grow at the end."""
    k, counts = _taylor_counts(dataset, of, field)
    (x0, x1), (y0, y1) = np.log(k[-2:]), np.log(counts[-2:])
    return Claim(
        name,
        f"Operations of {what} by Taylor mode, as {field}, grow no faster than k²: "
        f"exponent between the orders {k[-2]:g} and {k[-1]:g}. Their second difference "
        f"at the last three orders is {_bending(k, counts):.3g} times that at the "
        "first; O(k²) keeps it bounded.",
        "Griewank, Walther 2008, chapter 13: O(k²)",
        expected=2.0,
        measured=float((y1 - y0) / (x1 - x0)),
        kind="at_most",
    )


def _bend(dataset: Any, name: str, of: str, field: str, what: str) -> Claim:
    """Whether the operations are a polynomial of degree 2 in k."""
    return Claim(
        name.replace("written", "quadratic"),
        f"Operations of {what} by Taylor mode, as {field}, are quadratic in k: second "
        "difference at the last three orders over that at the first three.",
        "derived: a term k³ makes it rise as the sum of the three orders",
        expected=1.0,
        measured=_bending(*_taylor_counts(dataset, of, field)),
        tolerance=0.01,
    )


def _taylor_counts(dataset: Any, of: str, field: str) -> tuple[Any, Any]:
    counts = dataset[f"cost_{field}"].sel(cost_of=of, cost_kind="taylor").values
    return dataset.cost_order.values.astype(float), counts


def _bending(k: Any, counts: Any) -> float:
    """Second divided difference at the last three orders over that at the first."""
    last, first = (
        np.polyfit(k[at], counts[at], 2)[0] for at in (np.s_[-3:], np.s_[:3])
    )
    return float(last / first)


def _same_values(values: dict[tuple[str, str], list[Any]], of: str) -> Claim:
    both = zip(values[of, "taylor"], values[of, "nested"], strict=True)
    gaps = [
        np.max(abs(a - b)) / np.max(abs(b))
        for a, b in both
        if a is not None and b is not None
    ]
    names = {
        "derivative": ("cost-same-values", "derivatives"),
        "gradient": ("cost-same-gradients", "gradients of k-TV"),
    }
    name, what = names[of]
    return Claim(
        name,
        f"Taylor mode and nested differentiation give the same {what}: largest "
        "relative difference.",
        "rounding",
        expected=0.0,
        measured=worst(gaps),
        tolerance=1e-11,
        kind="at_most",
    )


def slope_of(x: Any, y: Any) -> tuple[float, tuple[float, float]]:
    """Least squares of y against x: the slope, and Student's 95 % interval of it."""
    from scipy.stats import t

    design = np.stack([x, np.ones(len(x))], axis=1)
    solution, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = float(residual[0]) / (len(x) - 2) if residual.size else 0.0
    error = np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
    slope = float(solution[0])
    half = float(t.ppf(0.975, len(x) - 2)) * error
    return slope, (slope - half, slope + half)
