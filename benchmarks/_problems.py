"""Six gradient flows to measure integrators on, each with its seed and its scale."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.models import DiagonalNet, TwoLayerReLU, WeightNormalized, sparse_random


@dataclasses.dataclass(frozen=True)
class Case:
    """A flow, its horizon and its end, known to far more digits than are asked for.

    - `reference`: the flattened parameters at t1, None until they are computed.
    - `reference_spread`: the relative distance of two references by different methods.
    - `exact`: t -> flattened parameters in closed form, where there is one.
    - `smooth`: whether the field is; a kinked one has its own solvers.
    - `sharpness`: the largest spectral radius of the Jacobian on the way, with the
        reference.
    """

    name: str
    problem: gf.Problem
    w0: Any
    t1: float
    reference: np.ndarray | None = None
    reference_spread: float | None = None
    seed: int = 0
    exact: Callable[[float], np.ndarray] | None = None
    smooth: bool = True
    sharpness: float | None = None

    @property
    def start(self) -> np.ndarray:
        """The flattened parameters at t = 0."""
        return np.asarray(ravel_pytree(self.w0)[0])

    def error(self, w: np.ndarray) -> float:
        """‖w - reference‖/‖reference‖ over all parameters, inf if not finite."""
        assert self.reference is not None
        with np.errstate(over="ignore"):
            gap = float(np.linalg.norm(w - self.reference))
        scale = float(np.linalg.norm(self.reference))
        return gap / scale if np.isfinite(gap) else float("inf")


def p1(seed: int, *, small: bool = False) -> Case:
    """Sparse regression by the signed diagonal net x = u² - v², all weights 1e-2."""
    net, data = _diagonal(seed, small)
    problem = net.problem(data.A, data.y)
    return Case("P1", problem, net.init(1e-2), 100.0 if small else 5e3, seed=seed)


def p2(seed: int, *, small: bool = False) -> Case:
    """The flow of P1 in polar coordinates: its sharpness grows a hundredfold."""
    net, data = _diagonal(seed, small)
    model = WeightNormalized(net)
    problem = model.problem(data.A, data.y)
    return Case("P2", problem, model.init(1e-2), 50.0 if small else 1e3, seed=seed)


def _diagonal(seed: int, small: bool) -> tuple[DiagonalNet, Any]:
    size = (40, 20, 3) if small else (1000, 200, 20)
    data = sparse_random(*size, signed=True, seed=seed)
    return DiagonalNet(size[0], signed=True), data


def p3(seed: int, *, small: bool = False) -> Case:
    """Matrix completion by a product of three matrices, through its saddles.

    Rank 5 with singular values 2, 1.6, 1.2, 0.8, 0.4, of which three entries in ten
    are seen; the factors start Gaussian with largest singular value about 0.2.
    """
    n = 12 if small else 60
    rng = np.random.default_rng(seed)
    values = np.linspace(2.0, 0.4, 5)
    left, right = (np.linalg.qr(rng.standard_normal((n, 5)))[0] for _ in range(2))
    truth = (left * values) @ right.T
    seen = np.zeros(n * n)
    seen[rng.choice(n * n, int(0.3 * n * n), replace=False)] = 1.0
    seen = seen.reshape(n, n)
    factors = [0.1 * rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(3)]

    def model(w: Any, mask: Any) -> Any:
        return mask * (w[0] @ w[1] @ w[2])

    problem = gf.EmpiricalRisk(model, seen, seen * truth)
    w0 = [jnp.asarray(factor) for factor in factors]
    return Case("P3", problem, w0, 100.0 if small else 3e3, seed=seed)


def p4(seed: int, *, small: bool = False) -> Case:
    """Two-layer ReLU net on Gaussian data, the outer layer at a tenth of the rate."""
    n, d, width = (20, 5, 16) if small else (200, 20, 1000)
    rng = np.random.default_rng(seed)
    inputs, targets = rng.standard_normal((n, d)), rng.standard_normal(n)
    w0 = {
        "w": jnp.asarray(rng.standard_normal((width, d)) / np.sqrt(d)),
        "a": jnp.asarray(rng.standard_normal(width) / np.sqrt(width)),
    }
    problem = gf.EmpiricalRisk(
        TwoLayerReLU(d, width),
        inputs,
        targets,
        criterion=half_mean_square,
        rates={"w": 1.0, "a": 0.1},
    )
    return Case("P4", problem, w0, 2.0, seed=seed, smooth=False)


def p5(seed: int, *, small: bool = False) -> Case:
    """Tanh net 64-100-100-10 on digits, square loss: the sharpness climbs."""
    problem, w0 = _digits(seed, *_size(small), half_mean_square)
    return Case("P5", problem, w0, 20.0 if small else 1e3, seed=seed)


def p5_entropy(seed: int, *, small: bool = False) -> Case:
    """The net of P5 with cross-entropy: the sharpness falls, nothing is stiff."""
    problem, w0 = _digits(seed, *_size(small), cross_entropy)
    return Case("P5-entropy", problem, w0, 20.0 if small else 500.0, seed=seed)


def _size(small: bool) -> tuple[int, int]:
    """Number of digits, width."""
    return (32, 8) if small else (256, 100)


def half_mean_square(predictions: jax.Array, targets: jax.Array) -> Any:
    """1/(2n) Σ ‖f - y‖² over n examples."""
    return 0.5 * jnp.sum((predictions - targets) ** 2) / len(targets)


def cross_entropy(predictions: jax.Array, targets: jax.Array) -> Any:
    """Mean cross-entropy of logits against one-hot targets."""
    logs = jax.nn.log_softmax(predictions, axis=1)
    return -jnp.sum(logs * targets) / len(targets)


def digits_net(seed: int, width: int, t1: float = 100.0) -> Case:
    """The flow of P5 with hidden layers of any width."""
    problem, w0 = _digits(seed, 256, width, half_mean_square)
    return Case(f"digits, width {width}", problem, w0, t1, seed=seed)


def _digits(seed: int, num: int, width: int, criterion: Any) -> tuple[gf.Problem, Any]:
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(data.target), num, replace=False)
    inputs = data.data[chosen]
    deviation = inputs.std(axis=0)
    # Pixels that are blank in the whole sample stay at zero.
    inputs = (inputs - inputs.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    targets = np.eye(10)[data.target[chosen]]
    w0 = tanh_init(rng, (64, width, width, 10))
    return gf.EmpiricalRisk(tanh_net, inputs, targets, criterion=criterion), w0


def tanh_init(rng: np.random.Generator, sizes: Sequence[int]) -> list[Any]:
    """Weights and biases uniform on ±1/√(fan-in), a pair for each layer.

    With weights of variance 1/fan-in the net starts near where it ends, and its
    sharpness goes 11 → 8 → 14; from these it goes 3 → 19.
    """

    def uniform(fan_in: int, *shape: int) -> Any:
        return jnp.asarray(rng.uniform(-1, 1, shape) / np.sqrt(fan_in))

    return [(uniform(a, a, b), uniform(a, b)) for a, b in itertools.pairwise(sizes)]


def tanh_net(w: Any, x: Any) -> Any:
    """Outputs of a tanh net with a linear last layer, (n, features) -> (n, out)."""
    for weight, bias in w[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = w[-1]
    return x @ weight + bias


def p6(seed: int, *, small: bool = False) -> Case:
    """Least squares with condition number 1e6 (1e3 if small) of the Hessian."""
    n, condition, t1 = (40, 1e3, 1e2) if small else (400, 1e6, 1e5)
    return least_squares(seed, n, condition, t1, name="P6")


def least_squares(seed: int, n: int, condition: float, t1: float, *, name: str) -> Case:
    """½‖A w - y‖², the Hessian's spectrum log-spaced from 1/condition to 1.

    With A = P λ^½ Qᵀ and y = A w*, the flow is w(t) = w* + Q exp(-λ t) Qᵀ (w0 - w*).
    """
    rng = np.random.default_rng(seed)
    P, Q = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    values = np.geomspace(1 / condition, 1.0, n)
    A = (P * np.sqrt(values)) @ Q.T
    target, w0 = rng.standard_normal(n), rng.standard_normal(n)

    def exact(t: float) -> np.ndarray:
        return target + Q @ (np.exp(-values * t) * (Q.T @ (w0 - target)))

    problem = gf.EmpiricalRisk(_linear, A, A @ target)
    return Case(name, problem, jnp.asarray(w0), t1, seed=seed, exact=exact)


def _linear(w: Any, x: Any) -> Any:
    return x @ w


PROBLEMS: dict[str, Callable[..., Case]] = {
    "P1": p1,
    "P2": p2,
    "P3": p3,
    "P4": p4,
    "P5": p5,
    "P5-entropy": p5_entropy,
    "P6": p6,
}
