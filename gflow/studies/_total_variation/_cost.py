"""Part 3: what a derivative of order k costs, by Taylor mode and nested."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...models import SmoothMLP, directional_derivatives
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_NUM_POINTS = 64


def cost(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Operations of f^(k) for a tanh net of three hidden layers, at 64 points.

    XLA counts them twice: in the program as it is written, and in what it makes of it.
    """
    import xarray

    orders = settings.cost_orders
    net = SmoothMLP(1, (settings.cost_width,) * 3)
    w = net.init(key=jax.random.key(seed))
    x = jnp.linspace(-0.5, 0.5, _NUM_POINTS)[:, None]
    measured: dict[str, list[dict[str, float]]] = {}
    values: dict[str, list[Any]] = {}
    for name, kind in (("taylor", _taylor), ("nested", _nested)):
        measured[name], values[name] = [], []
        for k in orders:
            progress(f"cost of derivatives, {name}, order {k}")
            is_compiled = name == "taylor" or k <= settings.cost_compiled
            numbers, value = _count(kind(net, k), w, x, is_compiled)
            measured[name].append(numbers)
            values[name].append(value)
    fields = ("written", "compiled", "seconds", "compile_seconds")
    dataset = xarray.Dataset(
        {
            f"cost_{field}": (
                ("cost_kind", "cost_order"),
                [[cell[field] for cell in row] for row in measured.values()],
            )
            for field in fields
        },
        coords={"cost_kind": list(measured), "cost_order": list(orders)},
    )
    return StudyResult(
        claims=_claims(dataset, values),
        dataset=dataset,
        figures=(_figure(),),
    )


def _taylor(net: SmoothMLP, order: int) -> Callable[[Any, Any], Any]:
    def f(w: Any, x: Any) -> Any:
        along = jnp.ones(1, x.dtype)
        return directional_derivatives(lambda p: net(w, p), x, along, order)[order]

    return f


def _nested(net: SmoothMLP, order: int) -> Callable[[Any, Any], Any]:
    def derivative(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda s: jax.jvp(g, (s,), (jnp.ones_like(s),))[1]

    def f(w: Any, x: Any) -> Any:
        def moved(s: Any) -> Any:
            return net(w, x + s)

        g: Callable[[Any], Any] = moved
        for _ in range(order):
            g = derivative(g)
        return g(jnp.zeros((), x.dtype))

    return f


def _count(
    f: Callable[[Any, Any], Any], w: Any, x: Any, is_compiled: bool
) -> tuple[dict[str, float], Any]:
    """Operations, seconds, and the value; nan where it is not compiled."""
    lowered = jax.jit(f).lower(w, x)
    written = _operations(lowered.cost_analysis())
    if not is_compiled:
        rest = dict.fromkeys(("compiled", "seconds", "compile_seconds"), float("nan"))
        return {"written": written, **rest}, None
    start = time.perf_counter()
    program = lowered.compile()
    compile_seconds = time.perf_counter() - start
    value = np.asarray(program(w, x))
    seconds: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        jax.block_until_ready(program(w, x))
        seconds.append(time.perf_counter() - start)
    return {
        "written": written,
        "compiled": _operations(program.cost_analysis()),
        # The least of twenty: others wait for the machine.
        "seconds": min(seconds),
        "compile_seconds": compile_seconds,
    }, value


def _operations(analysis: Any) -> float:
    counts = analysis[0] if isinstance(analysis, list) else analysis
    return float(counts["flops"]) + float(counts.get("transcendentals", 0.0))


def _slope(x: Any, y: Any) -> tuple[float, tuple[float, float]]:
    """Least squares of y against x: the slope, and two standard errors around it."""
    design = np.stack([x, np.ones(len(x))], axis=1)
    solution, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = float(residual[0]) / (len(x) - 2) if residual.size else 0.0
    error = np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
    slope = float(solution[0])
    return slope, (slope - 2 * error, slope + 2 * error)


def _claims(dataset: Any, values: dict[str, list[Any]]) -> tuple[Claim, ...]:
    k = dataset.cost_order.values.astype(float)
    claims: list[Claim] = []
    for field, what in (("written", "as written"), ("compiled", "as compiled")):
        counts = dataset[f"cost_{field}"].sel(cost_kind="taylor").values
        slope, interval = _slope(np.log(k), np.log(counts))
        claims.append(
            Claim(
                f"cost-taylor-{field}",
                f"Operations of the k-th derivative by Taylor mode, {what}, grow no "
                "faster than k²: fitted exponent (± 2 standard errors).",
                "Griewank, Walther 2008, chapter 13: O(k²)",
                expected=2.0,
                measured=slope,
                kind="at_most",
                interval=interval,
            )
        )
    counts = dataset["cost_written"].sel(cost_kind="nested").values
    slope, (low, high) = _slope(k, np.log(counts))
    claims.append(
        Claim(
            "cost-nested-doubles",
            "Operations of the nested k-th derivative, as written, double with each "
            "order: fitted factor (± 2 standard errors).",
            "each forward pass doubles the program: O(2^k)",
            expected=2.0,
            measured=float(np.exp(slope)),
            tolerance=0.25,
            interval=(float(np.exp(low)), float(np.exp(high))),
        )
    )
    return (*claims, _same_values(values))


def _same_values(values: dict[str, list[Any]]) -> Claim:
    both = zip(values["taylor"], values["nested"], strict=True)
    gaps = [np.max(abs(a - b)) / np.max(abs(b)) for a, b in both if b is not None]
    return Claim(
        "cost-same-values",
        "Taylor mode and nested differentiation give the same derivatives: largest "
        "relative difference.",
        "rounding",
        expected=0.0,
        measured=float(max(gaps, default=float("nan"))),
        tolerance=1e-11,
        kind="at_most",
    )


def _figure() -> Figure:
    return Figure(
        "cost",
        "The k-th derivative of a tanh net with three hidden layers at 64 "
        "points. Left: operations that XLA counts in the program as written "
        "(filled) and as compiled (open). XLA finds the equal parts in a "
        "small nested program; it cannot be had without making that program "
        "first. Right: seconds to compile it.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, (left, right) = panels(2)
    k = dataset.cost_order
    for kind, color in zip(("taylor", "nested"), COLORS, strict=False):
        at = {"cost_kind": kind}
        name = "Taylor mode" if kind == "taylor" else "nested"
        left.plot(k, dataset["cost_written"].sel(at), "o-", color=color, label=name)
        compiled = dataset["cost_compiled"].sel(at)
        label = f"{name}, compiled"
        left.plot(k, compiled, "o--", color=color, mfc="white", label=label)
        seconds = dataset["cost_compile_seconds"].sel(at)
        right.plot(k, seconds, "o-", color=color, label=name)
    first = float(dataset["cost_written"].sel(cost_kind="taylor")[0])
    guide = first * (k / k[0]) ** 2
    left.plot(k, guide, ":", color="gray", label="slope 2")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="order k of the derivative")
        label_ticks(ax, k.values)
        ax.legend()
    left.set(title="What does the k-th derivative cost?", ylabel="operations")
    right.set(title="How long is it compiled?", ylabel="seconds")
    return figure
