"""Deep linear networks, which are matrix factorizations.

n_0, ..., n_L `widths`, L = `depth` · W_l of shape (n_l, n_{l-1}), the factors ·
W = W_L ... W_1 the end-to-end map · W = U S Vᵀ its singular value decomposition.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from ..problem import EmpiricalRisk

# [W_1, ..., W_L], or of one shape the same stacked: w[l] is a factor in both.
Factors = Any


class DeepLinear(eqx.Module):
    """Deep linear network f(x) = W_L ... W_1 x, of any widths.

    Its parameters are the list [W_1, ..., W_L], W_l of shape (n_l, n_{l-1}), or, where
    all widths are equal, one array (L, n, n): the program is then as short at depth 32
    as at depth 2. What the net can express is a matrix of rank at most min n_l; what
    depth changes is where a flow goes.

    **Arguments:** `widths`: n_0, ..., n_L, from the inputs to the outputs.

    **Raises:** `ValueError` for fewer than two widths or a width below 1.

    **References:** Saxe, McClelland, Ganguli 2014 (arXiv 1312.6120); Arora, Cohen, Hu,
    Luo 2019 (arXiv 1905.13655).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import DeepLinear
    >>> net = DeepLinear([2, 3, 2])
    >>> w = net.init_balanced(jnp.diag(jnp.array([4.0, 1.0])))
    >>> print(net.end_to_end(w).round(6))
    [[4. 0.]
     [0. 1.]]

    ```
    """

    widths: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, widths: Sequence[int]) -> None:
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(
                f"widths must be at least two numbers >= 1, not {tuple(widths)}"
            )
        self.widths = tuple(int(n) for n in widths)

    @property
    def depth(self) -> int:
        """L, the number of factors."""
        return len(self.widths) - 1

    @property
    def is_uniform(self) -> bool:
        """Whether all widths are equal, so that the factors are stacked."""
        return len(set(self.widths)) == 1

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape of each factor, W_1 first."""
        return tuple(zip(self.widths[1:], self.widths[:-1], strict=True))

    def init(self, *, key: Any, gain: float = 1.0) -> Factors:
        """Independent entries N(0, gain²/n_{l-1})."""
        if self.is_uniform:
            shape = (self.depth, *self.shapes[0])
            return gain / shape[2] ** 0.5 * jax.random.normal(key, shape, float)
        return self._packed(
            gain / shape[1] ** 0.5 * jax.random.normal(k, shape, float)
            for k, shape in zip(self._keys(key), self.shapes, strict=True)
        )

    def init_orthogonal(self, *, key: Any, gain: float = 1.0) -> Factors:
        """Each factor gain times a uniformly random (semi-)orthogonal matrix."""
        return self._packed(
            gain * semi_orthogonal(k, shape)
            for k, shape in zip(self._keys(key), self.shapes, strict=True)
        )

    def init_balanced(self, matrix: ArrayLike) -> Factors:
        """Balanced factors of a given matrix: W_{l+1}ᵀ W_{l+1} = W_l W_lᵀ.

        Each factor has the singular values s_i^(1/L) of the matrix, and neighbors
        share their singular vectors (inside, coordinate vectors).

        **Arguments:** `matrix`: (n_L, n_0).

        **Raises:** `ValueError` for a wrong shape, entries that are not finite, or a
        rank that exceeds the smallest width.
        """
        target = np.asarray(matrix, dtype=float)
        expected = (self.widths[-1], self.widths[0])
        if target.shape != expected or not np.all(np.isfinite(target)):
            raise ValueError(
                f"expected a finite matrix of shape {expected}, not {target.shape}"
            )
        left, s, right = np.linalg.svd(target, full_matrices=False)
        rank = int(np.sum(s > s[0] * max(target.shape) * np.finfo(float).eps))
        if rank > min(self.widths):
            raise ValueError(f"a width of {min(self.widths)} holds no rank {rank}")
        keep = min(len(s), *self.widths)
        root = jnp.asarray(s[:keep] ** (1 / self.depth))
        inner = [jnp.eye(n, keep) for n in self.widths[1:-1]]
        bases = [jnp.asarray(right[:keep].T), *inner, jnp.asarray(left[:, :keep])]
        return self._packed(
            (out * root) @ into.T for into, out in itertools.pairwise(bases)
        )

    def init_spectral(self, target: ArrayLike, scale: float) -> Factors:
        """Balanced factors of scale U Vᵀ, with the singular vectors of a target.

        From there every singular value moves on its own if the inputs are whitened:
        see `gflow.models.mode_strength`.

        **Arguments:** `target`: (n_L, n_0); `scale` > 0, the singular values at the
        start, as many as the target has.

        **Raises:** `ValueError` as `init_balanced`, or for a scale that is not > 0.
        """
        if not 0 < scale < np.inf:
            raise ValueError(f"scale must be > 0 and finite, not {scale!r}")
        matrix = np.asarray(target, dtype=float)
        left, s, right = np.linalg.svd(matrix, full_matrices=False)
        rank = int(np.sum(s > s[0] * max(matrix.shape) * np.finfo(float).eps))
        return self.init_balanced(scale * left[:, :rank] @ right[:rank])

    def end_to_end(self, w: Factors) -> Float[Array, "m n"]:
        """W_L ... W_1, of shape (n_L, n_0)."""
        if isinstance(w, list):
            return functools.reduce(lambda product, factor: factor @ product, w)
        return _product(w)

    def read(
        self, matrix: Float[Array, "m n"], inputs: Float[Array, "k n"]
    ) -> Float[Array, "k m"]:
        """What a given end-to-end matrix predicts."""
        return inputs @ matrix.T

    def __call__(self, w: Factors, inputs: Float[Array, "k n"]) -> Float[Array, "k m"]:
        """Predictions, one a row."""
        return self.read(self.end_to_end(w), inputs)

    def problem(self, X: ArrayLike, Y: ArrayLike) -> EmpiricalRisk:
        """Least squares ½‖X Wᵀ - Y‖_F², `X` (k, n_0), `Y` (k, n_L).

        With X = I it is the factorization of Yᵀ.

        **Raises:** `ValueError` for shapes that do not fit.
        """
        inputs, targets = jnp.asarray(X, dtype=float), jnp.asarray(Y, dtype=float)
        n, m = self.widths[0], self.widths[-1]
        fits = inputs.ndim == 2 and inputs.shape[1] == n
        if not fits or targets.shape != (inputs.shape[0], m):
            raise ValueError(
                f"X must have shape (k, {n}) and Y (k, {m}), not {inputs.shape}, "
                f"{targets.shape}"
            )
        return EmpiricalRisk(self, inputs, targets)

    def _keys(self, key: Any) -> Any:
        return jax.random.split(key, self.depth)

    def _packed(self, factors: Iterable[Array]) -> Factors:
        listed = list(factors)
        return jnp.stack(listed) if self.is_uniform else listed


class MatrixCompletion(eqx.Module):
    """The entries of a deep linear net's end-to-end map, to be fitted to known ones.

    Inputs are places (row, column) in an array of shape (k, 2); parameters are those
    of the net.

    **References:** Gunasekar et al. 2017 (arXiv 1705.09280); Arora, Cohen, Hu, Luo
    2019 (arXiv 1905.13655).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import DeepLinear, MatrixCompletion
    >>> model = MatrixCompletion(DeepLinear([2, 2, 2]))
    >>> problem = model.problem(jnp.array([[0, 0], [1, 1]]), jnp.array([1.0, 2.0]))
    >>> print(problem.loss([jnp.eye(2), jnp.eye(2)]))
    0.5

    ```
    """

    net: DeepLinear

    def read(
        self, matrix: Float[Array, "m n"], inputs: Int[Array, "k 2"]
    ) -> Float[Array, " k"]:
        """The entries of a given end-to-end matrix."""
        return matrix[inputs[:, 0], inputs[:, 1]]

    def __call__(self, w: Factors, inputs: Int[Array, "k 2"]) -> Float[Array, " k"]:
        """The entries of W_L ... W_1."""
        return self.read(self.net.end_to_end(w), inputs)

    def problem(self, places: ArrayLike, values: ArrayLike) -> EmpiricalRisk:
        """½ Σ (W_ij - value_ij)² over the known places (k, 2) and their values (k,).

        **Raises:** `ValueError` for shapes that do not fit or places outside.
        """
        inputs, targets = jnp.asarray(places), jnp.asarray(values, dtype=float)
        shape = (self.net.widths[-1], self.net.widths[0])
        if (
            inputs.ndim != 2
            or inputs.shape[1] != 2
            or targets.shape != inputs.shape[:1]
        ):
            raise ValueError(
                "places must have shape (k, 2) and values (k,), not "
                f"{inputs.shape}, {targets.shape}"
            )
        inside = jnp.all((inputs >= 0) & (inputs < jnp.asarray(shape)))
        if not jnp.issubdtype(inputs.dtype, jnp.integer) or not bool(inside):
            raise ValueError(f"places must be indices into a matrix of shape {shape}")
        return EmpiricalRisk(self, inputs, targets)


def mode_strength(
    t: ArrayLike, strength: ArrayLike, start: ArrayLike
) -> Float[Array, "..."]:
    """Strength of a mode of a two-layer linear net, in closed form.

    a(t) = s e^{2st}/(e^{2st} - 1 + s/a(0)), the solution of a' = 2a(s - a): the
    singular values of the end-to-end map under gradient flow of ½‖W_2 W_1 - T‖_F²
    (whitened inputs) from `DeepLinear.init_spectral(T, a(0))`.

    **Arguments:** times `t`, the target's singular value s > 0 and a(0) > 0, which
    broadcast.

    **References:** Saxe, McClelland, Ganguli 2014 (arXiv 1312.6120).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import mode_strength
    >>> print(mode_strength(jnp.array([0.0, 1e3]), 2.0, 0.1))
    [0.1 2. ]

    ```
    """
    t, s, a = (jnp.asarray(x, dtype=float) for x in (t, strength, start))
    # Divided by e^{2st}, which overflows at late times.
    return s / (1 + (s / a - 1) * jnp.exp(-2 * s * t))


def _product(stacked: Float[Array, "l n n"]) -> Float[Array, "n n"]:
    """The product of a stack, last factor leftmost, in log L batched products."""
    while len(stacked) > 1:
        left = stacked[-1:] if len(stacked) % 2 else stacked[:0]
        even = stacked[: len(stacked) - len(left)]
        stacked = jnp.concatenate([even[1::2] @ even[::2], left])
    return stacked[0]


def semi_orthogonal(key: Any, shape: tuple[int, int]) -> Array:
    """A uniformly random matrix with orthonormal rows, or columns if they are fewer."""
    square = jax.random.orthogonal(key, max(shape), dtype=float)
    return square[: shape[0], : shape[1]]
