"""The equation of a step of backward differentiation."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import gflow as gf
from gflow.solvers import BDF


def test_rates_make_the_inner_product() -> None:
    """w' = -R H w: stiff through R, and symmetric in its inner product alone."""
    rng = np.random.default_rng(4)
    q = np.linalg.qr(rng.standard_normal((9, 9)))[0]
    H = (q * np.geomspace(1e-2, 1e1, 9)) @ q.T
    rates = np.repeat([1.0, 1e3, 0.0], 3)
    # With w = R^½ z on the parts that move, z' = -R^½ H R^½ z - R^½ H w_frozen.
    moving, w0, t1 = rates > 0, rng.standard_normal(9), 50.0
    root = np.sqrt(rates[moving])
    values, vectors = np.linalg.eigh(root[:, None] * H[np.ix_(moving, moving)] * root)
    push = vectors.T @ (root * (H[np.ix_(moving, ~moving)] @ w0[~moving]))
    z0 = vectors.T @ (w0[moving] / root)
    z = np.exp(-values * t1) * (z0 + push / values) - push / values
    expected = np.concatenate([root * (vectors @ z), w0[~moving]])

    def loss(w: Any) -> Any:
        flat = jnp.concatenate([w["slow"], w["fast"], w["still"]])
        return 0.5 * flat @ (H @ flat)

    problem = gf.Objective(loss, rates={"slow": 1.0, "fast": 1e3, "still": 0.0})
    start = {"slow": w0[:3], "fast": w0[3:6], "still": w0[6:]}
    run = gf.simulate(problem, gf.GradientFlow(), start, t1, rtol=1e-6, solver=BDF())
    got = np.concatenate([run.w1["slow"], run.w1["fast"], run.w1["still"]])
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.max(np.abs(expected)))
    # Plain conjugate gradients would fail on it, and steps with them.
    assert run.stats["num_rejected"] < 0.2 * run.stats["num_steps"]
    assert run.stats["num_gradients"] < 5_000
