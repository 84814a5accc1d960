"""The work-precision benchmark, on problems small enough for a test."""

import dataclasses
import importlib
import math
import sys
from pathlib import Path
from typing import Any

import diffrax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
acceptance: Any = importlib.import_module("_acceptance")
bare: Any = importlib.import_module("_bare")
figures: Any = importlib.import_module("_figures")
fixed: Any = importlib.import_module("_fixed")
host: Any = importlib.import_module("_host")
main: Any = importlib.import_module("work_precision")
problems: Any = importlib.import_module("_problems")
records: Any = importlib.import_module("_records")
references: Any = importlib.import_module("_references")
solvers: Any = importlib.import_module("_solvers")


@pytest.fixture(scope="module")
def quadratic() -> Any:
    """Least squares of 20 unknowns, to t = 100, its end in closed form."""
    case = problems.least_squares(0, 20, 1e2, 1e2, name="quadratic")
    return dataclasses.replace(
        case, reference=case.exact(case.t1), reference_spread=0.0, sharpness=1.0
    )


def record(**changes: Any) -> Any:
    """A finished run of BDF on P1 at error 1e-4 for 100 gradients and 50 products."""
    blank = {
        "problem": "P1",
        "seed": 0,
        "digest": "d",
        "solver": "BDF",
        "knob": 1e-4,
        "status": "ok",
        "error": 1e-4,
        "steps": 10,
        "gradients": 100,
        "products": 50,
        "seconds": 1.0,
        "compile_seconds": 2.0,
    }
    return records.Record(**(blank | changes))


def test_cost_between_two_points_follows_a_power_law():
    """On cost = error^(-1/2) the interpolation is exact: log-log it is a line."""
    points = [(e, e**-0.5) for e in (1e-2, 1e-4, 1e-8)]
    assert records.cost_at(points, 1e-3) == pytest.approx(1e-3**-0.5)
    assert records.cost_at(points, 1e-6) == pytest.approx(1e-6**-0.5)
    assert records.cost_at(points, 1e-4) == pytest.approx(1e2)


def test_cost_is_never_extrapolated():
    """An error that no run reached has no cost; one that all beat costs the least."""
    points = [(1e-4, 100.0), (1e-6, 300.0)]
    assert records.cost_at(points, 1e-7) is None
    assert records.cost_at(points, 1e-1) == 100.0
    assert records.cost_at([], 1e-3) is None


def test_envelope_drops_what_another_run_beats():
    """A loose run that costs more than a tight one plays no part."""
    points = [(1e-1, 900.0), (1e-5, 500.0), (1e-3, 400.0), (1e-4, 700.0)]
    assert records.envelope(points) == [(1e-5, 500.0), (1e-3, 400.0)]


def test_median_over_seeds_counts_failures_as_infinite():
    """One seed in three that fails is outvoted, two are not."""
    assert records.median([3.0, None, 1.0]) == 3.0
    assert records.median([3.0, None, None]) is None
    assert records.median([1.0, 3.0]) == 2.0
    assert records.median([1.0, None]) is None


def test_products_are_counted_as_two_gradients():
    """The cost that is compared: gradients + 2 products."""
    assert record().cost == 200
    assert record(gradients=None).cost is None


def test_claims_are_ratios_of_medians():
    """P1 for 200 where the best explicit solver takes 20,000 and CVODE 400."""
    runs = [
        record(seed=seed, solver=solver, gradients=cost, products=0, error=1e-3)
        for seed in (0, 1, 2)
        for solver, cost in (
            ("BDF", 200),
            ("Tsit5", 20_000),
            ("Dopri8", 30_000),
            ("CVODE products, 5", 500),
            ("CVODE quotients, 5", 400),
        )
    ]
    found = {c.text: c for c in acceptance.claims(runs, ["BDF"])}
    explicit = found["P1 at 1e-03: ge over that of explicit diffrax"]
    assert explicit.ratio == pytest.approx(0.01)
    assert explicit.verdict == "pass"
    krylov = found["P1 at 1e-03: ge over that of CVODE"]
    assert krylov.ratio == pytest.approx(0.5)
    assert found["P1 at 1e-05: ge over that of CVODE"].verdict == "not measured"
    slow = [dataclasses.replace(r, gradients=500) for r in runs if r.solver == "BDF"]
    rivals = [r for r in runs if r.solver != "BDF"]
    found = {c.text: c for c in acceptance.claims(slow + rivals, ["BDF"])}
    assert found["P1 at 1e-03: ge over that of CVODE"].verdict == "FAIL"


