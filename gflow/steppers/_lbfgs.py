"""L-BFGS with a line search, from optax."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax

from .._types import Params, Scalar
from ..problem import Problem
from ._stepper import Stepper


class LBFGS(Stepper):
    """Quasi-Newton steps whose length a line search finds."""

    label: str = eqx.field(static=True)
    eta: Scalar
    memory: int = eqx.field(static=True)

    def init(self, w0: Params) -> Any:
        """optax's state: past steps and gradients, and the last step's length."""
        return self._transformation.init(w0)

    def step(
        self, problem: Problem, w: Params, grad: Params, state: Any
    ) -> tuple[Params, Any]:
        """One step along the quasi-Newton direction."""
        if problem.metric is not None:
            raise ValueError("L-BFGS has a metric of its own: give the problem none")
        updates, state = self._transformation.update(
            grad, state, w, value=problem.loss(w), grad=grad, value_fn=problem.loss
        )
        return optax.apply_updates(w, updates), state  # pyright: ignore[reportReturnType]

    @property
    def _transformation(self) -> optax.GradientTransformationExtraArgs:
        return optax.lbfgs(memory_size=self.memory)


def lbfgs(*, memory: int = 10) -> Stepper:
    """L-BFGS with optax's zoom line search (strong Wolfe conditions).

    Its steps stand for no flow time: the clock of a run counts them. w0 must hold
    arrays only.

    **Arguments:** `memory`: how many past steps the Hessian is told from.

    **Raises:** `ValueError` for a memory below 1; by the run, for a problem with rates.

    **Cost:** one gradient a step, and of the line search one loss and gradient a trial,
    which are not counted.

    **References:** Liu, Nocedal 1989.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: jnp.sum(jnp.array([1.0, 100.0]) * w**2))
    >>> run = gf.iterate(problem, gf.steppers.lbfgs(), jnp.ones(2), num_steps=20)
    >>> print(bool(run.observed["loss"][-1] < 1e-20))
    True

    ```
    """
    if memory < 1:
        raise ValueError(f"memory must be at least 1, not {memory}")
    return LBFGS("L-BFGS", jnp.asarray(1.0), int(memory))
