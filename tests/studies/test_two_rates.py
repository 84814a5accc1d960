"""The pieces of the two-rates study that need no long run."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray

from gflow.models import two_layer_instance
from gflow.studies import with_settings
from gflow.studies._two_rates import study
from gflow.studies._two_rates._digits import _claims as digits_claims
from gflow.studies._two_rates._initializations import _SETTINGS, _claims, _draw
from gflow.studies._two_rates._map_claims import map_claims
from gflow.studies._two_rates._maps import maps
from gflow.studies._two_rates._runs import Cell, run_cell
from gflow.studies._two_rates._settings import SMOKE, Settings
from gflow.studies._two_rates._thresholds import along_widths, thresholds


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("widths=8,4", "widths must rise"),
        ("ratios=-1", "ratios must be >= 0"),
        ("digits_samples=5", "digits_samples must be >= 10"),
        ("labels=worst", "labels must be one of gaussian"),
        ("zero=1", "zero must be < 1"),
        ("descent_etas=0.003", "must divide 0.5"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str) -> None:
    """Each with the name and the range."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_a_setting_in_which_nothing_moves_is_refused() -> None:
    """Output weights that begin at zero and are frozen."""
    with pytest.raises(ValueError, match="nothing moves"):
        with_settings(SMOKE, ["initialization=zero_output", "ratios=0,1"])


def test_presets_are_settings_of_one_kind() -> None:
    """Full scale covers what smoke scale does."""
    assert isinstance(study.full, Settings)
    assert set(study.smoke.samples) <= set(study.full.samples)
    assert set(study.smoke.widths) <= set(study.full.widths)
    assert study.full.num_seeds > study.smoke.num_seeds


def test_a_cell_with_a_frozen_first_layer_is_linear_regression() -> None:
    """Loss at t1 = 3 by the eigenvectors of K₂ = σ(XWᵀ) σ(XWᵀ)ᵀ, narrow or wide."""
    settings = with_settings(SMOKE, ["t1=3", "zero=1e-2"])
    data = two_layer_instance(6, 4, 40, seed=0)
    hidden = np.maximum(data.X @ np.asarray(data.w0["w"]).T, 0)
    values, vectors = np.linalg.eigh(hidden @ hidden.T)
    r = vectors.T @ (hidden @ np.asarray(data.w0["a"]) - data.y)
    size = data.y @ data.y

    def loss(t: float) -> float:
        return float(np.sum((r * np.exp(-values * t)) ** 2) / size)

    cell = run_cell(data, np.inf, settings)
    np.testing.assert_allclose(cell.loss, 0.5 * size * loss(3.0), rtol=1e-8)
    assert cell.converged == float(loss(3.0) <= 1e-2) == 1.0
    np.testing.assert_allclose(loss(cell.time), 1e-2, rtol=1e-6)
    narrow = run_cell(two_layer_instance(6, 4, 2, seed=0), np.inf, settings)
    assert narrow.converged == narrow.is_lazy == 0.0
    assert np.isnan(narrow.time)


def test_a_cell_follows_its_flow() -> None:
    """Against 20,000 steps of Euler, with rates (1, 2) to the time found."""
    settings = with_settings(SMOKE, ["zero=1e-2"])
    data = two_layer_instance(5, 2, 6, seed=0)
    cell = run_cell(data, 2.0, settings)
    assert cell.converged == 1.0
    inward, out = (np.asarray(data.w0[name]) for name in ("w", "a"))
    num = 20_000
    for _ in range(num):
        z = data.X @ inward.T
        r = np.maximum(z, 0) @ out - data.y
        to_w, to_a = ((z > 0) * r[:, None] * out).T @ data.X, np.maximum(z, 0).T @ r
        inward = inward - cell.time / num * to_w
        out = out - 2 * cell.time / num * to_a
    r = np.maximum(data.X @ inward.T, 0) @ out - data.y
    np.testing.assert_allclose(r @ r / (data.y @ data.y), 1e-2, rtol=1e-2)
    before, after = data.X @ np.asarray(data.w0["w"]).T, data.X @ inward.T
    # Pairs that Euler's steps zigzag about lie on their kinks in the flow.
    off = np.abs(after) > 1e-3
    np.testing.assert_allclose(cell.flips, np.mean(off & (before * after < 0)))
    assert cell.invariant < 1e-3
    values, vectors = np.linalg.eigh(_kernel(data.X, data.w0))
    r = vectors.T @ (np.maximum(before, 0) @ np.asarray(data.w0["a"]) - data.y)
    left = np.sum((r * np.exp(-values * cell.frozen_time)) ** 2)
    np.testing.assert_allclose(left / (data.y @ data.y), 1e-2, rtol=1e-6)


