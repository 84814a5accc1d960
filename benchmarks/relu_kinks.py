"""Does the integration through kinks follow the flow of a ReLU net, and at what cost?

    python benchmarks/relu_kinks.py            20 seeds at m = 8 and 16, some minutes
    python benchmarks/relu_kinks.py --quick    2 seeds, coarse Euler, not kept

n = 50, d = 10, data and labels N(0, 1), LeCun initialization, both rates 1, to t = 2.
The reference is fixed-step Euler at several steps, extrapolated by a line in the step.
Where the flow is undetermined (a kink turns repelling under a value held on it) Euler
has no limit: its endpoints then jump from one step size to the next, and so they are
told apart by `report`, not by their disagreement. Beside them a net of n = 200 and
width 1000, whose kinks are too many to be located each.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _table import conditions

import gflow as gf
from gflow.invariants import relu_invariants
from gflow.models import TwoLayerReLU
from gflow.solvers import Filippov

_HERE = Path(__file__).parent
_TIMES = np.array([0.1, 0.5, 1.0, 1.5, 2.0])
_SOLVER = Filippov()


@dataclasses.dataclass(frozen=True)
class Effort:
    """Seeds, widths, Euler steps and tolerances."""

    seeds: Sequence[int] = tuple(range(20))
    widths: Sequence[int] = (8, 16)
    euler: Sequence[float] = (1e-4, 5e-5, 2e-5, 1e-5, 5e-6, 2e-6)
    rtols: Sequence[float] = (1e-4, 1e-6, 1e-8)
    # Examples and width of the net that is too wide, and its two steps of Euler.
    wide: tuple[int, int] = (200, 1000)
    coarse: tuple[float, float] = (1.25e-4, 6.25e-5)


QUICK = Effort((0, 1), (8,), (1e-4, 5e-5), (1e-4, 1e-6), (60, 100), (2e-4, 1e-4))


def instance(seed: int, n: int, d: int, m: int) -> tuple[Any, Any, Any]:
    """X, y, w0, drawn in the order X, y, W, a."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    W = rng.standard_normal((m, d)) / np.sqrt(d)
    a = rng.standard_normal(m) / np.sqrt(m)
    return X, y, {"w": jnp.asarray(W), "a": jnp.asarray(a)}


def euler(
    cases: list[Any], step: float, rates: tuple[float, float] = (1.0, 1.0)
) -> Any:
    """Losses (seeds, times) and endpoints (seeds, parameters) of fixed-step Euler."""
    for_w, for_a = (step * rate for rate in rates)

    def one(X: Any, y: Any, w: Any) -> Any:
        def forward(_: Any, w: Any) -> Any:
            z = X @ w["w"].T
            hidden = jnp.maximum(z, 0)
            r = hidden @ w["a"] - y
            to_w = ((z > 0) * r[:, None] * w["a"]).T @ X
            return {"w": w["w"] - for_w * to_w, "a": w["a"] - for_a * (hidden.T @ r)}

        losses: list[Any] = []
        counts = np.diff(np.rint(np.concatenate([[0.0], _TIMES]) / step).astype(int))
        for count in counts:
            w = jax.lax.fori_loop(0, int(count), forward, w)
            r = jnp.maximum(X @ w["w"].T, 0) @ w["a"] - y
            losses.append(0.5 * r @ r)
        return jnp.stack(losses), jnp.concatenate([w["w"].ravel(), w["a"]])

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cases)
    return jax.device_get(jax.jit(jax.vmap(one))(*stacked))


def limit(steps: Sequence[float], losses: Any) -> Any:
    """The value at step 0 of a line through losses (steps, ...), small steps first."""
    h = np.asarray(steps)
    rows = np.stack([np.ones_like(h), h], 1) / h[:, None]
    flat = np.reshape(losses, (len(h), -1)) / h[:, None]
    return np.reshape(np.linalg.lstsq(rows, flat, rcond=None)[0][0], losses.shape[1:])


def run(case: Any, rtol: float) -> dict[str, Any]:
    """One flow through kinks and what it reports."""
    X, y, w0 = case
    net = TwoLayerReLU(X.shape[1], len(w0["a"]))
    clock = time.perf_counter()
    flow = gf.simulate(
        net.problem(X, y),
        gf.GradientFlow(),
        w0,
        float(_TIMES[-1]),
        rtol=rtol,
        atol=1e-3 * rtol,
        solver=_SOLVER,
        invariants=relu_invariants(net),
        save=gf.Save.at(_TIMES),
        throw=False,
    )
    return {
        "rtol": rtol,
        "result": flow.result.name,
        "loss": flow.observed["loss"][1:].tolist(),
        "end": np.concatenate([flow.w1["w"].ravel(), flow.w1["a"]]),
        "drift": flow.drift["neurons"].relative,
        "energy_defect": flow.energy_defect,
        "steps": [flow.stats["num_accepted"], flow.stats["num_rejected"]],
        "seconds": flow.stats["seconds"],
        "seconds_with_compile": time.perf_counter() - clock,
        **{name: int(value) for name, value in flow.stats["solver"].items()},
    }


