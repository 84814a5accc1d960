"""Clocks: other variables than time to integrate a flow in.

s is the clock's own variable, t flow time, dt/ds the clock's rate.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .. import _trees as trees
from .._types import Params, Scalar
from ..problem import Problem


class Clock(eqx.Module):
    """A time change ds = dt / rate: steps are chosen in s, everything told in t.

    The path of a gradient flow is the same under every clock; what changes is which
    function of the independent variable the solver has to follow. A clock pays where
    that function is straighter than w(t).
    """

    @abc.abstractmethod
    def rate(self, t: Scalar, w: Params, dw_dt: Params, problem: Problem) -> Scalar:
        """dt/ds > 0, at a point and the velocity there."""

    @abc.abstractmethod
    def check(self, w: Params, problem: Problem) -> None:
        """Raise `ValueError` if the clock cannot start at w."""


class LogTime(Clock):
    """Logarithmic time, t = t_ref (eˢ - 1): dt/ds = t_ref + t.

    For flows that slow down as powers or logarithms of t. It knows nothing of the
    flow: a transition late in the run is short in s.

    **Arguments:**

    - `t_ref`: the time up to which s runs like t, in units of flow time.

    **Raises:** `ValueError` unless 0 < t_ref < ∞.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.25 * jnp.sum(w**4))
    >>> flow, w0 = gf.GradientFlow(), jnp.ones(1)
    >>> run = gf.simulate(problem, flow, w0, 1e12, atol=1e-15, clock=gf.LogTime())
    >>> print(f"{run.w1[0] * (1 + 2e12) ** 0.5:.4f}")  # closed form: 1 / sqrt(1 + 2 t)
    1.0000

    ```
    """

    t_ref: Scalar = eqx.field(converter=jnp.asarray, default=1.0)

    def __check_init__(self) -> None:
        _check_number("LogTime", "t_ref", self.t_ref, bool(0 < self.t_ref < np.inf))

    def rate(self, t: Scalar, w: Params, dw_dt: Params, problem: Problem) -> Scalar:
        """t_ref + t."""
        del w, dw_dt, problem
        return self.t_ref.astype(t.dtype) + t

    def check(self, w: Params, problem: Problem) -> None:
        """Nothing to check."""
        del w, problem


class ArcLength(Clock):
    """Length of the path: ds = ‖dw/dt‖ dt, Euclidean.

    With rate 1 for every parameter this is ds = ‖∇L‖ dt. For paths that run far and
    slowly. A path that converges has finite length: near its end this clock brings
    nothing, and steps are as short as in plain time, or shorter (see `floor`).

    **Arguments:**

    - `floor`: a speed ≥ 0 to be added, ds = (‖dw/dt‖ + floor) dt: below it the clock
        runs like plain time again.

    **Raises:** `ValueError` unless 0 <= floor < ∞.
    """

    floor: Scalar = eqx.field(converter=jnp.asarray, default=0.0)

    def __check_init__(self) -> None:
        _check_number("ArcLength", "floor", self.floor, bool(0 <= self.floor < np.inf))

    def rate(self, t: Scalar, w: Params, dw_dt: Params, problem: Problem) -> Scalar:
        """1 / (‖dw/dt‖ + floor)."""
        del t, w, problem
        speed = trees.norm(dw_dt)
        return _inverse(speed + self.floor.astype(speed.dtype))

    def check(self, w: Params, problem: Problem) -> None:
        """Nothing to check."""
        del w, problem


class LossTime(Clock):
    """Loss-normalized time: ds = (L(w) - loss_min) dt.

    For classification of separable data, where L falls like 1/t: s grows like log t,
    and w moves at a steady pace. If L - loss_min falls exponentially, s ends at a
    finite value: see `loss_min`. Not for stiff flows that converge: on a quadratic of
    condition 1e4 errors of 60 to 400 tolerances and tens of thousands of steps were
    measured; plain time or `LogTime` serve there.

    **Arguments:**

    - `loss_min`: below every loss of the run. The infimum, or a little less, so that
        past convergence the clock runs like plain time again.

    **Raises:** `ValueError` if `loss_min` is not finite; `check` if L(w) <= loss_min.

    **Cost:** the loss at each gradient, of which it is a by-product.
    """

    loss_min: Scalar = eqx.field(converter=jnp.asarray, default=0.0)

    def __check_init__(self) -> None:
        _check_number(
            "LossTime", "loss_min", self.loss_min, bool(abs(self.loss_min) < np.inf)
        )

    def rate(self, t: Scalar, w: Params, dw_dt: Params, problem: Problem) -> Scalar:
        """1 / (L(w) - loss_min)."""
        del t, dw_dt
        loss = problem.loss(w)
        return _inverse(loss - self.loss_min.astype(loss.dtype))

    def check(self, w: Params, problem: Problem) -> None:
        """The loss must be above `loss_min`."""
        loss = problem.loss(w)
        if not loss > self.loss_min:
            raise ValueError(
                f"LossTime needs a loss above loss_min = {float(self.loss_min):g}, "
                f"but at w0 it is {float(loss):g}: pass a lower loss_min"
            )


def _inverse(x: Scalar) -> Scalar:
    # Where nothing moves any more the clock must still give a number: times a velocity
    # of zero it is zero, and time goes on to its end.
    return 1 / jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def _check_number(owner: str, name: str, value: Scalar, sound: bool) -> None:
    if not sound:
        raise ValueError(f"{owner} cannot have {name} = {value}")
