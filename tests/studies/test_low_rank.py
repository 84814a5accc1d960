"""The pieces of the low-rank study that need no long run."""

import numpy as np
import pytest
import xarray

from gflow.studies import conduct, with_settings
from gflow.studies._low_rank import study
from gflow.studies._low_rank._embeddings import embeddings
from gflow.studies._low_rank._initialization import products
from gflow.studies._low_rank._modes import modes, time_to
from gflow.studies._low_rank._runs import instance
from gflow.studies._low_rank._settings import SMOKE
from gflow.studies._low_rank._sweep_claims import claims as sweep_claims


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rank=32", "rank must be below dim"),
        ("sweep_samples=32", "samples must be below dim"),
        ("activations=cube", "activations must be one of"),
        ("methods=sgd", "methods must be one of"),
        ("fitted=1", "fitted must be < 1"),
        ("train_seeds=1", "train_seeds must be >= 2"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str):
    """Each with the name and the range."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_runs_that_did_not_fit_are_counted():
    """One of three at depth 32: the share is 11/12, and the fall is of the others."""
    settings = with_settings(SMOKE, ["sweep_depths=1,32", "sweep_seeds=3"])
    axes = ("sweep_target", "sweep_depth", "sweep_instance")
    data = {f"sweep_{n}": np.ones((2, 2, 3)) for n in ("rank", "error", "target_rank")}
    loss = np.full((2, 2, 3), 1e-4)
    loss[0, 1, 2] = 0.4
    data["sweep_rank"][0, 1] = [0.5, 0.5, 9.0]
    dataset = xarray.Dataset(
        {
            name: (axes, values)
            for name, values in (data | {"sweep_loss": loss}).items()
        },
        coords={"sweep_target": ["low rank", "full rank"], "sweep_depth": [1, 32]},
    )
    found = {claim.name: claim for claim in sweep_claims(settings, dataset)}
    assert found["sweep-fitted"].measured == pytest.approx(11 / 12)
    assert "1 of 12 did not: low rank at depth 32" in found["sweep-fitted"].note
    assert "(2 fitted)" in found["sweep-low-rank-depth-32"].statement
    assert "2 of 3 fitted" in found["sweep-low-rank-depth-32"].note
    assert found["sweep-rank-falls"].measured == -0.5
    assert "2 of 3 instances" in found["sweep-rank-falls"].statement


def test_products_of_gaussians_have_the_published_ranks():
    """The limit and all numbers but one, whose true value is 1.131 (see its note)."""
    settings = with_settings(SMOKE, ["num_draws=100", "limit_sizes=16,64"])
    part = products(settings, 0, lambda _: None)
    failed = {claim.name for claim in part.claims if not claim.holds}
    assert failed <= {"init-16-depth-16"}
    (deep,) = (c for c in part.claims if c.name == "init-16-depth-16")
    # Three standard errors of 100 draws, whose deviation is 0.185.
    assert abs(deep.measured - 1.131) < 0.056
    assert len(part.claims) == 10
    assert part.dataset is not None
    part.figures[0].draw(part.dataset)


def test_embeddings_fall_unless_they_are_isometries():
    """Independent entries lose rank with depth; orthogonal tanh nets do not."""
    settings = with_settings(
        SMOKE,
        ["activations=linear,tanh", "embedding_depths=1,8", "embedding_draws=6"],
    )
    part = embeddings(settings, 0, lambda _: None)
    verdicts = {claim.name: claim.holds for claim in part.claims}
    assert verdicts == {
        "embedding-depth": True,
        "embedding-depth-orthogonal": False,
        "embedding-isometry": True,
    }
    assert part.dataset is not None
    part.figures[0].draw(part.dataset)


def test_times_of_modes_are_those_of_the_closed_form():
    """At depth 2, t(a) = log(a (s - a0) / (a0 (s - a))) / (2 s); and depth 1's own."""
    s, a0 = 2.0, 1e-3
    level = np.array([0.01, 1.0, 1.9])
    expected = np.log(level * (s - a0) / (a0 * (s - level))) / (2 * s)
    np.testing.assert_allclose(time_to(level, s, a0, 2), expected, rtol=1e-11)
    # a' = s - a.
    expected = np.log((s - a0) / (s - level))
    np.testing.assert_allclose(time_to(level, s, a0, 1), expected, rtol=1e-11)


def test_instances_differ_by_seed_only():
    """The same seed gives the same data and start."""
    first, again, other = (instance(SMOKE, 2, 24, 8, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.w0, again.w0)
    np.testing.assert_array_equal(first.data.X, again.data.X)
    assert not np.allclose(first.data.X, other.data.X)
    assert first.w0.shape == (2, 32, 32)


def test_modes_of_a_run_that_stopped_short_hold_nothing() -> None:
    """25 steps end before the first mode has grown."""
    settings = with_settings(SMOKE, ["mode_depths=2", "max_steps=25"])
    part = modes(settings, 0, lambda message: None)
    verdicts = {claim.name: claim.holds for claim in part.claims}
    # Its factors, at any time, are balanced.
    assert [name for name, holds in verdicts.items() if holds] == ["modes-balance"]
    assert len(verdicts) == 5


def test_other_data_are_not_held_against_the_published_numbers() -> None:
    """Of 12 x 12 maps nothing was published."""
    axes = ("sweep_target", "sweep_depth", "sweep_instance")
    names = ("rank", "error", "target_rank", "loss")
    dataset = xarray.Dataset(
        {f"sweep_{name}": (axes, np.ones((2, 1, 3))) for name in names},
        coords={"sweep_target": ["low rank", "full rank"], "sweep_depth": [1]},
    )
    settings = with_settings(SMOKE, ["sweep_depths=1", "sweep_seeds=3"])
    smaller = with_settings(
        settings,
        ["dim=12", "rank=3", "sweep_samples=8", "train_samples=8", "method_samples=8"],
    )
    known = {claim.name for claim in sweep_claims(settings, dataset)}
    other = {claim.name for claim in sweep_claims(smaller, dataset)}
    assert {"sweep-low-rank-depth-1", "sweep-target-rank-low"} <= known
    assert other == {"sweep-fitted"}


def test_files_that_are_missing_are_told_before_any_run() -> None:
    """And by the path, as an error of the caller's."""
    settings = with_settings(
        SMOKE, ["image_sets=digits,cifar-10", "cifar_path=/nonexistent"]
    )
    heard: list[str] = []
    with pytest.raises(FileNotFoundError, match="/nonexistent"):
        conduct(study, settings, seed=0, report_progress=heard.append)
    assert heard == ["images: digits", "images: cifar-10"]
