"""The pieces of the total-variation study that need no long run."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from jax.flatten_util import ravel_pytree

from gflow.models import (
    Curve,
    Interval,
    PenalizedRegression,
    ShallowNet,
    SmoothMLP,
    curve_okuno,
    directional_derivatives,
    smoothing_spline,
    total_variation,
)
from gflow.studies import with_settings
from gflow.studies._total_variation._cars import _folds
from gflow.studies._total_variation._compare import _choice
from gflow.studies._total_variation._cost import _program, cost
from gflow.studies._total_variation._cost_claims import _bend, _growth, slope_of
from gflow.studies._total_variation._deep import _cell, claims_of as deep_claims
from gflow.studies._total_variation._fits import Fit, best, parted
from gflow.studies._total_variation._least import least
from gflow.studies._total_variation._modified import _covariance, _Found
from gflow.studies._total_variation._modified_laws import Law, _field, expand
from gflow.studies._total_variation._physics import ordinary, partial_equations
from gflow.studies._total_variation._published import _padded, published_settings
from gflow.studies._total_variation._published_claims import (
    _helps,
    _is_published,
    claims_of as published_claims,
)
from gflow.studies._total_variation._runs import (
    flow_time,
    geometric,
    last_long_step,
    over,
)
from gflow.studies._total_variation._settings import FULL, SMOKE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("targets=circle", "targets must be one of line, parabola, cubic"),
        ("batch=101", "batch must be at most num_data"),
        ("few=201", "few must be at most width"),
        ("cost_orders=1,2", "three or more"),
        ("cost_orders=3,2,1", "must rise"),
        ("strength1=-1", "strength1 must be >= 0"),
        ("cars_train=187", "cars_train must leave 10 of the 196 cars"),
        ("cars_folds=1", "cars_folds must be >= 2"),
        ("deep_strengths=1e-3,1e-4", "deep_strengths must rise"),
        ("deep_activations=relu", "one of tanh, gelu, softplus"),
        ("plane_directions=up", "one of axes, sphere"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str):
    """Each with the name and the range."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_the_schedule_adds_up_to_the_flow_time():
    """20 cycles of 25e-3 (1 + 0.9 + … + 0.9^39) = 0.25 (1 - 0.9^40) each."""
    t1, etas = flow_time(FULL)
    np.testing.assert_allclose(t1, 20 * 0.25 * (1 - 0.9**40), rtol=1e-12)
    assert len(etas) == 20_000
    assert etas[24] == etas[1000] == 1e-3
    np.testing.assert_allclose(etas[25], 0.9e-3)


def test_spare_units_change_nothing():
    """A net of 3 units in one of 5 has the same values; its spare units are 0."""
    curve, w0 = curve_okuno("line", num=10, width=3, seed=0)
    wide = _padded(w0, 5)
    few, many = ShallowNet(1, 3)(w0, curve.x), ShallowNet(1, 5)(wide, curve.x)
    np.testing.assert_allclose(few, many, rtol=1e-14)
    assert wide["b"].shape == (5, 1)
    assert not wide["a"][3:].any()


def test_closed_forms_agree_with_their_data():
    """Each equation's data are values of its solution, where the grid has them."""
    for equation in [*ordinary(), *partial_equations()]:
        for x, y in zip(equation.x, equation.y, strict=True):
            at = np.argmin(np.sum((equation.grid - x) ** 2, axis=1))
            np.testing.assert_allclose(equation.truth[at], y, atol=1e-12)


def test_the_best_fit_is_best_on_the_data_held_out():
    """Of x + shift against x, the least shift; nan never is."""
    x = np.linspace(0, 1, 20)[:, None]
    curve = Curve(x, x[:, 0], None, np.zeros(20, bool))
    train, held_out = parted(curve, 15, seed=0)
    assert len(held_out.y) == 5
    np.testing.assert_allclose(np.sort(np.append(train.y, held_out.y)), x[:, 0])
    shifts = (0.5, np.nan, -0.1, 0.3)
    fits = [Fit(lambda x, s=s: x[:, 0] + s, s, "") for s in shifts]
    assert best(fits, held_out).strength == -0.1


