"""The benchmark of growth with stiffness and dimension."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(_FOLDER))
scaling: Any = importlib.import_module("scaling")


def test_growth_keeps_what_is_not_measured_anew(tmp_path: Path, monkeypatch: Any):
    """A kind and solver measured again replaces its own points alone."""
    monkeypatch.setattr(scaling, "_RESULTS", tmp_path / "scaling.json")
    monkeypatch.setattr(scaling, "fill", lambda *_: None)

    def point(kind: str, solver: str, cost: int) -> Any:
        return scaling.Point(kind, solver, 10.0, cost, 1, "ok", None, None)

    old = [point("stiffness", "Auto", 1), point("dimension", "Auto", 2)]
    scaling.keep([*old, point("stiffness", "BDF", 3)])
    scaling.keep([point("stiffness", "Auto", 4)])
    kept = json.loads((tmp_path / "scaling.json").read_text())["points"]
    assert [p["cost"] for p in kept] == [4, 3, 2]


def test_exponent_is_the_slope_of_a_power_law():
    """cost = size^0.4 has exponent 0.4; failed runs have no part in it."""
    point = scaling.Point("stiffness", "BDF", 1e2, 1, 1, "ok", None, None)
    points = [
        dataclasses.replace(point, size=s, cost=round(1e4 * s**0.4))
        for s in (1e2, 1e4, 1e6)
    ]
    failed = dataclasses.replace(point, size=1e8, cost=1, status="too slow")
    assert scaling.exponent([*points, failed]) == pytest.approx(0.4, abs=1e-4)
    assert scaling.exponent([failed]) is None
