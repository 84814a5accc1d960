"""The evidence that a run carries."""

import re

import numpy as np
import pytest
from closed_forms import closed_form, flow

import gflow as gf


def test_printed_run_shows_all_evidence() -> None:
    """Outcome, plan, cost, balance, drift, versions: each has its line."""
    run = closed_form("regression").simulate(
        invariants={"uv": gf.Invariant(lambda w: w["u"] * w["v"], formula="u v")}
    )
    text = repr(run)
    for words in (
        "GradientFlow: reached_end: the end was reached at t = 5",
        "plan      Tsit5: Auto: explicit, order 5",
        "saved     201 points",
        f"{run.stats['num_accepted']} steps",
        f"gradients {run.stats['num_gradients']},",
        "Hessian-vector products 0;",
        "compiling",
        "balance defect",
        "invariant uv: drift",
        "versions  gflow",
        "diffrax",
    ):
        assert words in text
    assert run.drift["uv"].claimed is True
    # u v is quadratic, which no explicit method conserves: it drifts with the error.
    assert 0 < run.drift["uv"].relative < 100 * 1e-6


def test_energy_defect_is_the_imbalance_over_the_loss_dropped() -> None:
    """max |L(w0) - L(w) - ∫‖∇L‖²|, by hand from what is saved."""
    run = flow("regression")
    loss, energy = run.observed["loss"], run.observed["energy"]
    defect = np.max(np.abs(loss[0] - loss - energy)) / (loss[0] - loss[-1])
    assert run.energy_defect == pytest.approx(defect, rel=1e-12)
    assert energy[0] == 0
    assert np.all(np.diff(energy) >= 0)


def test_counts_add_up() -> None:
    """Steps are accepted or rejected; Tsit5 takes 6 gradients a step and 4 to begin."""
    stats = flow("regression", 1e-9).stats
    assert stats["num_steps"] == stats["num_accepted"] + stats["num_rejected"]
    # Where a step's balance is suspect the guard takes three more to judge it: rarely.
    extra = stats["num_gradients"] - (4 + 6 * stats["num_steps"])
    assert extra % 3 == 0
    assert 0 <= extra <= 0.03 * stats["num_gradients"]
    # Saved points are measured 16 at a time: w0 alone, the 200 others in 13 blocks,
    # one of them begun anew after each look of the choice of solver, at 16, 24, ... .
    looks = sum(n < stats["num_steps"] for n in (16, 24, 36, 54, 81, 121))
    blocks, rest = divmod(stats["num_gradients_saving"], 16)
    assert rest == 0
    assert 1 + 13 <= blocks <= 1 + 13 + looks
    assert stats["num_rejected"] > 0
    assert stats["num_hvps"] == 0
    assert stats["seconds"] > 0
    assert stats["compile_seconds"] > 0


def test_verdict_is_one_sentence_with_time_and_loss() -> None:
    """What a raised run says: no need to open the trajectory."""
    run = closed_form("quartic").simulate(stops=[gf.MaxSteps(3)], throw=False)
    pattern = r"max_steps: .* at t = [\d.e-]+, loss 0\.1\d+\. To try: .*looser rtol"
    assert re.fullmatch(pattern + ".*", run.verdict)
    assert not any(line.endswith(" ") for line in repr(run).splitlines())