def test_slope_and_its_error():
    """Of 1, 2, 4 against 0, 1, 2: slope 3/2, residual 1/6, error √(1/12).

    Student's factor for one degree of freedom is 12.706.
    """
    slope, (low, high) = slope_of(np.arange(3.0), np.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(slope, 1.5)
    np.testing.assert_allclose(high - low, 2 * 12.7062 * np.sqrt(1 / 12), rtol=1e-5)


def test_costs_are_counted():
    """Orders 1 to 3 of a small net: claims hold, and nested ones grow faster."""
    options = ["cost_orders=1,2,3", "cost_width=4", "cost_compiled=1"]
    heard: list[str] = []
    part = cost(with_settings(SMOKE, options), 0, heard.append)
    held = {claim.name: claim.holds for claim in part.claims}
    assert not {"cost-taylor-written", "cost-taylor-quadratic"} & set(held)
    assert held["cost-same-values"]
    assert held["cost-same-gradients"]
    assert part.dataset is not None
    for of in ("derivative", "gradient"):
        written = part.dataset["cost_written"].sel(cost_of=of).values
        assert written[1, -1] / written[1, 0] > written[0, -1] / written[0, 0]
    assert len(heard) == 4 * 3
    assert part.evidence["cost, microseconds of the gradient, taylor"].startswith("k =")


@pytest.mark.parametrize(
    ("counts", "is_steep", "is_quadratic"),
    [
        (lambda k: 100 * k + k**2, False, True),
        (lambda k: 100 * k + k**3, False, False),
        (lambda k: 20 * k + k**3, True, False),
    ],
)
def test_a_cubic_cost_is_seen_behind_a_linear_one(
    counts: Any, is_steep: bool, is_quadratic: bool
):
    """Over orders 1 to 8 the fitted exponents of all three are below 2."""
    k = np.arange(1, 9)
    dataset = xarray.Dataset(
        {"cost_written": (("cost_of", "cost_kind", "cost_order"), [[counts(k)]])},
        coords={"cost_of": ["derivative"], "cost_kind": ["taylor"], "cost_order": k},
    )
    assert slope_of(np.log(k), np.log(counts(k)))[0] < 2
    case = ("cost-taylor-written", "derivative", "written", "this")
    assert _growth(dataset, *case).holds != is_steep
    assert _bend(dataset, *case).name == "cost-taylor-quadratic"
    assert _bend(dataset, *case).holds == is_quadratic


def test_gradient_program_is_the_gradient_of_the_penalty():
    """By difference quotients of the mean of ½ (f'')² over the points."""
    net = SmoothMLP(1, (3, 2))
    w = net.init(key=jax.random.key(0))
    x = jnp.linspace(-0.5, 0.5, 5)[:, None]

    @jax.jit
    def penalty(w: Any) -> Any:
        second = directional_derivatives(lambda x: net(w, x), x, jnp.ones(1), 2)[2]
        return 0.5 * jnp.mean(second**2)

    flat, unravel = ravel_pytree(w)
    h = 1e-5 * np.eye(flat.size)
    moved = [penalty(unravel(flat + d)) - penalty(unravel(flat - d)) for d in h]
    for kind in ("taylor", "nested"):
        found = ravel_pytree(jax.jit(_program(net, "gradient", kind, 2))(w, x))[0]
        np.testing.assert_allclose(found, np.array(moved) / 2e-5, rtol=1e-5, atol=1e-8)


def test_each_car_tests_once_in_each_division():
    """Of 5 folds twice; the other folds have no car of the fold that tests."""
    parts = _folds(392, FULL, seed=3)
    assert len(parts) == 10
    for first in (0, 5):
        tests = np.concatenate([test for _, test in parts[first : first + 5]])
        np.testing.assert_array_equal(np.sort(tests), np.arange(392))
    for others, test in parts:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([others, test])), range(392)
        )
        # So many must be left to choose strengths.
        assert len(others) - FULL.cars_train >= 10
    assert not np.array_equal(np.sort(parts[0][1]), np.sort(parts[5][1]))


def _deep_results(error: Any, integral: Any, held_out: Any) -> Any:
    """Strengths 0, 1e-5, 1e-4, 1e-3 as columns, a seed a row, of a tanh net."""
    axes = ("deep_activation", "deep_strength", "deep_seed")
    given = {"error": error, "integral": integral, "held_out": held_out}
    rest = {"fit": np.full_like(error, 0.0101), "gap": np.full_like(error, 0.03)}
    return xarray.Dataset(
        {f"deep_{n}": (axes, np.array(v).T[None]) for n, v in (given | rest).items()},
        coords={"deep_activation": ["tanh"], "deep_strength": [0, 1e-5, 1e-4, 1e-3]},
    )


