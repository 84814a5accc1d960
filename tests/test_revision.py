"""What is asked of the velocity when a run's solver is judged."""

from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import pytest

import gflow as gf
from gflow._revision import _is_rough
from gflow._simulate import _setting
from gflow._stretch import start


class _Bend(eqx.Module):
    """L = -a sin(w) + b |w - d|: the velocity a cos(w) - b sign(w - d)."""

    a: Any
    b: Any
    d: Any

    def __call__(self, w: Any) -> Any:
        return -self.a * jnp.sin(w) + self.b * jnp.abs(w - self.d)


@pytest.mark.parametrize(
    ("a", "b", "steps_to_kink", "rough"),
    [
        # Over two and four steps of 0.9 the second difference of the cosine grows by
        # 1.5 only, (1 - cos 3.6)/(1 - cos 1.8); over half a step and one by 3.8.
        (1.0, 0.0, 9.0, False),
        (0.0, 1.0, 9.0, False),
        # A jump within half a step, within one, and within two.
        (0.1, 1.0, 0.3, True),
        (0.1, 1.0, 0.7, True),
        (1e-3, 1.0, 1.6, True),
    ],
)
def test_a_jump_is_told_from_a_bend(
    a: float, b: float, steps_to_kink: float, rough: bool
) -> None:
    """At w = 0, with steps of 0.9 in a velocity of a + b."""
    h = 0.9 / (a + b)
    loss = _Bend(*(jnp.asarray(x) for x in (a, b, 0.9 * steps_to_kink)))
    w0 = jnp.zeros(())
    parts = gf.Objective(loss), gf.GradientFlow(), w0, None
    setting = _setting(*parts, diffrax.Tsit5(), 1e-3, 1e-6, [])
    checkpoint, _ = start(setting, jnp.zeros(()), jnp.ones(()), setting.flow.init(w0))
    checkpoint = eqx.tree_at(
        lambda c: c.controller_state.dt, checkpoint, jnp.asarray(h)
    )
    found, num_gradients = _is_rough(setting, checkpoint)
    assert found == rough
    assert num_gradients <= 10
