"""The geometry of a mirror flow: the Hessian of a separable potential."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import _trees as trees
from .._types import Params
from ._metric import Metric


class Mirror(Metric):
    """The mirror flow d∇ψ(w)/dt = -∇L(w) of a potential ψ(w) = Σ_i ψ_i(w_i).

    The gradient flow in the metric G(w) = ∇²ψ(w), which is diagonal: dw/dt =
    -ψ''(w)^-1 ∇L(w). The entropy Σ w log w - w, of ψ''^-1 = w, keeps parameters > 0
    and is the limit of multiplicative updates.

    **Arguments:** `inverse_hessian`: entry by entry, w -> 1/ψ''(w), positive where the
    flow lives; one function for all leaves. By default w, of the entropy.

    **Raises:** `TypeError` if 1/ψ'' cannot be called; `check`: `ValueError` if it does
    not map arrays to arrays of their shape, positive and finite at w0.

    **Cost:** one evaluation of 1/ψ'' a gradient.

    **References:** Nemirovski, Yudin 1983; Gunasekar, Woodworth, Srebro 2021 (arXiv
    2004.01025).

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: jnp.sum(w), rates=gf.problem.Mirror())
    >>> print(problem.velocity(jnp.array([1.0, 2.0])))
    [-1. -2.]

    ```
    """

    inverse_hessian: Callable[[Array], Array]

    def __init__(self, inverse_hessian: Callable[[Array], Array] = lambda w: w) -> None:
        if not callable(inverse_hessian):
            raise TypeError(
                "inverse_hessian must be a function w -> 1/psi'', not "
                f"{inverse_hessian!r}"
            )
        self.inverse_hessian = inverse_hessian

    def inverse_apply(self, w: Params, covector: Params) -> Params:
        """Each entry of `covector` over ψ''(w)."""
        w = eqx.filter(w, eqx.is_inexact_array)
        return jax.tree.map(lambda x, c: self.inverse_hessian(x) * c, w, covector)

    def weights(self) -> Any:
        """None: the metric depends on w."""
        return None

    def check(self, w: Params) -> None:
        """Raise `ValueError` unless ψ''(w) is positive and finite."""
        inverse = jax.tree.map(self.inverse_hessian, w)
        if jax.tree.map(jnp.shape, inverse) != jax.tree.map(jnp.shape, w):
            raise ValueError("1/psi'' must be an array of the shape of its argument")
        positive = all(bool(jnp.all(x > 0)) for x in jax.tree.leaves(inverse))
        if not (positive and trees.all_finite(inverse)):
            raise ValueError(
                "the potential's 1/psi'' must be > 0 and finite at w0: start inside "
                "its domain (of the entropy, at w > 0)"
            )
