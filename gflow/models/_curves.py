"""Noisy samples of a function of one variable, synthetic and real."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

Function = Callable[[np.ndarray], np.ndarray]


def _line(x: np.ndarray) -> np.ndarray:
    return x


def _parabola(x: np.ndarray) -> np.ndarray:
    return 4 * x**2


def _cubic(x: np.ndarray) -> np.ndarray:
    return 64 / 7 * (x + 3 / 8) * x * (x - 3 / 8)


_TARGETS: dict[str, Function] = {"line": _line, "parabola": _parabola, "cubic": _cubic}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Data y_i = μ(x_i) + noise.

    - `x`, `y`: (N, 1) and (N,).
    - `truth`: μ, if it is known.
    - `outlying`: which data were spoiled on purpose, (N,).
    """

    x: Float[np.ndarray, "n 1"]
    y: Float[np.ndarray, " n"]
    truth: Function | None
    outlying: Bool[np.ndarray, " n"]


def curve_okuno(
    target: str,
    *,
    num: int = 100,
    noise: float = 0.1,
    width: int = 200,
    seed: int,
) -> tuple[Curve, dict[str, Float[np.ndarray, "..."]]]:
    """Okuno's regression on [-½, ½], and where his shallow net of tanh units starts.

    The targets are μ₁ = x ("line"), μ₂ = 4 x² ("parabola") and μ₃ = (64/7)(x + 3/8) x
    (x - 3/8) ("cubic"). With default_rng([f, seed]), f = 0, 1, 2: x ~ U, noise ~ N(0,
    noise²), a ~ N(0, 1), b ~ N(0, 1/sd(x)²), c ~ N(0, 1), in this order; d = 0.

    **Arguments:** `target`; `num`: N; `noise`: standard deviation; `width`: units.

    **Returns:** the data, and parameters of `ShallowNet(1, width)`.

    **Raises:** `ValueError` for an unknown target.

    **References:** Okuno 2023 (arXiv 2308.02293), public code.

    ```python
    >>> from gflow.models import curve_okuno
    >>> data, w0 = curve_okuno("parabola", seed=0)
    >>> print(data.x.shape, w0["b"].shape)
    (100, 1) (200, 1)

    ```
    """
    if target not in _TARGETS:
        raise ValueError(f"target must be one of {', '.join(_TARGETS)}, not {target!r}")
    truth = _TARGETS[target]
    rng = np.random.default_rng([list(_TARGETS).index(target), seed])
    x = rng.uniform(-0.5, 0.5, num)
    y = truth(x) + noise * rng.standard_normal(num)
    a = rng.standard_normal(width)
    b = rng.standard_normal(width) / np.std(x)
    c = rng.standard_normal(width)
    w0 = {"a": a, "b": b[:, None], "c": c, "d": np.zeros(())}
    return Curve(x[:, None], y, truth, np.zeros(num, bool)), w0


def with_outliers(curve: Curve, share: float, size: float, *, seed: int) -> Curve:
    """The same data, a share of them moved up or down by `size`, each at random.

    **Raises:** `ValueError` unless 0 ≤ share < 1.

    ```python
    >>> from gflow.models import curve_okuno, with_outliers
    >>> data, _ = curve_okuno("line", seed=0)
    >>> print(with_outliers(data, 0.1, 3.0, seed=0).outlying.sum())
    10

    ```
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be from 0 to below 1, not {share}")
    rng = np.random.default_rng(seed)
    num = len(curve.y)
    which = rng.choice(num, round(share * num), replace=False)
    y, outlying = curve.y.copy(), np.zeros(num, bool)
    y[which] += size * rng.choice([-1.0, 1.0], len(which))
    outlying[which] = True
    return dataclasses.replace(curve, y=y, outlying=outlying)


def curve_autompg() -> Curve:
    """Miles per gallon of 392 cars against their horsepower, both standardized.

    Both have mean 0 and variance 1 over all cars; x is horsepower, 93 different values.

    **Raises:** `ImportError` without mlxtend.

    **References:** Quinlan 1993, UCI Machine Learning Repository, Auto MPG.
    """
    try:
        from mlxtend.data import autompg_data
    except ImportError as error:
        raise ImportError(
            "the cars need mlxtend: pip install 'gflow-ode[data]'"
        ) from error
    columns, mpg = autompg_data()
    # Columns: cylinders, displacement, horsepower, weight, ...
    power = np.asarray(columns)[:, 2].astype(float)
    x, y = (
        (values - values.mean()) / values.std()
        for values in (power, np.asarray(mpg, float))
    )
    return Curve(x[:, None], y, None, np.zeros(len(y), bool))