def compare(width: int, effort: Effort) -> list[dict[str, Any]]:
    """Each seed's runs, beside the limit of Euler and its endpoints at each step."""
    cases = [instance(seed, 50, 10, width) for seed in effort.seeds]
    swept = [euler(cases, step) for step in effort.euler]
    limits = limit(effort.euler, np.stack([losses for losses, _ in swept]))
    rows: list[dict[str, Any]] = []
    for i, (seed, case) in enumerate(zip(effort.seeds, cases, strict=True)):
        for rtol in effort.rtols:
            row = {"width": width, "seed": seed, **run(case, rtol)}
            end = row.pop("end")
            gap = np.abs(np.array(row["loss"]) - limits[i]) / limits[i]
            row["gap_to_euler_limit"] = float(gap.max())
            row["distance_to_euler"] = [
                float(np.linalg.norm(ends[i] - end) / np.linalg.norm(end))
                for _, ends in swept
            ]
            rows.append(row)
            print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """A run in a line."""
    distances = " ".join(f"{x:.0e}" for x in row["distance_to_euler"])
    return (
        f"m={row['width']:<3} seed {row['seed']:<3} rtol {row['rtol']:.0e} "
        f"loss {row['loss'][-1]:.6g} gap {row['gap_to_euler_limit']:.1e} "
        f"drift {row['drift']:.1e} {row['crossings']}/{row['slides']}/{row['exits']} "
        f"undetermined {row['undetermined']} unresolved {row['unresolved']} "
        f"gradients {row['gradients_accepted']} {row['seconds']:.1f} s "
        f"distance to Euler {distances}"
    )


def wide(effort: Effort) -> dict[str, Any]:
    """A net too wide to locate each kink, by the solver that `Auto` takes for it.

    Euler as above, on one instance with rates (1, d/m); errors against its limit from
    the two smallest steps, whose own distance is told too.
    """
    n, m = effort.wide
    X, y, w0 = instance(0, n, 10, m)
    net, rates = TwoLayerReLU(10, m), (1.0, 10 / m)
    swept = [euler([(X, y, w0)], step, rates) for step in effort.coarse]
    limits = limit(effort.coarse, np.stack([losses for losses, _ in swept]))
    loose, fine = (found[0] for _, found in swept)
    ends = limit(effort.coarse, np.stack([loose, fine]))
    clock = time.perf_counter()
    flow = gf.simulate(
        net.problem(X, y, rates=rates),
        gf.GradientFlow(),
        w0,
        float(_TIMES[-1]),
        invariants=relu_invariants(net, rates),
        save=gf.Save.at(_TIMES),
        throw=False,
    )
    seconds = time.perf_counter() - clock
    end = np.concatenate([flow.w1["w"].ravel(), flow.w1["a"]])
    loss = flow.observed["loss"][1:]

    def distance(w: Any) -> float:
        return float(np.linalg.norm(w - ends) / np.linalg.norm(ends))

    row = {
        "n": n,
        "width": m,
        "solver": flow.plan.solver,
        "verdict": flow.verdict,
        "loss": loss.tolist(),
        "gap_to_euler_limit": float(np.max(np.abs(loss / limits[0] - 1))),
        "distance_to_euler_limit": distance(end),
        "distance_of_euler": [distance(loose), distance(fine)],
        "drift": flow.drift["neurons"].relative,
        "energy_defect": flow.energy_defect,
        "steps": [flow.stats["num_accepted"], flow.stats["num_rejected"]],
        "gradients": flow.stats["num_gradients"],
        "seconds": flow.stats["seconds"],
        "seconds_with_compile": seconds,
    }
    print(json.dumps(row, indent=1))
    return row


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    effort = QUICK if asked.quick else Effort()
    record: dict[str, Any] = {
        "conditions": conditions(),
        "euler_steps": list(effort.euler),
        "wide": wide(effort),
        "rows": [row for m in effort.widths for row in compare(m, effort)],
    }
    tight = [r for r in record["rows"] if r["rtol"] == min(effort.rtols)]
    sure = [r for r in tight if not r["undetermined"] and not r["unresolved"]]
    worst = max((r["gap_to_euler_limit"] for r in sure), default=float("nan"))
    print(f"{len(sure)} of {len(tight)} determined; largest gap of these {worst:.1e}")
    if not asked.quick:
        path = _HERE / "results" / "relu_kinks.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