def test_deep_claims_take_the_strength_that_the_data_held_out_choose():
    """Errors 2 and 4 to 1 at the strengths chosen: a mean ratio of 1/√8."""
    error = np.array([[2.0, 3.0, 1.0, 9.0], [4.0, 1.0, 9.0, 9.0]])
    integral = np.array([[8.0, 4.0, 3.0, 1.0], [8.0, 6.0, 5.0, 4.0]])
    held_out = np.array([[0.1, 5.0, 4.0, 6.0], [0.1, 1.0, 2.0, 3.0]])
    claims = {
        c.name: c
        for c in deep_claims(
            SMOKE, _deep_results(*map(np.asarray, (error, integral, held_out)))
        )
    }
    np.testing.assert_allclose(claims["deep-tanh-helps"].measured, 8**-0.5)
    # The falls are 1/2, 3/4, 1/3 and 3/4, 5/6, 4/5.
    np.testing.assert_allclose(claims["deep-tanh-falls"].measured, 5 / 6)
    # Two seeds do not decide a ratio.
    assert {n for n, c in claims.items() if not c.holds} == {"deep-tanh-helps"}
    rising = _deep_results(error, integral[:, ::-1], held_out)
    failed = {c.name for c in deep_claims(SMOKE, rising) if not c.holds}
    assert failed == {"deep-tanh-falls", "deep-tanh-helps"}
    # Where the data held out choose worse, it is told, with an interval of 3 seeds.
    worse = np.stack([[1.0, 2.0, 3.0, 4.0 + s] for s in range(3)])
    found = {
        c.name: c for c in deep_claims(SMOKE, _deep_results(worse, 5 - worse, worse))
    }
    assert not found["deep-tanh-helps"].holds
    assert found["deep-tanh-helps"].interval is not None
    np.testing.assert_allclose(found["deep-tanh-helps"].measured, 2.0)


def test_a_deep_net_is_trained_under_its_penalty():
    """Strength 1 against none, for a short time: the penalized integral is less."""
    options = ["deep_widths=4,3", "deep_t1=0.5", "deep_eta=0.01", "num_data=20"]
    settings = with_settings(SMOKE, [*options, "quadrature=16"])
    ends = [_cell(settings, "softplus", strength, 0).numbers for strength in (0.0, 1.0)]
    assert ends[1][1] < 0.5 * ends[0][1]
    assert np.all(np.isfinite([end[:4] for end in ends]))


def test_statements_say_of_how_many_seeds_they_are():
    assert over(1, "seed") == "of one seed"
    assert over(3, "start", "largest") == "largest over 3 starts"


def test_choices_at_the_end_of_a_grid_are_told():
    """Early stopping at the last time; ridge at either end."""
    t1, _ = flow_time(SMOKE)
    assert _choice("early stop", np.array([t1, t1 / 2]), SMOKE).endswith("in 1 of 2.")
    chosen = np.sort(FULL.compare_ridges)[[0, 1, -1]]
    assert _choice("ridge", chosen, FULL).endswith("in 2 of 3.")
    assert _choice("spline", chosen, FULL) == ""


