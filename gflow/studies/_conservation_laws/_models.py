"""The models whose laws are counted, each with the number that is known.

φ the map from parameters to what the loss depends on; of a net with kinks or a generic
one its predictions for random inputs.
"""

import dataclasses
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...flows import Flow, HeavyBall, Nesterov
from ...problem import Mirror

_GRADIENT = "Marcotte, Gribonval, Peyré 2023 (arXiv 2307.00144)"
_MOMENTUM = "Marcotte, Gribonval, Peyré 2024 (arXiv 2405.12888)"
_DIAGONAL = "Chou, Rauhut, Ward 2023 (arXiv 2305.05448)"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model, a law of motion, and how many laws they are known to have.

    **Fields:** `name`; `phi`, `like`, `inputs`, `rates`, `flow` as `count` takes them;
    `known`: the number of laws; `laws`: what they are, as text; `source` of both.
    """

    name: str
    phi: Callable[..., Any]
    like: Any
    known: int
    laws: str
    source: str = _GRADIENT
    inputs: np.ndarray | None = None
    rates: Any = None
    flow: Flow | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What `count` and `discover` take beside the flow."""
        return {
            "phi": self.phi,
            "like": self.like,
            "inputs": self.inputs,
            "rates": self.rates,
        }


def models(seed: int) -> tuple[Model, ...]:
    """All of the table, at random weights and inputs."""
    rng = np.random.default_rng(seed)
    return (
        *(linear(rng, *case) for case in _LINEAR),
        *_heads(rng),
        *_diagonal(),
        *_neurons(rng),
        *_mirror(rng),
        *_inertia(rng),
    )


# Widths, and the number of laws. Of hidden layers of r units between n and m: r(r+1)/2
# if r <= n + m, in general k(2r+1-k)/2 with k = min(n + m, r).
_LINEAR = (
    ((2, 2, 2), 3),
    ((1, 3, 1), 5),
    ((2, 4, 2), 10),
    ((4, 4, 4), 10),
    ((2, 2, 2, 2), 6),
    ((2, 3, 2, 2), 9),
    ((5, 5, 5), 15),
)


def _product(w: list[Any]) -> Any:
    return reduce(jnp.matmul, w)


def _factors(rng: np.random.Generator, *widths: int) -> list[np.ndarray]:
    return [rng.standard_normal(shape) for shape in pairwise(widths)]


def _named(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))


def linear(rng: np.random.Generator, widths: tuple[int, ...], known: int) -> Model:
    """A deep linear net of these widths."""
    return Model(
        f"linear {_named(widths)}",
        _product,
        _factors(rng, *widths),
        known,
        "W_l^T W_l - W_(l+1) W_(l+1)^T",
    )


def _heads(rng: np.random.Generator) -> tuple[Model, ...]:
    def head(w: dict[str, Any]) -> Any:
        return w["q"] @ w["k"].T, w["v"] @ w["o"].T

    like = {name: rng.standard_normal((3, 2)) for name in "qkvo"}
    return (Model("attention 3, 2", head, like, 6, "Q^T Q - K^T K, V^T V - O^T O"),)


def _diagonal() -> tuple[Model, ...]:
    return tuple(
        Model(
            f"signed diagonal, L = {depth}",
            lambda w, depth=depth: w["u"] ** depth - w["v"] ** depth,
            {"u": np.ones(3), "v": np.ones(3)},
            3,
            laws,
            _DIAGONAL,
        )
        for depth, laws in ((2, "u v"), (3, "1/u + 1/v"))
    )


def _net(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def net(w: dict[str, Any], x: Any) -> Any:
        return activation(x @ w["w"].T + w["b"]) @ w["a"]

    return net


def _neurons(rng: np.random.Generator) -> tuple[Model, ...]:
    like = {
        "w": rng.standard_normal((3, 2)),
        "b": 0.3 * rng.standard_normal(3),
        "a": rng.standard_normal(3),
    }
    inputs = 2 * rng.standard_normal((300, 2))
    neurons = Model(
        "ReLU 2-3-1, biases",
        _net(jax.nn.relu),
        like,
        3,
        "|w_j|^2 + b_j^2 - a_j^2",
        inputs=inputs,
    )
    return (
        neurons,
        dataclasses.replace(
            neurons,
            name="ReLU 2-3-1, rates 2 and 5",
            rates={"w": 2.0, "b": 2.0, "a": 5.0},
            laws="(|w_j|^2 + b_j^2)/2 - a_j^2/5",
        ),
        dataclasses.replace(
            neurons,
            name="ReLU 2-3-1, heavy ball",
            flow=HeavyBall(1.0),
            known=0,
            laws="none",
            source=_MOMENTUM,
        ),
        dataclasses.replace(
            neurons, name="tanh 2-3-1", phi=_net(jnp.tanh), known=0, laws="none"
        ),
    )


def _mirror(rng: np.random.Generator) -> tuple[Model, ...]:
    return tuple(
        Model(
            f"positive {_named(widths)}, entropy",
            _product,
            [np.abs(factor) for factor in _factors(rng, *widths)],
            widths[1],
            "sum_i u_ik - sum_j v_kj",
            rates=Mirror(),
        )
        for widths in ((2, 1, 3), (2, 2, 2))
    )


def _inertia(rng: np.random.Generator) -> tuple[Model, ...]:
    widths = (2, 2, 2)
    return tuple(
        Model(
            f"linear {_named(widths)}, {name}",
            _product,
            _factors(rng, *widths),
            1,
            f"{factor} (U^T U' - U'^T U + V V'^T - V' V^T)",
            _MOMENTUM,
            flow=flow,
        )
        for name, factor, flow in (
            ("heavy ball", "e^t", HeavyBall(1.0)),
            ("Nesterov", "t^3", Nesterov()),
        )
    )
