"""What does it take to follow classification of separable data to t = 1e30?

    python benchmarks/separable.py            all rows, some minutes
    python benchmarks/separable.py --quick    to t = 1e6 with one solver, not kept

Logistic regression under each clock, with the direction at the end compared with plain
time at a tighter tolerance, and with the maximal margin direction of an independent
convex solver. Theory (Soudry et al. 2018): w = ŵ log t + O(1), so that the distance to
it falls like 1/‖w‖ and, once log t outweighs the constant, like 1/log t.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

import gflow as gf

_RESULT = Path(__file__).parent / "results" / "separable.json"
CLOCKS: dict[str, gf.Clock | None] = {
    "plain time": None,
    "log-time": gf.LogTime(),
    "arc length": gf.ArcLength(),
    "loss-normalized": gf.LossTime(),
}


def data(seed: int, num: int = 30, dim: int = 5) -> Any:
    """Points y x in R^dim that a hyperplane through 0 separates by a margin."""
    rng = np.random.default_rng(seed)
    x, normal = rng.standard_normal((3 * num, dim)), rng.standard_normal(dim)
    x = x[np.abs(x @ normal) > 0.5][:num]
    return x * np.sign(x @ normal)[:, None]


def max_margin(z: Any) -> Any:
    """The unit vector of maximal margin: minimize ½‖w‖² with z w >= 1."""
    found = minimize(
        lambda w: 0.5 * w @ w,
        np.linalg.lstsq(z, np.ones(len(z)))[0],
        jac=lambda w: w,
        constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return found.x / np.linalg.norm(found.x)


def _scores(w: Any, z: Any) -> Any:
    return z @ w


def _logistic(scores: Any, signs: Any) -> Any:
    return jnp.mean(jax.nn.softplus(-signs * scores))


def flow(z: Any, clock: gf.Clock | None, t1: float, **options: Any) -> gf.Trajectory:
    """The flow of the mean logistic loss from 0."""
    problem = gf.EmpiricalRisk(_scores, z, np.ones(len(z)), criterion=_logistic)
    save, w0 = gf.Save.log(first=1e-3), jnp.zeros(z.shape[1])
    options = {"clock": clock, "save": save, **options}
    return gf.simulate(problem, gf.GradientFlow(), w0, t1, **options)


def directions(run: gf.Trajectory) -> Any:
    """w / ‖w‖ at each saved time after the start."""
    return run.ws[1:] / np.linalg.norm(run.ws[1:], axis=1)[:, None]


def measure(seed: int, t1: float, solvers: Sequence[Any]) -> list[dict[str, Any]]:
    """A row for each clock and solver."""
    z = data(seed)
    best = max_margin(z)
    reference = directions(flow(z, None, t1, rtol=1e-11, atol=1e-14))
    rows: list[dict[str, Any]] = []
    for solver in solvers:
        for name, clock in CLOCKS.items():
            run = flow(z, clock, t1, solver=solver, rtol=1e-6, atol=1e-9)
            units = directions(run)
            gap = np.linalg.norm(units - best, axis=1)
            late = run.ts[1:] >= np.sqrt(t1)
            log_t = np.log(np.log(run.ts[1:][late]))
            log_norm = np.log(np.linalg.norm(run.ws[1:][late], axis=1))
            rows.append(
                {
                    "seed": seed,
                    "solver": type(solver).__name__,
                    "clock": name,
                    "steps": run.stats["num_steps"],
                    "rejected": run.stats["num_rejected"],
                    "direction_error": float(np.max(np.abs(units - reference))),
                    "gap": float(gap[-1]),
                    "slope": float(np.polyfit(log_t, np.log(gap[late]), 1)[0]),
                    "slope_norm": float(np.polyfit(log_norm, np.log(gap[late]), 1)[0]),
                    "energy_defect": run.energy_defect,
                }
            )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in markdown."""
    head = "solver | clock | seed | steps | rejected | direction off plain time by"
    lines = [f"| {head} | from max margin |"]
    lines[0] += " its slope in log t | in norm |"
    lines.append("|---" * 9 + "|")
    lines += [
        f"| {r['solver']} | {r['clock']} | {r['seed']} | {r['steps']} | "
        f"{r['rejected']} | {r['direction_error']:.1e} | {r['gap']:.2e} | "
        f"{r['slope']:.2f} | {r['slope_norm']:.2f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short; writes nothing")
    quick = parser.parse_args(argv).quick
    jax.config.update("jax_enable_x64", True)
    if quick:
        print(table(measure(0, 1e6, [diffrax.Tsit5()])))
        return
    solvers = [diffrax.Tsit5(), diffrax.Kvaerno5()]
    rows = [row for seed in range(3) for row in measure(seed, 1e30, solvers)]
    print(table(rows))
    _RESULT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