def test_published_numbers_are_for_the_published_instances_alone():
    """Of seed 0, at full accuracy and width: no other run is held against them."""
    coarse = ("rtol=1e-3", "quadrature=16", "few=10", "num_seeds=4")
    assert _is_published(FULL, 0)
    assert _is_published(with_settings(FULL, ["rtol=1e-5"]), 0)
    assert not _is_published(FULL, 1)
    for setting in coarse:
        assert not _is_published(with_settings(FULL, [setting]), 0)
    names = [case.name for case in published_settings(FULL)]
    axes = ("target", "setting", "seed", "law")
    shape = (3, len(names), 5, 2)
    dataset = xarray.Dataset(
        {
            "score": (axes, np.ones(shape)),
            "derivative": ((*axes, "order"), np.ones((*shape, 3))),
            "gap": ((*axes[:3], "gap_at"), np.ones(shape)),
            "least_score": (
                ("target", "seed", "order", "least_of"),
                np.ones((3, 5, 3, 2)),
            ),
        },
        coords={
            "least_of": ["data", "target"],
            "target": list(FULL.targets),
            "setting": names,
            "law": ["sgd", "flow"],
            "order": [1, 2, 3],
        },
    )
    scores = {"score-line-none-sgd", "score-parabola-3-TV-flow"}
    assert scores <= {claim.name for claim in published_claims(FULL, dataset, 0)}
    other = published_claims(FULL, dataset, 1)
    assert not scores & {claim.name for claim in other}
    assert not any("same instances" in claim.statement for claim in other)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_least_over_all_functions(order: int):
    """Beside the cubic smoothing spline, and least squares over polynomials."""
    curve, _ = curve_okuno("cubic", num=60, seed=2)
    x, at = curve.x[:, 0], np.linspace(-0.5, 0.5, 41)
    strength = 10.0 ** (1 - 2 * order)
    found = least(x, curve.y, order, strength, at)
    if order == 2:
        spline = smoothing_spline(x, curve.y, strength / 2)
        np.testing.assert_allclose(found, spline(at), atol=1e-8)
    # The norm of the k-th derivative at Gauss points, in Legendre polynomials.
    q, weights = np.polynomial.legendre.leggauss(60)
    steep = np.polynomial.legendre.legder(np.eye(41), order) * 2.0**order
    rows = np.polynomial.legendre.legval(q, steep).T
    rows *= np.sqrt(strength / 2 * weights / 2)[:, None]
    values = np.polynomial.legendre.legvander(2 * x, 40) / np.sqrt(len(x))
    system = np.vstack([values, rows])
    right = np.append(curve.y / np.sqrt(len(x)), np.zeros(60))
    c = np.linalg.lstsq(system, right, rcond=None)[0]
    # The spline of order 1 has kinks, which polynomials miss by so much.
    near = np.polynomial.legendre.legval(2 * at, c)
    np.testing.assert_allclose(found, near, atol=2e-3 if order == 1 else 1e-4)


@pytest.mark.parametrize(
    ("noisy", "exact", "reason"),
    [
        (0.95, 0.7, "So the strength is too large for this target."),
        (0.95, 0.99, "So not the penalty loses, but a net short of its minimum."),
        (0.85, 0.99, "and of data without noise 0.990."),
    ],
)
def test_why_a_penalty_does_not_help(noisy: float, exact: float, reason: str):
    """The least over all functions is worse than the plain net, or better."""
    data = xarray.Dataset(
        {
            "score": (
                ("setting", "law", "seed"),
                np.stack([np.full((2, 3), 0.9), np.full((2, 3), 0.8)]),
            ),
            "least_score": (
                ("seed", "order", "least_of"),
                np.stack([np.full((3, 1), noisy), np.full((3, 1), exact)], axis=-1),
            ),
        },
        coords={
            "setting": ["none", "2-TV"],
            "law": ["sgd", "flow"],
            "order": [2],
            "least_of": ["data", "target"],
        },
    )
    claim = _helps(SMOKE, data, "cubic", 2)
    assert not claim.holds
    assert claim.measured == pytest.approx(-0.1)
    assert claim.note.endswith(reason)


def test_the_last_of_the_longest_steps():
    """Of the paper's schedule the 25th of the last thousand."""
    assert last_long_step(flow_time(FULL)[1]) == 19_025
    assert last_long_step(np.ones(7)) == 7


def test_where_every_strength_fails_a_claim_fails_and_no_more():
    """All NaN of one seed: a fit without strength, and deep claims that do not hold."""
    x = np.linspace(0, 1, 20)[:, None]
    curve = Curve(x, x[:, 0], None, np.zeros(20, bool))
    lost = [Fit(lambda x: np.full(len(x), np.nan), s, "") for s in (1.0, 2.0)]
    fit = best(lost, curve)
    assert np.isnan(fit.strength)
    assert np.all(np.isnan(fit.f(x)))
    table = np.ones((2, 4))
    table[0, 1:] = np.nan
    claims = deep_claims(SMOKE, _deep_results(table, table, table))
    held = {claim.name for claim in claims if claim.holds}
    assert not held & {"deep-tanh-falls", "deep-tanh-helps"}


def test_paired_ratios_are_told_with_an_interval():
    """Of 1 and 4: 2, and Student's factor for two; of one none, of NaN none."""
    mean, ends = geometric(np.array([1.0, 4.0]))
    assert mean == pytest.approx(2.0)
    assert ends is not None
    assert ends == pytest.approx((2 / 4**6.3531, 2 * 4**6.3531), rel=1e-3)
    assert geometric(np.array([3.0])) == (pytest.approx(3.0), None)
    lost, nothing = geometric(np.array([1.0, np.nan]))
    assert np.isnan(lost)
    assert nothing is None


