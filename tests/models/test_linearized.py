"""First-order expansions of models."""

import jax
import jax.numpy as jnp
import numpy as np

from gflow.models import Linearized, TwoLayerReLU


def test_it_is_the_value_and_the_jacobian_times_the_step() -> None:
    """Against the Jacobian formed by jax in reverse mode."""
    net = TwoLayerReLU(3, 4)
    w0, step = (net.init(key=jax.random.key(k)) for k in (0, 1))
    x = jax.random.normal(jax.random.key(2), (5, 3))
    w = jax.tree.map(jnp.add, w0, step)
    rows = jax.jacrev(lambda w: net(w, x))(w0)
    expected = net(w0, x) + sum(
        jnp.tensordot(rows[name], step[name], rows[name].ndim - 1) for name in rows
    )
    np.testing.assert_allclose(Linearized(net, w0)(w, x), expected, rtol=1e-12)


def test_what_is_not_a_parameter_is_kept() -> None:
    """A function beside the weights stays with w0."""
    w0 = {"c": jnp.array(2.0), "f": jnp.square}
    model = Linearized(lambda w, x: w["f"](w["c"]) * x, w0)
    # 4 + 2 · 2 · (2.5 - 2)
    assert float(model({**w0, "c": jnp.array(2.5)}, 1.0)) == 6.0
