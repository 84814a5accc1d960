"""The geometry of a flow: what stands between -∇L and dw/dt."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .. import _trees as trees
from .._types import Params


class Metric(eqx.Module):
    """A Riemannian metric G(w), given by its inverse: dw/dt = -G(w)^-1 ∇L(w)."""

    @abc.abstractmethod
    def inverse_apply(self, w: Params, covector: Params) -> Params:
        """G(w)^-1 applied to a gradient of the structure of `w`."""

    @abc.abstractmethod
    def check(self, w: Params) -> None:
        """Raise `ValueError` if the metric does not fit parameters `w`."""

    @abc.abstractmethod
    def weights(self) -> PyTree[jax.Array] | None:
        """G as a diagonal, a tree prefix of the parameters; None if it is none.

        In the inner product Σ weights a b the derivative of the velocity is symmetric.
        """


class Rates(Metric):
    """One learning rate for each group of parameters: G^-1 = diag(rates).

    dw_g/dt = -rate_g ∂L/∂w_g for each group g. Holds for any loss; the flow stays a
    gradient flow, and its loss falls at the rate Σ_g rate_g ‖∂L/∂w_g‖².

    **Arguments:**

    - `prefix`: a tree prefix of the parameters with one rate ≥ 0 for a whole subtree
        (a number for all of `w`, or `{"u": 1.0, "v": 5.0}`). Rate 0 freezes a subtree.

    **Raises:** `ValueError` for a negative or non-finite rate; `check` for a prefix
    that does not fit.

    **Cost:** one multiplication a parameter.

    ```python
    >>> from gflow.problem import Rates
    >>> metric = Rates({"u": 1.0, "v": 5.0})

    ```
    """

    prefix: PyTree[jax.Array]

    def __init__(self, prefix: PyTree[float]) -> None:
        for path, rate in jax.tree_util.tree_leaves_with_path(prefix):
            value = np.asarray(rate, dtype=float)
            if value.ndim != 0 or not np.isfinite(value) or value < 0:
                where = jax.tree_util.keystr(path)
                raise ValueError(
                    f"rates{where} must be one finite number >= 0, not {rate!r}"
                )
        # Arrays, so that a changed rate is new data and not a new program.
        self.prefix = jax.tree.map(jnp.asarray, prefix)

    def inverse_apply(self, w: Params, covector: Params) -> Params:
        """Each group of `covector` times its rate."""
        return trees.scaled(self.prefix, covector)

    def weights(self) -> PyTree[jax.Array]:
        """1/rate; 1 for a group that is frozen, where any number serves."""
        return jax.tree.map(lambda r: 1 / jnp.where(r > 0, r, 1.0), self.prefix)

    def check(self, w: Params) -> None:
        """Raise `ValueError` unless the rates are a tree prefix of `w`."""
        try:
            jax.tree.map(lambda _, subtree: None, self.prefix, w)
        except (ValueError, TypeError) as error:
            raise ValueError(
                "rates do not fit the parameters: they must be a tree prefix of w0 "
                f"(rates {jax.tree.structure(self.prefix)}, "
                f"w0 {jax.tree.structure(w)})"
            ) from error


def as_metric(rates: Metric | PyTree[float] | None) -> Metric | None:
    """The metric that an argument `rates` stands for."""
    if rates is None or isinstance(rates, Metric):
        return rates
    if isinstance(rates, type):
        raise TypeError(f"rates is the class {rates.__name__}: give an instance of it")
    return Rates(rates)