def test_the_covariance_of_the_noise_is_that_of_all_batches():
    """Pairs of four data, each as likely; points by the moments of their integrand."""
    net = ShallowNet(1, 2)
    x, y = np.array([[-0.4], [-0.1], [0.2], [0.3]]), np.array([1.0, -1.0, 0.5, 2.0])
    tv = total_variation(net, Interval(-0.5, 0.5), 0.7, num_points=20)
    fit = PenalizedRegression(net, x, y, integral=tv)
    w = net.init(key=jax.random.key(0))
    flat, unravel = ravel_pytree(w)

    def loss(flat: Any, of: Any) -> Any:
        return jnp.mean((net(unravel(flat), x[of]) - y[of]) ** 2)

    grad = jax.grad(loss)
    pairs = [grad(flat, jnp.array(p)) for p in itertools.combinations(range(4), 2)]
    expected = np.cov(np.stack(pairs), rowvar=False, bias=True)
    batch, points = Law(fit, 2, 3).roots(w)
    np.testing.assert_allclose(batch.T @ batch, expected, atol=1e-12)

    # The integral by a point drawn is |I| = 1 times half the integrand, 0.7 (f')².
    z = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 1))

    def one(flat: Any, z: Any) -> Any:
        slope = jax.grad(lambda z: net(unravel(flat), z[None])[0])(z)
        return 0.35 * slope[0] ** 2

    draws = np.asarray(jax.vmap(jax.grad(one), (None, 0))(flat, z))
    drawn = np.cov(draws, rowvar=False) / 3
    np.testing.assert_allclose(points.T @ points, drawn, atol=0.03 * np.max(drawn))


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (1.2, False)])
def test_a_wrong_covariance_of_sgd_fails(factor: float, holds: bool):
    """Runs that spread by 1 + 2 eta as expected pass, and by as much more do not."""
    normal = np.random.default_rng(0).standard_normal((2000, 50))
    eta = 0.1
    coarse, fine = (np.sqrt(e * (1 + 2 * e)) * normal for e in (eta, eta / 4))
    found = _Found(coarse, fine, {}, np.full(50, eta * factor), {})
    assert _covariance(found, 0).holds == holds


def test_the_first_order_of_a_net_with_one_weight():
    """f = w², J = mean (w² - y)²: all derivatives by hand."""

    class Square(eqx.Module):
        def __call__(self, w: Any, x: Any) -> Any:
            return jnp.zeros(len(x)) + w**2

    y, w, C, shift = np.array([1.0, -1.0, 0.0, 4.0]), 1.3, 0.6, 0.4
    fit = PenalizedRegression(
        Square(),
        np.zeros((4, 1)),
        y,
        integral=total_variation(Square(), Interval(-0.5, 0.5), 1.0, num_points=4),
    )
    field = _field(Law(fit, 1, 3), lambda flat: flat[0])
    state = jnp.array([w]), jnp.array([[C]]), jnp.full((3, 1), shift)
    slope, spread, moved = field(0.0, state, None)
    g, H, T = 4 * (w**3 - w), 4 * (3 * w**2 - 1), 24 * w  # y has mean 1
    Sigma, of_Sigma = 16 * w**2 * np.var(y), 32 * w * np.var(y)
    np.testing.assert_allclose(slope, [-g])
    np.testing.assert_allclose(spread, [[-2 * H * C + Sigma]])
    pushes = np.array([0, of_Sigma / 4, T * C / 2])
    np.testing.assert_allclose(moved[:, 0], -H * shift - H * g / 2 - pushes)


def test_the_variance_of_predictions_of_a_linear_model():
    """w' = -(w - y), noise of variance s: C = s (1 - e^(-2t))/2, predictions eta C."""

    class Constant(eqx.Module):
        def __call__(self, w: Any, x: Any) -> Any:
            return jnp.zeros(len(x)) + w

    y = np.array([1.0, -1.0, 0.0, 4.0])
    fit = PenalizedRegression(
        Constant(),
        np.zeros((4, 1)),
        y,
        integral=total_variation(Constant(), Interval(-0.5, 0.5), 1.0, num_points=4),
    )
    _, variance, _ = expand(
        Law(fit, 1, 3), jnp.array(2.0), jnp.array(0.7), jnp.array(0.1)
    )
    # The gradient of the mean of (w - y)^2 is 2 (w - mean): twice as fast, and its
    # noise is 4 var y.
    expected = 0.1 * 4 * np.var(y) * (1 - np.exp(-4 * 0.7)) / 4
    np.testing.assert_allclose(variance, expected, rtol=1e-3)
