"""The benchmark of cost at equal error, on a horizon short enough for a test."""

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import diffrax
import jax
import numpy as np
import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(_FOLDER))
counting: Any = importlib.import_module("_counting")
bench: Any = importlib.import_module("flow_p1")
methods: Any = importlib.import_module("_methods")
tables: Any = importlib.import_module("_table")


@pytest.fixture(scope="module")
def plain() -> Any:
    return methods.cases(1.0)[0]


def test_references_by_two_methods_agree():
    """The reference is known far below the least target error, 1e-7."""
    for case in methods.cases(1.0):
        assert case.reference_spread < 1e-10


def test_callbacks_count_what_an_explicit_solver_says_it_took(plain: Any):
    """Callbacks agree with the count that an explicit tableau implies."""
    told = methods.flow(plain, diffrax.Tsit5())(1e-4).gradients
    count = methods.flow_count(plain, diffrax.Tsit5(), 1e-4)
    assert count.gradients == told
    assert count.hvps == 0


def test_callbacks_count_the_directions_of_a_jacobian(plain: Any):
    """A dense Jacobian of the right side takes a product for each of 40 parameters."""
    count = counting.Count()
    problem = counting.Counted(plain.problem, count)
    jax.block_until_ready(jax.jit(jax.jacfwd(problem.velocity))(plain.w0))
    jax.effects_barrier()
    assert (count.gradients, count.hvps) == (1, 40)


def test_steps_follow_the_order():
    """Halving the error of a first-order method takes twice the steps."""
    rungs = [bench.Trial(n, 1.0 / n, n) for n in (1000, 2000, 4000)]
    steps, order = bench.steps_for(rungs, 1.0 / 8000)
    assert order == pytest.approx(1.0)
    assert steps == pytest.approx(1.01 * 8000)
    between, _ = bench.steps_for(rungs, 1.0 / 1500)
    assert between == pytest.approx(1.01 * 1500)


def test_methods_meet_the_reference(plain: Any):
    """Every method ends at the hand-written reference, so all solve one flow."""
    for method, knob, limit in (
        (methods.flow(plain, diffrax.Tsit5()), 1e-6, 1e-5),
        (methods.scipy_method(plain, "LSODA"), 1e-6, 1e-4),
        (methods.descent(plain), 1000, 1e-2),
    ):
        trial = bench.tried(plain, method, knob)
        assert trial.error < limit
        assert trial.work > 0


def test_table_goes_between_its_marks(tmp_path: Path):
    """Writing twice leaves one table, and the text around it as it was."""
    readme, results = tmp_path / "README.md", tmp_path / "results" / "flow.json"
    readme.write_text(f"before\n{tables.BEGIN}\n{tables.END}\nafter\n")
    row = tables.Row("p", "m", 1e-3, 5e-4, "rtol 1e-3", 10, 3, 0.1)
    assert row.cost == 16
    failed = dataclasses.replace(row, error=None, gradients=None, seconds=None)
    for _ in range(2):
        tables.write(results, readme, [row, failed], {"a": 1})
    page = readme.read_text()
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert page.count("rtol 1e-3") == 2
    assert np.isfinite(results.stat().st_size)
