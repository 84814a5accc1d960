"""The interface of a law of motion."""

import abc
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from .._types import Params


class Flow(eqx.Module):
    """A continuous-time law of motion on a problem's parameters.

    The integrator's state is any pytree made by `init`; it holds the parameters and
    whatever else the law moves, and one scalar component, the energy, whose derivative
    is the rate at which the law says that the loss falls.
    """

    # Whether the loss can never rise along the flow; the guard rests on it.
    monotone: ClassVar[bool]
    # Whether w moves along -∇L in the problem's metric, so that the derivative of the
    # right side is symmetric in it; solvers for stiff flows rest on it.
    symmetric: ClassVar[bool] = False

    @abc.abstractmethod
    def init(self, w0: Params) -> Any:
        """The integrator's state at t = 0, from the parameter leaves of w0."""

    @abc.abstractmethod
    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side as diffrax terms, with the problem as `args`.

        `static` holds the leaves of w that are not parameters.
        """

    @abc.abstractmethod
    def params(self, state: Any) -> Params:
        """The parameter leaves in a state."""

    @abc.abstractmethod
    def energy(self, state: Any) -> Float[Array | np.ndarray, "..."]:
        """The loss dropped so far, as the law integrates it; also of stacked states."""
