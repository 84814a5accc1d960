"""Part 3: what derivatives of order k cost, by Taylor mode and nested."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ...models import SmoothMLP, directional_derivatives
from .._study import Figure, ReportProgress, StudyResult
from ._cost_claims import claims_of
from ._settings import Settings

_NUM_POINTS = 64
_OF = ("derivative", "gradient")
_KINDS = ("taylor", "nested")
_FIELDS = ("written", "compiled", "seconds", "compile_seconds")


def cost(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Operations for a tanh net of three hidden layers, at 64 points.

    Of f^(k), and of the gradient in the parameters of the k-TV penalty, where reverse
    mode runs through f^(k). XLA counts them twice: in the program as it is written,
    and in what it makes of it.
    """
    import xarray

    orders = settings.cost_orders
    net = SmoothMLP(1, (settings.cost_width,) * 3)
    w = net.init(key=jax.random.key(seed))
    measured = np.full((len(_OF), len(_KINDS), len(orders), len(_FIELDS)), np.nan)
    values: dict[tuple[str, str], list[Any]] = {}
    for i, of in enumerate(_OF):
        for j, kind in enumerate(_KINDS):
            values[of, kind] = []
            for m, k in enumerate(orders):
                progress(f"cost of the {of}, {kind}, order {k}")
                f = _program(net, of, kind, k)
                is_cheap = (of, kind) == ("derivative", "taylor")
                is_compiled = is_cheap or k <= settings.cost_compiled
                measured[i, j, m], value = _count(f, w, is_compiled)
                values[of, kind].append(value)
    axes = ("cost_of", "cost_kind", "cost_order")
    dataset = xarray.Dataset(
        {f"cost_{name}": (axes, measured[..., n]) for n, name in enumerate(_FIELDS)},
        coords={
            "cost_of": list(_OF),
            "cost_kind": list(_KINDS),
            "cost_order": list(orders),
        },
    )
    return StudyResult(
        claims=tuple(claims_of(dataset, values)),
        dataset=dataset,
        figures=(figure(),),
        evidence=_seconds(dataset),
    )


def _program(
    net: SmoothMLP, of: str, kind: str, order: int
) -> Callable[[Any, Any], Any]:
    """(w, x) -> f^(k) at x, or the gradient in w of the mean of ½ (f^(k))² over x."""
    f = _taylor(net, order) if kind == "taylor" else _nested(net, order)
    if of == "derivative":
        return f
    return jax.grad(lambda w, x: 0.5 * jnp.mean(f(w, x) ** 2))


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
    f: Callable[[Any, Any], Any], w: Any, is_compiled: bool
) -> tuple[tuple[float, ...], Any]:
    """The fields above, and the value; nan where it is not compiled."""
    x = jnp.linspace(-0.5, 0.5, _NUM_POINTS)[:, None]
    lowered = jax.jit(f).lower(w, x)
    written = _operations(lowered.cost_analysis())
    if not is_compiled:
        return (written, float("nan"), float("nan"), float("nan")), None
    start = time.perf_counter()
    program = lowered.compile()
    compile_seconds = time.perf_counter() - start
    value = np.asarray(ravel_pytree(program(w, x))[0])
    seconds: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        jax.block_until_ready(program(w, x))
        seconds.append(time.perf_counter() - start)
    compiled = _operations(program.cost_analysis())
    # The least of twenty: others wait for the machine.
    return (written, compiled, min(seconds), compile_seconds), value


def _seconds(dataset: Any) -> dict[str, str]:
    """What a call took of each compiled program: told, and no claim's."""
    found: dict[str, str] = {}
    for of in _OF:
        for kind in _KINDS:
            at = {"cost_of": of, "cost_kind": kind}
            told = [
                f"k = {int(k)}: {1e6 * float(seconds):.0f}"
                for k, seconds in zip(
                    dataset.cost_order, dataset["cost_seconds"].sel(at), strict=True
                )
                if np.isfinite(seconds)
            ]
            found[f"cost, microseconds of the {of}, {kind}"] = ", ".join(told)
    return found


def _operations(analysis: Any) -> float:
    counts = analysis[0] if isinstance(analysis, list) else analysis
    return float(counts["flops"]) + float(counts.get("transcendentals", 0.0))


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "cost",
        "A tanh net with three hidden layers at 64 points. Left: operations that XLA "
        "counts for its k-th derivative, in the program as written (filled) and as "
        "compiled (open); it finds the equal parts in a small nested program, and "
        "cannot without making that program first. Middle: the same for the gradient "
        "in the parameters of the k-TV penalty. Right: seconds to compile either.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, axes = panels(3, columns=3)
    k = dataset.cost_order
    for kind, color in zip(_KINDS, COLORS, strict=False):
        name = "Taylor mode" if kind == "taylor" else kind
        for ax, of, look in zip(axes, _OF, ("o-", "s--"), strict=False):
            at = {"cost_kind": kind, "cost_of": of}
            ax.plot(k, dataset["cost_written"].sel(at), "o-", color=color, label=name)
            compiled = dataset["cost_compiled"].sel(at)
            label = f"{name}, compiled"
            ax.plot(k, compiled, "o--", color=color, mfc="white", label=label)
            seconds = dataset["cost_compile_seconds"].sel(at)
            axes[2].plot(k, seconds, look, color=color, label=f"{name}, {of}")
    for ax, of in zip(axes, _OF, strict=False):
        first = float(dataset["cost_written"].sel(cost_kind="taylor", cost_of=of)[0])
        ax.plot(k, first * (k / k[0]) ** 2, ":", color="gray", label="slope 2")
        ax.set(ylabel="operations")
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="order k of the derivative")
        label_ticks(ax, k.values)
        ax.legend()
    axes[0].set_title("What does the k-th derivative cost?")
    axes[1].set_title("What does k-TV's gradient cost?")
    axes[2].set(title="How long are they compiled?", ylabel="seconds")
    return figure
