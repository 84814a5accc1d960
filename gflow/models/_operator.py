"""Linear differential operators, as residuals to be penalized."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ._taylor import Partials


class LinearOperator(eqx.Module):
    """N[f] = Σ_j c_j ∂^{k_j} f/∂x_{i_j}^{k_j}, with constant coefficients.

    **Arguments:**

    - `terms`: (axis, order) of each term; order 0 is f itself.
    - `coefficients`: c_j, data: others do not compile anew.

    **Raises:** `ValueError` if the two differ in length.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import LinearOperator, Partials
    >>> oscillator = LinearOperator([(0, 2), (0, 0)], [1.0, 4.0])  # f'' + 4 f
    >>> x = jnp.array([[0.3]])
    >>> print(oscillator(Partials(lambda x: jnp.sin(2 * x[:, 0]), x), x).round(12) + 0)
    [0.]

    ```
    """

    terms: tuple[tuple[int, int], ...] = eqx.field(static=True)
    coefficients: Float[Array, " terms"]

    def __init__(
        self,
        terms: Sequence[tuple[int, int]],
        coefficients: ArrayLike | Sequence[float],
    ) -> None:
        self.terms = tuple(terms)
        self.coefficients = jnp.asarray(coefficients, float)
        if self.coefficients.shape != (len(self.terms),):
            raise ValueError(
                f"{len(self.terms)} terms need as many coefficients, not "
                f"{self.coefficients.shape}"
            )

    def __call__(self, partials: Partials, x: Array) -> Float[Array, " n"]:
        """The residual at points x."""
        del x
        values = [partials(axis, order) for axis, order in self.terms]
        return self.coefficients @ jnp.stack(values)