def test_a_cell_tells_how_its_kernel_grows() -> None:
    """Against kernels by hand, of a flow that meets no kink, followed by Euler."""
    settings = with_settings(SMOKE, ["t1=2", "zero=1e-6"])
    data = two_layer_instance(4, 3, 8, seed=7)
    cell = run_cell(data, 2.0, settings)
    w = {name: np.asarray(part) for name, part in data.w0.items()}
    num = 20_000
    for _ in range(num):
        z = data.X @ w["w"].T
        r = np.maximum(z, 0) @ w["a"] - data.y
        slopes = {
            "w": ((z > 0) * r[:, None] * w["a"]).T @ data.X,
            "a": 2 * np.maximum(z, 0).T @ r,
        }
        w = {name: part - 2 / num * slopes[name] for name, part in w.items()}
    start, end = (np.linalg.eigvalsh(_kernel(data.X, at))[0] for at in (data.w0, w))
    np.testing.assert_allclose(cell.growth, end / start, rtol=1e-3)
    assert cell.growth > 1.02


def _kernel(X: np.ndarray, w: Any) -> np.ndarray:
    """Of a ReLU net with rates (1, 2), by hand."""
    z = X @ np.asarray(w["w"]).T
    slopes = (z > 0) * np.asarray(w["a"])
    return (X @ X.T) * (slopes @ slopes.T) + 2 * np.maximum(z, 0) @ np.maximum(z, 0).T


def test_a_singular_kernel_has_no_growth() -> None:
    """Of 9 parameters and 12 examples; that one flow does not converge, and ends."""
    settings = with_settings(SMOKE, ["t1=1", "zero=1e-2"])
    cell = run_cell(two_layer_instance(12, 2, 3, seed=0), 1.0, settings)
    assert np.isnan(cell.growth)
    assert cell.frozen_time == np.inf


def test_thresholds_by_hand() -> None:
    """Two seeds over widths 1, 2, 4, 8, with drifts that fall like 1/m from 0.4."""
    # The first fails at 1, the second at 1 and 2: thresholds √2 and √8, mean 2.
    converged = np.array([[0.0, 1, 1, 1], [0, 0, 1, 1]])
    dataset = _map(converged.tolist(), ratios=[1.0])
    settings = with_settings(SMOKE, ["widths=1,2,4,8", "ratios=1"])
    found = thresholds(dataset, "map_5", settings)
    np.testing.assert_allclose(found.width[0], 2.0)
    np.testing.assert_allclose(found.width[1], [np.sqrt(2), np.sqrt(8)])
    # From 4 on both converge.
    assert found.all_width == 4.0
    # Changes at the first widths that converge are 0.2 and 0.1; 10 % is met at 4.
    np.testing.assert_allclose(found.drift[0], 0.15)
    np.testing.assert_allclose(found.lazy_factor[0], 2.0)
    assert found.num_not_lazy == 0


