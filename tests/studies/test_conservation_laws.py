"""The pieces of the study of conservation laws."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.invariants import LawCount, discover
from gflow.invariants._basis import bases
from gflow.invariants._discover import _MOST_TERMS, _leaves
from gflow.studies import with_settings
from gflow.studies._conservation_laws._digits import _instance, _laws, _neurons
from gflow.studies._conservation_laws._digits_claims import descent_claims, found_claim
from gflow.studies._conservation_laws._models import models
from gflow.studies._conservation_laws._settings import FULL, SMOKE, Settings
from gflow.studies._conservation_laws._table import _claims, _Row


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("digits_rtols=1e-4", "two values"),
        ("digits_etas=0.01", "two values"),
        ("digits_samples=3", "digits_samples must be >= 20"),
        ("digits_etas=0.5,0.1", "digits_etas must be <= 0.1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str) -> None:
    """Each with the name and the reason."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def _counted(num_laws: int, gap: float) -> LawCount:
    return LawCount(8, "smooth", (8 - num_laws,), gap, 2)


def test_a_count_that_is_wrong_or_not_clear_fails() -> None:
    """Of three laws: 3 holds, 4 does not, nor does 3 without a gap."""
    model = models(0)[0]
    assert (model.name, model.known) == ("linear 2-2-2", 3)
    for num_laws, gap, holds in ((3, 1e9, True), (4, 1e9, False), (3, 10.0, False)):
        row = _Row(model, None, _counted(num_laws, gap), None)
        assert [claim.holds for claim in _claims(row)] == [holds]


def test_a_search_that_misses_a_law_fails() -> None:
    """Of u⁵ - v⁵ the search finds nothing, and the claim of one law fails."""
    found = discover(lambda w: w["u"] ** 5 - w["v"] ** 5, {"u": 1.0, "v": 1.0})
    model = dataclasses.replace(models(0)[0], known=1)
    row = _Row(model, None, _counted(1, 1e9), found)
    assert [claim.holds for claim in _claims(row)] == [True, False]
    settings = dataclasses.replace(SMOKE, digits_width=2)
    assert not found_claim(settings, found).holds


@pytest.mark.parametrize("settings", [SMOKE, FULL], ids=["smoke", "full"])
def test_the_net_on_digits_is_not_too_large_for_a_search(settings: Settings) -> None:
    """Its squares are among the terms that may be tried."""
    _, w0 = _instance(settings, 0)
    sets = list(bases(_leaves(w0), 2, (-2, -1), _MOST_TERMS))
    assert "squares" in sets[0].what


def test_the_laws_of_the_net_on_digits() -> None:
    """Rates of change along the flow: zero, but for the law without its bias."""
    problem, w0 = _instance(SMOKE, 3)
    velocity = problem.velocity(w0)
    rates = {
        name: np.max(np.abs(jax.jvp(law, (w0,), (velocity,))[1]))
        for name, law in _laws().items()
    }
    assert rates["neurons"] < 1e-14
    assert rates["sums"] < 1e-14
    assert rates["without_bias"] > 1e-6


def test_a_step_adds_eta_squared_times_the_law_of_the_gradient() -> None:
    """h(w - η ∇L) = h(w) + η² h(∇L), as h is a quadratic form that L leaves alone."""
    problem, w0 = _instance(SMOKE, 3)
    gradient = problem.grad(w0)
    after = jax.tree.map(lambda w, g: w - 0.5 * g, w0, gradient)
    added = _neurons(after) - _neurons(w0)
    np.testing.assert_allclose(added, 0.25 * _neurons(gradient), rtol=1e-9)


def test_a_prediction_that_is_off_fails() -> None:
    """Descent claims on made-up changes: 3 % off holds, 10 % does not."""
    import xarray

    etas, predicted = np.array(SMOKE.digits_etas), np.array([1.0, -2.0])
    for off, holds in ((0.03, True), (0.10, False)):
        dataset = xarray.Dataset(
            {
                "digits_gd_moved": (
                    ("eta", "unit"),
                    np.outer(etas, (1 + off) * predicted),
                ),
                "digits_gd_predicted": (("eta", "unit"), np.outer(etas, predicted)),
                "digits_gd_sums": ("eta", np.array([1e-15, 1e-15])),
            },
            coords={"eta": etas},
        )
        order, told, sums = descent_claims(SMOKE, dataset)
        assert (order.holds, told.holds, sums.holds) == (True, holds, True)


def test_models_are_what_their_names_say() -> None:
    """Each φ can be evaluated, and no two have a name."""
    table = models(1)
    assert len({model.name for model in table}) == len(table)
    for model in table:
        extra = () if model.inputs is None else (model.inputs,)
        out = model.phi(jax.tree.map(jnp.asarray, model.like), *extra)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(out))
