"""Instances of underdetermined sparse regression, synthetic and real."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class SparseRegression:
    """Data A x = y with more unknowns than equations.

    - `A`: (M, N); `y`: (M,).
    - `x_true`: the vector that made y, if there is one.
    - `A_test`, `y_test`: data held out, (K, N) and (K,), if there are any, scaled so
        that A_test x predicts y_test for the same x.
    - `features`: a name for each column, or empty.
    """

    A: Float[np.ndarray, "m n"]
    y: Float[np.ndarray, " m"]
    x_true: Float[np.ndarray, " n"] | None = None
    A_test: Float[np.ndarray, "k n"] | None = None
    y_test: Float[np.ndarray, " k"] | None = None
    features: tuple[str, ...] = ()


def sparse_p1() -> SparseRegression:
    """Compressed sensing, 20 Gaussian equations for 40 unknowns, three of them not 0.

    x[3, 17, 29] = 1, 0.7, 0.5 and the rest 0; A has independent entries N(0, 1/20).

    ```python
    >>> from gflow.models import sparse_p1
    >>> print(sparse_p1().A[0, 0].round(8))
    0.02811413

    ```
    """
    x = np.zeros(40)
    x[[3, 17, 29]] = 1.0, 0.7, 0.5
    return _gaussian(np.random.default_rng(0), x, num_samples=20)


def sparse_random(
    num_features: int,
    num_samples: int,
    sparsity: int,
    *,
    signed: bool = False,
    seed: int,
) -> SparseRegression:
    """Compressed sensing with a random support and magnitudes uniform on [½, 1].

    A has independent entries N(0, 1/M).

    **Arguments:** `num_features`: N; `num_samples`: M; `sparsity`: number of entries
    of x that are not 0; `signed`: whether each has a random sign.

    **Raises:** `ValueError` unless 1 ≤ sparsity ≤ N and M ≥ 1.

    ```python
    >>> from gflow.models import sparse_random
    >>> print((sparse_random(40, 20, 3, seed=1).x_true != 0).sum())
    3

    ```
    """
    if not 1 <= sparsity <= num_features or num_samples < 1:
        raise ValueError(
            "expected 1 <= sparsity <= num_features and num_samples >= 1, not "
            f"{sparsity}, {num_features}, {num_samples}"
        )
    rng = np.random.default_rng(seed)
    x = np.zeros(num_features)
    support = rng.choice(num_features, sparsity, replace=False)
    signs = rng.choice([-1.0, 1.0], sparsity) if signed else 1.0
    x[support] = signs * rng.uniform(0.5, 1.0, sparsity)
    return _gaussian(rng, x, num_samples)


def sparse_diabetes(num_samples: int = 20, *, seed: int) -> SparseRegression:
    """Disease progression of diabetics from 64 features, more than training patients.

    The ten measurements of Efron et al., their products and their squares, without the
    square of the two-valued sex, which is sex again. Features and response get mean 0
    and variance 1 on the training patients, and `A` and `y` are divided by √M, so that
    ½‖A x - y‖² is half a mean square. As the columns of A sum to zero its rank is at
    most M - 1; y lies in its range all the same.

    **Arguments:** `num_samples`: M, the training patients, 2 to 64, drawn without
    replacement; the other patients are the test data.

    **Raises:** `ImportError` without scikit-learn, `ValueError` for M out of range.

    **References:** Efron, Hastie, Johnstone, Tibshirani 2004, "Least angle regression".
    """
    try:
        from sklearn.datasets import load_diabetes
        from sklearn.preprocessing import PolynomialFeatures
    except ImportError as error:
        raise ImportError(
            "the diabetes data need scikit-learn: pip install 'gflow-ode[data]'"
        ) from error
    if not 2 <= num_samples <= 64:
        raise ValueError(f"num_samples must be between 2 and 64, not {num_samples}")
    data: Any = load_diabetes(scaled=False)
    expand = PolynomialFeatures(degree=2, include_bias=False)
    inputs = np.asarray(expand.fit_transform(data.data), dtype=float)
    names = np.array(expand.get_feature_names_out(data.feature_names), dtype=str)
    inputs, names = inputs[:, names != "sex^2"], names[names != "sex^2"]
    targets = np.asarray(data.target, dtype=float)
    order = np.random.default_rng(seed).permutation(len(targets))
    train, test = order[:num_samples], order[num_samples:]
    inputs = _standardized(inputs, train)
    targets = _standardized(targets, train)
    root = np.sqrt(num_samples)
    return SparseRegression(
        A=inputs[train] / root,
        y=targets[train] / root,
        A_test=inputs[test],
        y_test=targets[test],
        features=tuple(names),
    )


def _gaussian(
    rng: np.random.Generator, x: np.ndarray, num_samples: int
) -> SparseRegression:
    A = rng.standard_normal((num_samples, x.size)) / np.sqrt(num_samples)
    return SparseRegression(A=A, y=A @ x, x_true=x)


def _standardized(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    mean, deviation = values[rows].mean(axis=0), values[rows].std(axis=0)
    if not np.all(deviation > 0):
        raise ValueError("a feature is constant on the training sample: enlarge it")
    return (values - mean) / deviation
