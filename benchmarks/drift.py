"""Is the drift of a conservation law proportional to the tolerance?

    python benchmarks/drift.py            seven families at seven tolerances, minutes
    python benchmarks/drift.py --quick    two of them at three, not kept

Relative drift over rtol along flows by `Auto` with atol = rtol/100, relative to the
pieces of which the law is made (`gflow.invariants.verify`), and the order fitted. Laws
that are linear, such as sums, any method keeps to round-off: they are left out.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _table import conditions

import gflow as gf
from gflow.invariants import (
    deep_linear_invariants,
    diagonal_invariants,
    relu_invariants,
    verify,
)
from gflow.models import DeepLinear, DiagonalNet, TwoLayerReLU, WeightNormalized
from gflow.problem import Problem

_HERE = Path(__file__).parent
_RTOLS = tuple(10.0**-k for k in range(4, 11))
_QUICK = (2, (1e-4, 1e-6, 1e-8))


class Family(NamedTuple):
    """A problem, a start, a horizon, and a law of its flow."""

    name: str
    problem: Problem
    w0: Any
    t1: float
    law: Any


def families() -> list[Family]:
    """Random instances of known models."""
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((10, 20)) / 10**0.5, np.eye(20)[3] - 0.5 * np.eye(20)[7]
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 4))
    labels = rng.standard_normal(30)
    found: list[Family] = []
    for depth in (2, 3):
        net = DiagonalNet(20, depth, signed=True)
        law = diagonal_invariants(net)["pair"]
        start = net.init(jnp.asarray(0.3 + 0.1 * rng.random(20)))
        found.append(
            Family(
                f"signed diagonal, L = {depth}", net.problem(A, A @ x), start, 50.0, law
            )
        )
    net = WeightNormalized(DiagonalNet(20), kappa=2.0)
    start = net.init(jnp.asarray(0.3 + 0.1 * rng.random(20)))
    normalized = diagonal_invariants(net, A, start)["range"]
    found.append(
        Family("weight-normalized", net.problem(A, A @ abs(x)), start, 50.0, normalized)
    )
    for widths in ((4, 5, 4), (4, 4, 4, 4)):
        deep = DeepLinear(list(widths))
        shapes = zip(widths[1:], widths[:-1], strict=True)
        factors = [jnp.asarray(0.5 * rng.standard_normal(shape)) for shape in shapes]
        start = jnp.stack(factors) if deep.is_uniform else factors
        law = next(iter(deep_linear_invariants(deep).values()))
        name = f"linear {'-'.join(map(str, widths))}"
        found.append(Family(name, deep.problem(X, Y), start, 5.0, law))
    for rates in ((1.0, 1.0), (1.0, 10.0)):
        relu = TwoLayerReLU(4, 12)
        start = relu.init(key=jax.random.key(0))
        problem = relu.problem(X, labels, rates=rates)
        law = relu_invariants(relu, rates)["neurons"]
        found.append(
            Family(f"ReLU, rates {rates[0]:g}, {rates[1]:g}", problem, start, 2.0, law)
        )
    return found


def ratio(family: Family, rtol: float) -> float:
    """Drift over rtol."""
    run = gf.simulate(
        family.problem,
        gf.GradientFlow(),
        family.w0,
        family.t1,
        rtol=rtol,
        atol=rtol / 100,
        progress=False,
    )
    [row] = verify(run, {"law": family.law}).rows
    return row.drift / rtol


def main() -> None:
    """Print the table, and keep it unless quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    jax.config.update("jax_enable_x64", True)
    num, rtols = _QUICK if quick else (None, _RTOLS)
    print(
        f"{'drift / rtol':28}" + "".join(f"{rtol:>9.0e}" for rtol in rtols) + "   order"
    )
    rows: list[dict[str, Any]] = []
    for family in families()[:num]:
        print(f"{family.name:28}", end="", flush=True)
        ratios: list[float] = []
        for rtol in rtols:
            ratios.append(ratio(family, rtol))
            print(f"{ratios[-1]:9.3g}", end="", flush=True)
        order = np.polyfit(np.log(rtols), np.log(np.multiply(ratios, rtols)), 1)[0]
        print(f"{order:8.2f}")
        rows.append({"family": family.name, "ratios": ratios, "order": float(order)})
    every = [r for row in rows for r in row["ratios"]]
    print(f"least {min(every):.3g}, largest {max(every):.3g}")
    if not quick:
        kept = {"conditions": conditions(), "rtols": rtols, "rows": rows}
        path = _HERE / "results" / "drift.json"
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