def test_claims_are_over_the_seeds_that_both_sides_have():
    """CVODE ran on seed 1 alone, which costs BDF 300, not the median 200 of three."""
    runs = [
        record(seed=seed, gradients=cost, products=0, error=1e-3)
        for seed, cost in ((0, 100), (1, 300), (2, 200))
    ]
    runs.append(record(seed=1, solver="CVODE quotients, 5", gradients=600, products=0))
    found = {c.text: c for c in acceptance.claims(runs, ["BDF"])}
    krylov = found["P1 at 1e-03: ge over that of CVODE"]
    assert krylov.ratio == pytest.approx(0.5)
    assert krylov.num_seeds == 1
    assert found["P1 at 1e-03: ge over that of explicit diffrax"].ratio is None
    assert f"{krylov.text}, seeds: 1" in acceptance.summary(
        [
            dataclasses.replace(r, solver="Auto") if r.solver == "BDF" else r
            for r in runs
        ]
    )


def test_runs_that_claim_no_success_are_counted():
    """Errors of 2 and 0.5 rtol; one of two runs at 1e-1."""
    runs = [
        record(solver="Auto", knob=0.1, error=0.2),
        record(solver="Auto", knob=0.1, status="unbalanced", error=None),
        record(solver="Auto", knob=1e-2, error=5e-3),
        record(solver="Auto", knob=1e-2, status="qualified", error=1.0),
    ]
    first, last = acceptance.honesty(runs, "Auto")
    assert first == "2 successes of Auto, errors 0.5 to 2 times rtol"
    assert last == "  no success at rtol 0.1: 1 of 2"


def test_success_with_a_large_error_is_found():
    """Only an own solver, only where it claims success, only beyond 100 x rtol."""
    runs = [
        record(error=2e-2),
        record(error=9e-3),
        record(error=2e-2, status="stalled"),
        record(error=2e-2, status="qualified"),
        record(error=2e-2, solver="Tsit5"),
    ]
    assert acceptance.wrong(runs) == runs[:1]


def test_an_end_without_a_claim_has_its_cost():
    """Kinks passed unlocated: an error and a cost, but no word on the tolerance."""
    runs = [record(status="qualified"), record(status="too slow", error=None)]
    assert records.points(runs, lambda r: r.cost) == [(1e-4, 200)]


def test_a_cut_line_is_dropped_and_the_rest_kept(tmp_path: Path):
    """A run killed in the middle of a line loses that record and no other."""
    path = tmp_path / "records.jsonl"
    records.append(path, record())
    records.append(path, record(seed=1, digest="e"))
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    assert records.read(path) == [record(), record(seed=1, digest="e")]
    assert path.read_text() == whole


def test_a_run_measured_again_replaces_its_record(tmp_path: Path):
    """A run once too slow and later finished is the finished one."""
    path = tmp_path / "records.jsonl"
    records.append(path, record(status="too slow", error=None))
    records.append(path, record())
    assert records.read(path) == [record()]


def test_host_field_counts_each_call(quadratic: Any):
    """Velocity, product and Jacobian agree with the matrix, and count 1, 1 and n."""
    field = host.HostField(quadratic)
    A = np.asarray(quadratic.problem.inputs)
    rng = np.random.default_rng(1)
    y, v = rng.standard_normal(20), rng.standard_normal(20)
    targets = np.asarray(quadratic.problem.targets)
    np.testing.assert_allclose(field.velocity(y), A.T @ (targets - A @ y), atol=1e-12)
    np.testing.assert_allclose(field.product(y, v), -A.T @ (A @ v), atol=1e-12)
    assert (field.count.gradients, field.count.hvps) == (1, 1)
    np.testing.assert_allclose(field.jacobian(y), -A.T @ A, atol=1e-12)
    assert (field.count.gradients, field.count.hvps) == (1, 21)


def test_bare_solve_counts_and_keeps_its_budget(quadratic: Any):
    """Tsit5 ends near the closed form; with no time at all it is too slow."""
    solved = bare.bare(quadratic, diffrax.Tsit5())(1e-6)
    assert solved.status == "ok"
    assert quadratic.error(solved.w) < 1e-5
    # 4 at the start and six a step: the last stage is the next step's first.
    assert solved.gradients == 4 + 6 * solved.steps
    assert bare.bare(quadratic, diffrax.Tsit5(), 0.0)(1e-6).status == "too slow"


