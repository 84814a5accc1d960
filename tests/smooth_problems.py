"""Twenty smooth losses of one flat vector, with the starts of their flows.

All are functions of a vector of one size, so that what is compiled for one serves for
all. Numbers that a problem does not use stand still.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 12

_RNG = np.random.default_rng(7)
_ROTATION = np.linalg.qr(_RNG.standard_normal((SIZE, SIZE)))[0]
_FEATURES = _RNG.standard_normal((15, 4))
_SIGNS = np.sign(_FEATURES @ np.array([1.0, -1.0, 0.5, 0.0]) + 0.3)
_CLASSES = np.eye(3)[_RNG.integers(0, 3, 15)]
_DESIGN = _RNG.standard_normal((8, 6)) / np.sqrt(8)
_SPARSE = _DESIGN @ np.array([1.0, 0.0, -0.5, 0.0, 0.0, 0.3])
_TARGET = _RNG.standard_normal((3, 3))
_PLANE = _RNG.standard_normal((10, 2))
_CURVE = np.sin(2 * _PLANE[:, 0]) * _PLANE[:, 1]


def _quadratic(w: Any, low: float, high: float) -> Any:
    rates = np.geomspace(low, high, SIZE)
    return 0.5 * jnp.sum(rates * (_ROTATION.T @ w - 0.3) ** 2)


def _rosenbrock(w: Any) -> Any:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def _beale(w: Any) -> Any:
    powers = jnp.stack([w[1], w[1] ** 2, w[1] ** 3])
    return jnp.sum((np.array([1.5, 2.25, 2.625]) - w[0] * (1 - powers)) ** 2)


def _himmelblau(w: Any) -> Any:
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


def _powell(w: Any) -> Any:
    a, b, c, d = w[:4]
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def _wood(w: Any) -> Any:
    a, b, c, d = w[:4]
    return (
        _rosenbrock(w)
        + 90 * (d - c**2) ** 2
        + (1 - c) ** 2
        + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2)
        + 19.8 * (b - 1) * (d - 1)
        + 0 * a
    )


def _booth(w: Any) -> Any:
    return (w[0] + 2 * w[1] - 7) ** 2 + (2 * w[0] + w[1] - 5) ** 2


def _logistic(w: Any) -> Any:
    return jnp.mean(jnp.logaddexp(0.0, -_SIGNS * (_FEATURES @ w[:4])))


def _softmax(w: Any) -> Any:
    scores = _FEATURES @ w.reshape(4, 3)
    return -jnp.mean(jnp.sum(_CLASSES * jax.nn.log_softmax(scores), axis=1))


def _diagonal_2(w: Any) -> Any:
    return 0.5 * jnp.sum((_DESIGN @ (w[:6] ** 2 - w[6:] ** 2) - _SPARSE) ** 2)


def _diagonal_3(w: Any) -> Any:
    coefficients = jnp.prod(w.reshape(3, 4), axis=0)
    return 0.5 * jnp.sum((_DESIGN[:, :4] @ coefficients - _SPARSE) ** 2)


def _linear_chain(w: Any) -> Any:
    one, two, three = w.reshape(3, 2, 2)
    return 0.5 * jnp.sum((three @ two @ one - np.diag([2.0, 1.0])) ** 2)


def _factorization(w: Any) -> Any:
    left, right = w.reshape(2, 3, 2)
    return 0.5 * jnp.sum((left @ right.T - _TARGET) ** 2)


def _tanh_net(w: Any) -> Any:
    hidden = jnp.tanh(_PLANE @ w[:6].reshape(2, 3) + w[6:9])
    return 0.5 * jnp.sum((hidden @ w[9:] - _CURVE) ** 2)


def _double_well(w: Any) -> Any:
    return 0.25 * jnp.sum((w**2 - 1) ** 2) + 0.5 * jnp.sum((w[1:] - w[:-1]) ** 2)


def _pseudo_huber(w: Any) -> Any:
    gaps = _FEATURES @ w[:4] - 3 * _SIGNS
    return jnp.sum(jnp.sqrt(1 + gaps**2) - 1)


def _log_cosh(w: Any) -> Any:
    x = 4 * (_DESIGN @ w[:6] - _SPARSE)
    return jnp.sum(jnp.logaddexp(x, -x))


def _saddle(w: Any) -> Any:
    return 0.5 * (w[0] ** 2 - w[1] ** 2) + 0.25 * (w[1] ** 2 + w[0] * w[1]) ** 2


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss of the flat vector, where its flow starts, and for how long it runs."""

    name: str
    loss: Callable[[Any], Any]
    w0: Any
    t1: float


def _padded(*numbers: float) -> Any:
    return np.pad(np.array(numbers), (0, SIZE - len(numbers)))


_SMALL = 0.3 * _RNG.standard_normal(SIZE)
_CHAIN = 0.1 * np.tile(np.eye(2).ravel(), 3) + 0.01 * _RNG.standard_normal(SIZE)

CASES = (
    Case("round quadratic", lambda w: _quadratic(w, 0.5, 5.0), np.ones(SIZE), 5.0),
    Case("narrow quadratic", lambda w: _quadratic(w, 0.1, 1e3), np.ones(SIZE), 20.0),
    Case("quartic", lambda w: 0.25 * jnp.sum(w**2) ** 2, np.ones(SIZE) / 3, 20.0),
    Case("Rosenbrock", _rosenbrock, _padded(-1.2, 1.0), 5.0),
    Case("Beale", _beale, _padded(1.0, 1.0), 5.0),
    Case("Himmelblau", _himmelblau, _padded(0.1, -0.2), 0.5),
    Case("Powell singular", _powell, _padded(3.0, -1.0, 0.0, 1.0), 20.0),
    Case("Wood", _wood, _padded(-3.0, -1.0, -3.0, -1.0), 2.0),
    Case("Booth", _booth, _padded(-5.0, 5.0), 2.0),
    Case("logistic", _logistic, _padded(0.0), 100.0),
    Case("softmax", _softmax, _padded(0.0), 50.0),
    Case("diagonal net, depth 2", _diagonal_2, 0.1 + 0 * _SMALL, 30.0),
    Case("diagonal net, depth 3", _diagonal_3, np.abs(_SMALL), 50.0),
    Case("deep linear chain", _linear_chain, _CHAIN, 20.0),
    Case("factorization", _factorization, _SMALL, 10.0),
    Case("tanh net", _tanh_net, 2 * _SMALL, 10.0),
    Case("double well", _double_well, _SMALL, 10.0),
    Case("pseudo-Huber", _pseudo_huber, _padded(-5.0, 4.0, 3.0, -2.0), 5.0),
    Case("log-cosh", _log_cosh, _padded(2.0, -2.0, 2.0, -2.0, 1.0), 5.0),
    Case("start near a saddle", _saddle, _padded(1.0, 1e-3), 15.0),
)