def test_wider_nets_tell_where_the_kernel_rests() -> None:
    """Of drifts 2/m at widths 1 to 8 none is below 10 %; at 32 they are, from 20 on."""
    settings = with_settings(SMOKE, ["widths=1,2,4,8", "ratios=1", "wide_widths=32"])
    converged = [[0.0, 1, 1, 1], [0, 0, 1, 1]]
    known = _map(converged, [1.0], scale=2.0, wide=32)
    found = thresholds(known, "map_5", settings)
    assert (found.num_not_lazy, found.widths[-1]) == (0, 32)
    np.testing.assert_allclose(found.lazy_factor[0], 20 / 2)
    short = thresholds(_map(converged, [1.0], scale=2.0, wide=16), "map_5", settings)
    assert short.num_not_lazy == 2
    np.testing.assert_allclose(short.lazy_factor[0], 16 / 2)


def test_a_wide_width_may_lie_between_those_of_the_map() -> None:
    """The second seed fails at 1 and 2, and at 3 it does not."""
    settings = with_settings(SMOKE, ["widths=1,2,4,8", "ratios=1", "wide_widths=3"])
    converged = [[0.0, 1, 1, 1], [0, 0, 1, 1]]
    found = thresholds(_map(converged, [1.0], wide=3), "map_5", settings)
    assert found.widths == (1, 2, 3, 4, 8)
    np.testing.assert_allclose(found.width[0], (2 * 6) ** 0.25)
    assert [width for width, _ in found.firsts] == [2, 3]


def test_a_wide_width_of_the_map_is_not_run_again() -> None:
    """And there may be none beside it."""
    settings = with_settings(SMOKE, ["widths=4,64", "num_resamples=100"])
    assert settings.beside == ()
    rows = [
        {f"{w} {r} {s}": _cell(1.0) for r in (1.0, np.inf) for s in range(4)}
        for w in (4, 64)
    ]
    part = maps(settings, 0, 50)
    assert len(part.pieces) == 2
    dataset = part.join(rows).dataset
    assert dataset is not None
    assert along_widths(dataset, "map_50").width.values.tolist() == [4, 64]


def test_a_change_at_the_boundary_that_is_not_decided_tells_its_seeds() -> None:
    """At their first widths, 2 and 4, the kernels change by 0.5 and 2."""
    settings = with_settings(SMOKE, ["widths=1,2,4,8", "ratios=1", "frozen_first=no"])
    dataset = _map([[0.0, 1, 1, 1], [0, 0, 1, 1]], [1.0])
    drift = np.array([[9, 0.5, 0.1, 0.1], [9, 9, 2, 0.1]])[..., None]
    dataset["map_5_drift"] = dataset["map_5_drift"].copy(data=drift)
    found = thresholds(dataset, "map_5", settings)
    claims = {c.name: c for c in map_claims(settings, 5, dataset, found)}
    assert not claims["boundary-drift-n5"].holds
    assert "0.5 at 2, 2 at 4" in claims["boundary-drift-n5"].note


@pytest.mark.parametrize(
    ("frozen", "is_said"), [([3.0, 2.0], True), ([2.0, 3.0], False), (np.inf, False)]
)
def test_why_random_labels_may_be_sooner(frozen: Any, is_said: bool) -> None:
    """That they move the kernel more, only if without that they would be later."""
    axes = ("digits_labels", "digits_width", "digits_seed")

    def numbers(random_and_true: Any) -> Any:
        return axes, np.broadcast_to(np.reshape(random_and_true, (-1, 1, 1)), (2, 1, 2))

    dataset = xarray.Dataset(
        {
            "digits_converged": numbers(1.0),
            "digits_drift": numbers(1.0),
            "digits_time": numbers([1.0, 2.0]),
            "digits_frozen_time": numbers(frozen),
            "digits_growth": numbers([4.0, 1.5]),
        },
        coords={"digits_labels": ["random", "true"], "digits_width": [16]},
    )
    settings = with_settings(SMOKE, ["digits_widths=16"])
    note = {c.name: c for c in digits_claims(settings, dataset)}[
        "digits-random-slower"
    ].note
    assert "a factor 4 under random labels and 1.5" in note
    assert ("not proved" in note) == is_said


