"""How long does it take to count the laws of a model, and to find them?

    python benchmarks/conservation_laws.py            a minute or two
    python benchmarks/conservation_laws.py --quick    the first five, not kept

The table of models of the study `conservation-laws`, and linear nets of 98 and 200
parameters. Whole calls, each compiled anew: nobody counts a model's laws twice.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from _table import conditions

from gflow.invariants import count, discover
from gflow.studies._conservation_laws._models import Model, linear, models

_HERE = Path(__file__).parent
_WIDER = (((7, 7, 7), 28), ((10, 10, 10), 55))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What the call returns, and its seconds."""
    begun = time.perf_counter()
    return call(), time.perf_counter() - begun


def row(model: Model) -> dict[str, Any]:
    """Laws and seconds by each way that there is for the model."""
    smooth, smooth_s = timed(
        lambda: count(**model.arguments, flow=model.flow, method="smooth")
    )
    told: dict[str, Any] = {
        "model": model.name,
        "dimension": smooth.dimension,
        "known": model.known,
        "smooth": smooth.num_laws,
        "smooth_seconds": smooth_s,
    }
    try:
        exact, exact_s = timed(
            lambda: count(**model.arguments, flow=model.flow, method="exact")
        )
        told |= {"exact": exact.num_laws, "exact_seconds": exact_s}
    except TypeError:
        pass  # no polynomial
    if model.flow is None:
        found, found_s = timed(lambda: discover(**model.arguments))
        told |= {"found": len(found.laws), "found_seconds": found_s}
    return told


def shown(told: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [f"{told['model']:28}", f"{told['dimension']:9d}", f"{told['known']:6d}"]
    for way in ("exact", "smooth", "found"):
        seconds = told.get(f"{way}_seconds")
        laws = "" if seconds is None else f"{told[way]} in {seconds:.2f} s"
        cells.append(f"{laws:>14}")
    return " ".join(cells)


def main() -> None:
    """Print the table, and keep it unless quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    cases = (
        models(0)[:5]
        if quick
        else models(0) + tuple(linear(rng, *case) for case in _WIDER)
    )
    print(f"{'model':28} dimension  known {'exact':>14} {'smooth':>14} {'found':>14}")
    rows: list[dict[str, Any]] = []
    for model in cases:
        rows.append(row(model))
        print(shown(rows[-1]), flush=True)
    table = rows if quick else rows[: -len(_WIDER)]
    counting = sum(r.get("exact_seconds", 0.0) + r["smooth_seconds"] for r in table)
    print(f"the table counted in both ways: {counting:.1f} s")
    if not quick:
        kept = {"conditions": conditions(), "rows": rows, "counting_seconds": counting}
        path = _HERE / "results" / "conservation_laws.json"
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