def test_fixed_steps_have_their_orders(quadratic: Any):
    """Halving the step halves Euler's error and divides that of RK4 by 16."""
    for make, order in ((fixed.euler, 1), (fixed.rk4, 4)):
        method = make(quadratic)
        coarse, fine = (quadratic.error(method(c).w) for c in (0.2, 0.1))
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert fixed.rk4(quadratic)(0.5).gradients == 4 * 200


def test_cvode_meets_the_closed_form_and_counts(quadratic: Any):
    """Quotients are counted as gradients, products as products; both reach the end."""
    pytest.importorskip("sksundae")
    cvode: Any = importlib.import_module("_cvode").cvode
    quotients = cvode(quadratic, exact=False)(1e-6)
    products = cvode(quadratic, exact=True)(1e-6)
    for solved in (quotients, products):
        assert solved.status == "ok"
        assert quadratic.error(solved.w) < 1e-4
    assert quotients.products == 0
    assert products.products > 0
    assert products.gradients < quotients.gradients
    # The method is the same, so it takes the same steps, and hardly one that asks for
    # a second correction.
    assert quotients.steps == pytest.approx(products.steps, rel=0.1)
    assert 1 < products.gradients / products.steps < 2
    assert cvode(quadratic, exact=True, limit=0.0)(1e-6).status == "too slow"


def test_references_are_kept_and_agree(tmp_path: Path):
    """The closed form agrees with the eigenvalues that the computer finds."""
    case = problems.p6(0, small=True)
    found = references.reference(case, tmp_path)
    assert found.spread < 1e-11
    assert found.sharpness == pytest.approx(1.0, rel=0.05)
    again = references.reference(case, tmp_path)
    np.testing.assert_array_equal(again.w, found.w)
    other = problems.p6(1, small=True)
    assert references.digest(other) != references.digest(case)
    assert references.digest(problems.p6(0, small=True)) == references.digest(case)


def test_two_solvers_agree_on_a_nonlinear_reference():
    """Dopri8 and LSODA, which share nothing, end within 1e-9 of each other."""
    case = problems.p2(0, small=True)
    case = dataclasses.replace(case, t1=5.0)
    explicit = references.explicit_path(case, 1e-11)[-1]
    implicit = references.implicit_end(case)
    assert np.linalg.norm(explicit - implicit) < 1e-9 * np.linalg.norm(explicit)


@pytest.mark.parametrize("name", list(problems.PROBLEMS))
def test_problems_are_made_from_their_seed(name: str):
    """One seed makes one problem, another seed another, and it moves."""
    make = problems.PROBLEMS[name]
    case = make(3, small=True)
    same = make(3, small=True)
    other = make(4, small=True)
    assert case.name == name
    velocity = host.HostField(case).velocity(case.start)
    assert np.all(np.isfinite(velocity))
    assert np.linalg.norm(velocity) > 0
    assert references.digest(same) == references.digest(case)
    assert references.digest(other) != references.digest(case)


def test_ladder_of_two_solvers_is_measured_resumed_and_shown(
    tmp_path: Path, quadratic: Any, monkeypatch: pytest.MonkeyPatch
):
    """Two solvers at two tolerances end in a table; a second call measures nothing."""
    knobs = (1e-3, 1e-5)
    for name in ("Auto", "Tsit5"):
        entry = dataclasses.replace(solvers.SOLVERS[name], knobs=knobs)
        monkeypatch.setitem(solvers.SOLVERS, name, entry)
    monkeypatch.setitem(problems.PROBLEMS, "P6", lambda seed, small: quadratic)
    monkeypatch.setattr(main, "referenced", lambda case: case)
    path = tmp_path / "records.jsonl"
    arguments = (["P6"], ["Auto", "Tsit5"], [0], path)
    main.measure(*arguments, small=True, limit=60.0)
    found = records.read(path)
    assert [(r.solver, r.knob) for r in found] == [
        (name, knob) for name in ("Auto", "Tsit5") for knob in knobs
    ]
    assert all(r.status == "ok" and r.error < 10 * r.knob for r in found)
    main.measure(*arguments, small=True, limit=60.0)
    assert records.read(path) == found
    text = main.report(found)
    assert text.count("| quadratic") == 2
    assert "not measured" in text
    drawn = figures.draw(found, tmp_path, "figure")
    assert all(file.stat().st_size > 10_000 for file in drawn)
