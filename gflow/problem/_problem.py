"""The interface of a problem: a loss and a geometry."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from .. import _trees as trees
from .._types import Params, Scalar
from ._kinks import Kinks
from ._metric import Metric


class Problem(eqx.Module):
    """What is minimized and in which geometry.

    Subclasses give `loss` and a field `metric`; everything else follows by automatic
    differentiation. `w` is any pytree; its inexact-array leaves are the parameters,
    and gradients and velocities have None at the other leaves.
    """

    metric: eqx.AbstractVar[Metric | None]

    @abc.abstractmethod
    def loss(self, w: Params) -> Scalar:
        """L(w), a scalar."""

    @abc.abstractmethod
    def predict(self, w: Params) -> jax.Array | None:
        """The model's outputs f(w) on the data, or None if the loss has no model."""

    @property
    def kinks(self) -> Kinks | None:
        """Where the loss is not smooth, if the problem says so; None if smooth."""
        return None

    def loss_and_grad(self, w: Params) -> tuple[Scalar, Params]:
        """L(w) and ∇L(w). Cost: one gradient."""
        return eqx.filter_value_and_grad(self.loss)(w)

    def grad(self, w: Params) -> Params:
        """∇L(w). Cost: one gradient."""
        return self.loss_and_grad(w)[1]

    def descent(self, w: Params, grad: Params) -> Params:
        """-G(w)^-1 applied to a gradient already at hand. Cost: no gradient."""
        if self.metric is not None:
            grad = self.metric.inverse_apply(w, grad)
        return jax.tree.map(jnp.negative, grad)

    def velocity(self, w: Params) -> Params:
        """dw/dt = -G(w)^-1 ∇L(w). Cost: one gradient."""
        return self.descent(w, self.grad(w))

    def hvp(self, w: Params, direction: Params) -> Params:
        """∇²L(w) applied to `direction`, forward over reverse.

        Cost: one Hessian-vector product, about two gradients.
        """
        dynamic, static = eqx.partition(w, eqx.is_inexact_array)

        def grad(moving: Params) -> Params:
            return self.grad(eqx.combine(moving, static))

        return jax.jvp(grad, (dynamic,), (direction,))[1]

    def split(self, w: Params) -> tuple[Params, Params]:
        """The parameter leaves of a starting point and the others, found sound.

        The loss is traced, not run: a wrong structure or shape shows here, before
        anything is compiled.

        **Raises:** `ValueError` or `TypeError` if `w` does not fit the problem, or is
        not finite.
        """
        dynamic, static = trees.split(w)
        if not eqx.filter_jit(trees.all_finite)(dynamic):
            raise ValueError("w0 holds a number that is not finite")
        if self.metric is not None:
            self.metric.check(dynamic)
        dtypes = {leaf.dtype.name for leaf in jax.tree.leaves(dynamic)}
        if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
            raise TypeError(
                "parameters must share one dtype, float32 or float64, not "
                f"{', '.join(sorted(dtypes))}"
            )
        try:
            out = eqx.filter_eval_shape(self.loss, eqx.combine(dynamic, static))
        except Exception as error:
            raise ValueError(
                "the loss cannot be evaluated at w0 (wrong tree structure or shapes?): "
                f"{type(error).__name__}: {trees.first_line(error)}"
            ) from error
        if not (hasattr(out, "shape") and out.shape == ()):
            raise ValueError(f"the loss must return a real scalar, not {out}")
        if not jnp.issubdtype(out.dtype, jnp.floating):
            raise TypeError(f"the loss must be real floating point, not {out.dtype}")
        return dynamic, static