def test_a_seed_that_never_converges_has_no_threshold() -> None:
    """So that none of the boundary's claims holds, and each says of how many."""
    settings = with_settings(SMOKE, ["widths=1,2,4,8", "ratios=1", "num_seeds=2"])
    found = thresholds(
        _map([[0.0, 1, 1, 1], [0, 0, 0, 0]], ratios=[1.0]), "map_5", settings
    )
    assert np.isnan([found.width[0], found.drift[0], found.lazy_factor[0]]).all()
    assert (found.num_beyond, found.num_below) == (1, 0)
    claims = map_claims(
        dataclasses.replace(settings, frozen_first=False),
        5,
        _map([[0.0, 1, 1, 1], [0, 0, 0, 0]], ratios=[1.0]),
        found,
    )
    boundary = [claim for claim in claims if claim.name.startswith("boundary")]
    assert len(boundary) == 3
    assert not any(claim.holds for claim in boundary)
    assert all("1 of 2 seeds do not converge" in c.statement for c in boundary[1:])


@pytest.mark.parametrize(
    ("ratios", "drift", "verdicts"),
    [
        ((0.0,), np.nan, []),
        ((0.0, 1.0), np.nan, [False]),
        ((0.0, 1.0), 1e-6, [True]),
    ],
)
def test_invariants_that_are_not_known_do_not_hold(
    ratios: tuple[float, ...], drift: float, verdicts: list[bool]
) -> None:
    """They are known only where both layers move."""
    names = ",".join(map(str, ratios))
    settings = with_settings(
        SMOKE, ["widths=1,2,4,8", f"ratios={names}", "num_seeds=2", "frozen_first=no"]
    )
    dataset = _map([[0.0, 1, 1, 1], [0, 0, 1, 1]], ratios=list(ratios))
    values = np.full((2, 4, len(ratios)), np.nan)
    values[..., -1] = drift
    dataset["map_5_invariant"] = (("map_seed", "map_width", "map_ratio"), values)
    claims = map_claims(settings, 5, dataset, thresholds(dataset, "map_5", settings))
    found = [claim.holds for claim in claims if claim.name == "map-invariants-n5"]
    assert found == verdicts


def _map(
    converged: Sequence[Sequence[float]],
    ratios: list[float],
    scale: float = 0.4,
    wide: int = 16,
) -> xarray.Dataset:
    """Of two seeds over widths 1, 2, 4, 8, the same at each ratio, and a wider one.

    The kernel changes by `scale` over the width.
    """
    widths, axes = np.array([1, 2, 4, 8]), ("map_seed", "map_width", "map_ratio")
    grid = np.repeat(np.array(converged)[..., None], len(ratios), axis=-1)
    drift = np.broadcast_to((scale / widths)[None, :, None], grid.shape)
    beside, last = ("map_seed", "wide_width"), np.array(converged)[:, -1:]
    return xarray.Dataset(
        {
            "map_5_converged": (axes, grid),
            "map_5_drift": (axes, drift),
            "map_5_loss": (axes, np.zeros(grid.shape)),
            "map_5_flips": (axes, np.zeros(grid.shape)),
            "map_5_invariant": (axes, np.zeros(grid.shape)),
            "wide_5_converged": (beside, last),
            "wide_5_drift": (beside, 0 * last + scale / wide),
            "wide_5_loss": (beside, 0 * last),
            "wide_5_flips": (beside, 0 * last),
        },
        coords={
            "map_width": widths,
            "wide_width": [wide],
            "map_ratio": ratios,
            "map_seed": [0, 1],
        },
    )


