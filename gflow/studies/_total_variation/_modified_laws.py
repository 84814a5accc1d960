"""Laws of the mean of stochastic descent, to first order in its step size.

η the step size · g, H gradient and Hessian of J · Σ the covariance of one stochastic
gradient · C = η⁻¹ the covariance of the iterate · m = η⁻¹ the shift of its mean.

With independent draws in each step, to first order in η and t fixed,

    w' = -g                                   the flow
    C' = -H C - C H + Σ                       how far the noise has spread      (1)
    m' = -H m - ½ H g - ½ ∇ tr(H C)           discretization, and noise bent    (2)
    E f(w_k) = f(w) + η (∇f·m + ½ tr(∇²f C))                                    (3)
    Var f(w_k) = η ∇f·C ∇f                                                      (4)

½ H g is ∇ of ¼ ‖g‖²: without noise, (2) is to first order the flow of J + (η/4) ‖g‖².
Where the batches of an epoch are drawn without replacement, the mean follows
J + (η/4) (‖g‖² + tr Σ) (Smith et al. 2021), whose shift has -¼ ∇ tr Σ in the place of
the terms with C. All three shifts are integrated side by side.
"""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ...models import PenalizedRegression

AT = np.linspace(-0.4, 0.4, 41)[:, None]
RTOL = 1e-4
NAMES = ("flow", "gradient term", "gradient and noise terms", "first order")


class Law(eqx.Module):
    """J, and how its gradient is estimated."""

    fit: PenalizedRegression
    batch: int = eqx.field(static=True)
    points: int = eqx.field(static=True)

    def roots(self, w: Any) -> list[Any]:
        """Matrices R with Σ = Σ_R Rᵀ R: of the batch, and of the uniform points.

        The mean of b of N data without replacement has (N - b)/(N - 1) of the variance
        of independent draws.
        """
        fit, integral = self.fit, self.fit.penalty.integral
        assert integral is not None
        flat, unravel = ravel_pytree(w)

        def squares(flat: Any) -> Any:
            return (fit.model(unravel(flat), fit.x) - fit.y) ** 2

        def penalties(flat: Any) -> Any:
            q = integral.integrand(unravel(flat), integral.points)
            return 0.5 * integral.domain.measure * q

        num = fit.y.size
        rows = jax.jacrev(squares)(flat)
        left = (num - self.batch) / max(num - 1, 1) / self.batch
        data = jnp.sqrt(left / num) * (rows - jnp.mean(rows, axis=0))
        share = (integral.weights / integral.domain.measure)[:, None]
        at_points = jax.jacrev(penalties)(flat)
        centered = at_points - jnp.sum(share * at_points, axis=0)
        return [data, jnp.sqrt(share / self.points) * centered]


@eqx.filter_jit
def expand(law: Law, w0: Any, t1: Any, eta: Any) -> tuple[list[Any], Any, Any]:
    """Predictions by the flow and each law, in the order of the names; the rest.

    Which is the variance of SGD's predictions by (4), and the solver's stats.
    """
    flat, unravel = ravel_pytree(w0)
    num = flat.size
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_field(law, unravel)),
        diffrax.Tsit5(),
        0.0,
        t1,
        # Given, as finding one compiles the field twice more.
        0.01 * t1,
        (flat, jnp.zeros((num, num)), jnp.zeros((3, num))),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=1e-2 * RTOL),
        max_steps=None,
        adjoint=diffrax.ForwardMode(),
    )
    ys: Any = solution.ys
    w, C, shifts = (part[-1] for part in ys)

    def f(flat: Any) -> Any:
        return law.fit.model(unravel(flat), jnp.asarray(AT))

    slopes = [jax.jvp(f, (w,), (m,))[1] for m in shifts]
    slopes[2] += 0.5 * jnp.einsum("nij,ij->n", jax.hessian(f)(w), C)
    rows = jax.jacrev(f)(w)
    variance = eta * jnp.einsum("ni,ij,nj->n", rows, C, rows)
    values = [f(w), *(f(w) + eta * slope for slope in slopes)]
    return values, variance, solution.stats


def _field(law: Law, unravel: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """(1), and (2) of each law beside it."""

    def loss(flat: Any) -> Any:
        return law.fit.loss(unravel(flat))

    def roots(flat: Any) -> list[Any]:
        return law.roots(unravel(flat))

    def field(t: Any, state: Any, args: Any) -> Any:
        del t, args
        w, C, shifts = state
        # Each pulled back from where it is known: half the program of two gradients.
        H, tensor = jax.vjp(jax.hessian(loss), w)
        R, slope = jax.vjp(roots, w)
        grad, (bend,), (of_trace,) = jax.grad(loss)(w), tensor(C), slope(R)
        Sigma = sum(r.T @ r for r in R)
        pushes = jnp.stack([0 * grad, of_trace / 2, bend / 2])
        moved = -shifts @ H - H @ grad / 2 - pushes
        return -grad, -H @ C - C @ H + Sigma, moved

    return field