def test_another_seed_is_another_instance() -> None:
    """And its numbers are not held against those of seeds 0 to 3."""
    settings = with_settings(SMOKE, ["num_seeds=4"])
    rows = {
        seed: {
            f"{w} {r} {s}": _cell(100.0)
            for r in (1.0, np.inf)
            for w in settings.widths
            for s in range(4)
        }
        | {f"wide {s}": _cell(100.0) for s in range(4)}
        for seed in (0, 4)
    }
    names = {
        seed: [c.name for c in maps(settings, seed, 50).join([row]).claims]
        for seed, row in rows.items()
    }
    assert any(name.startswith("count-") for name in names[0])
    assert not any(name.startswith("count-") for name in names[4])
    found = maps(settings, 4, 50).join([rows[4]]).dataset
    assert found is not None
    assert found.map_seed.values.tolist() == [4, 5, 6, 7]


def _cell(loss: float) -> Cell:
    numbers = dict.fromkeys((f.name for f in dataclasses.fields(Cell)), 1.0)
    return Cell(**{**numbers, "outcome": "", "evidence": "", "loss": loss})  # pyright: ignore[reportArgumentType]


def test_flows_that_never_converge_take_for_ever() -> None:
    """Of three pairs the adversary's flows of two do not come to zero loss."""
    times = np.ones((4, 2, 1, 3))
    times[:, 1, 0, :2] = np.nan
    axes = ("init_kind", "init_labels", "init_width", "init_seed")
    dataset = xarray.Dataset(
        {
            "init_time": (axes, times),
            "init_drift": (axes, np.ones(times.shape)),
            "init_converged": (axes, np.isfinite(times).astype(float)),
        },
        coords={
            "init_kind": list(_SETTINGS.values()),
            "init_labels": ["gaussian", "least"],
            "init_width": [16],
            "init_seed": [0, 1, 2],
        },
    )
    found = {claim.name: claim for claim in _claims(SMOKE, dataset)}
    assert found["init-adversary"].measured == np.inf
    assert "2 of 6 flows" in found["init-adversary"].statement


def test_initializations_of_which_no_flow_converges_are_drawn() -> None:
    """There is nothing to take the logarithm of, and no run is lost by that."""
    axes = ("init_kind", "init_labels", "init_width", "init_seed")
    shape = (len(_SETTINGS), 1, 1, 2)
    dataset = xarray.Dataset(
        {
            "init_time": (axes, np.full(shape, np.nan)),
            "init_drift": (axes, np.ones(shape)),
            "init_converged": (axes, np.zeros(shape)),
        },
        coords={"init_kind": list(_SETTINGS.values()), "init_labels": ["gaussian"]},
    )
    canvas = _draw(dataset)
    canvas.savefig(io.BytesIO())
    assert [text.get_text() for text in canvas.axes[1].texts] == ["0 of 2"] * shape[0]


def test_rows_of_a_map_are_joined_in_their_places() -> None:
    """Each cell is told by its width, ratio and seed, whichever row was done first."""
    settings = with_settings(
        SMOKE, ["widths=4,8", "ratios=0,1", "num_seeds=2", "num_resamples=100"]
    )

    def cell(width: int, ratio: float, seed: int) -> Cell:
        return _cell(100 * width + 10 * min(ratio, 2) + seed)

    rows = [
        {f"{w} {r} {s}": cell(w, r, s) for r in (0.0, 1.0, np.inf) for s in (0, 1)}
        for w in (4, 8)
    ]
    wide = {f"64 1 {s}": cell(64, 1.0, s) for s in (0, 1)}
    dataset = maps(settings, 0, 30).join([*rows, wide]).dataset
    assert dataset is not None
    assert dataset["wide_30_loss"].sel(wide_width=64, map_seed=1) == 6411
    loss = dataset["map_30_loss"]
    assert loss.sel(map_width=8, map_ratio=1.0, map_seed=0) == 810
    assert loss.sel(map_width=4, map_ratio=np.inf, map_seed=1) == 421
