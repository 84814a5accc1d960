"""Runge-Kutta-Chebyshev, order 2."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .. import _trees as trees
from ._stabilized import StabilizedSolver, Sweep

# |R| is at most about 1 - ε/3 inside the stability interval, whose length is then
# (2/3)(s² - 1)(1 - 2ε/15).
_DAMPING = 2 / 13
_LENGTH = 2 / 3 * (1 - 2 / 15 * _DAMPING)
_TERMS = 9


class RKC(StabilizedSolver):
    """Runge-Kutta-Chebyshev: explicit, order 2, stable for h ρ up to 0.65 s².

    For smooth fields whose Jacobian has its spectrum near the negative real axis, as
    a gradient flow's has. To errors above about 1e-5, in float32, and where the memory
    of a few vectors is all there is; below that take `ROCK4`. Through `simulate`, on a
    diagonal net, the same in polar coordinates, and least squares of condition 1e6,
    the gradients to an error at the end were

    | error | RKC | ROCK4 |
    |---|---|---|
    | 1e-3 | 1,133; 1,950; 1,604 | 3,120; 12,584; 3,797 |
    | 1e-5 | 3,912; 5,952; 5,618 | 3,525; 12,878; 5,105 |
    | 1e-8 | not reached; not reached; 51,255 | 6,142; 22,040; 13,143 |

    A bare `diffeqsolve` holds each step to the tolerance given, and errors at the end
    fall slower, as its power 2/3; `simulate` lowers the tolerance of a step so that
    they follow the one asked for.

    Where ρ is underestimated the step is unstable, its error estimate is large, and it
    is rejected. On linear modes with h |λ| from 1e-3 to 1e4 the estimate was 1.2 times
    the true error of a step or more, far more on stiff ones.

    Not for reverse-mode differentiation: the number of stages is found on the way.

    **Arguments:**

    - `exact`: whether ρ is found by exact products (`jax.jvp`) or by differences of
        the field. Default: exact in float32 alone, whose differences are too coarse.
    - `safety`: factor on the estimate of ρ, which tends to ρ from below.
    - `max_stages`: a step that needs more is rejected unmade.

    **Cost:** s evaluations a step, rejected or not; one at the start; about two
    products every 25 accepted steps, and up to 30 at the first. Memory: 12 vectors.

    **Differs from the source:** ρ comes from a vector kept along the run.

    **References:** Sommeijer, Shampine and Verwer (1998), RKC: an explicit solver for
    parabolic PDEs; Verwer, Hundsdorfer and Sommeijer (1990), its coefficients.

    ```python
    >>> import diffrax, jax.numpy as jnp
    >>> from gflow.solvers import RKC
    >>> rates = jnp.array([1.0, 1e4])
    >>> field = diffrax.ODETerm(lambda t, y, args: -rates * y)
    >>> control = diffrax.PIDController(rtol=1e-3, atol=1e-6)
    >>> solution = diffrax.diffeqsolve(
    ...     field, RKC(), 0.0, 1.0, None, jnp.ones(2), stepsize_controller=control
    ... )
    >>> print(solution.ys[0, 0].round(2), bool(solution.stats["num_steps"] < 100))
    0.37 True

    ```
    """

    exact: bool | None = None
    safety: float = 1.1
    max_stages: int = 2000

    extrapolates: ClassVar[bool] = False

    def __check_init__(self) -> None:
        if self.max_stages < 2:
            raise ValueError(f"max_stages must be at least 2, not {self.max_stages!r}")

    def order(self, terms: Any) -> int:
        """Two."""
        del terms
        return 2

    def error_order(self, terms: Any) -> int:
        """The error estimate falls as h³."""
        del terms
        return 3

    def stages(self, h_rho: Any) -> Any:
        """The least s ≥ 2 with 0.65 (s² - 1) ≥ h ρ, 0 beyond `max_stages`."""
        s = jnp.ceil(jnp.sqrt(1 + h_rho / _LENGTH))
        s = jnp.where(s <= self.max_stages, s, 0).astype(jnp.int32)
        return jnp.where(s > 0, jnp.maximum(s, 2), 0)

    def sweep(
        self, terms: Any, t0: Any, h: Any, y0: Any, slope: Any, args: Any, s: Any
    ) -> Sweep:
        """The three-term recurrence in increments d_j = Y_j - y0.

        d_j = μ d_{j-1} + ν d_{j-2} + h (μ̃ f(Y_{j-1}) + γ̃ f(y0)), and the time of
        Y_j by the same rule with f = 1. Increments, not states: their rounding is
        relative to the step.
        """
        dtype = trees.dtype(y0)
        real = jnp.maximum(s, 2).astype(dtype)
        delta = _DAMPING / real**2
        w0 = 1 + delta
        _, d_end, dd_end = chebyshev(real, delta)
        w1 = d_end / dd_end

        def body(carry: Any) -> Any:
            j, (d, d_old), (c, c_old), f = carry
            mu, nu, mu_f, gamma = coefficients(j, delta, w0, w1)

            def leaf(d: Any, d_old: Any, f: Any, f0: Any) -> Any:
                m, n, a, g = (x.astype(d.dtype) for x in (mu, nu, mu_f, gamma))
                return m * d + n * d_old + h.astype(d.dtype) * (a * f + g * f0)

            d, d_old = jax.tree.map(leaf, d, d_old, f, slope), d
            c, c_old = mu * c + nu * c_old + mu_f + gamma, c
            t = t0 + (c * h).astype(jnp.result_type(t0))
            f = terms.vf(t, jax.tree.map(jnp.add, y0, d), args)
            return j + 1, (d, d_old), (c, c_old), f

        zeros, zero = jax.tree.map(jnp.zeros_like, y0), jnp.zeros((), dtype)
        one = jnp.ones((), jnp.int32)
        carry = (one, (zeros, zeros), (zero, zero), slope)
        _, (d, _), _, f = jax.lax.while_loop(lambda x: x[0] <= s, body, carry)

        def estimate(d: Any, f0: Any, f1: Any) -> Any:
            return -0.8 * d + 0.4 * h.astype(d.dtype) * (f0 + f1)

        return Sweep(d, f, jax.tree.map(estimate, d, slope, f))


def coefficients(j: Any, delta: Any, w0: Any, w1: Any) -> tuple[Any, Any, Any, Any]:
    """μ, ν, μ̃, γ̃ of stage j ≥ 1; of the first, only μ̃ is not zero.

    With b_j = T_j''(w0)/T_j'(w0)² and a_j = 1 - b_j T_j(w0): μ = 2 w0 b_j/b_{j-1},
    ν = -b_j/b_{j-2}, μ̃ = 2 w1 b_j/b_{j-1}, γ̃ = -a_{j-1} μ̃.
    """
    j = j.astype(delta.dtype)

    def b(j: Any) -> Any:
        _, first, second = chebyshev(jnp.maximum(j, 2), delta)
        return second / first**2

    now, before, two_before = b(j), b(j - 1), b(j - 2)
    mu_f = 2 * w1 * now / before
    gamma = -(1 - before * chebyshev(j - 1, delta)[0]) * mu_f
    first = j == 1
    return (
        jnp.where(first, 0, 2 * w0 * now / before),
        jnp.where(first, 0, -now / two_before),
        jnp.where(first, now * w1, mu_f),
        jnp.where(first, 0, gamma),
    )


def chebyshev(j: Any, delta: Any) -> tuple[Any, Any, Any]:
    """T_j and its first two derivatives at 1 + δ, for 0 ≤ j² δ < 1.

    By T_j(1 + δ) = Σ_k Π_{i<k} (j² - i²) (2δ)^k/(2k)!. All terms are positive and
    fall fast, so nothing cancels; the recurrences, and the closed forms by cosh, lose
    half the digits, as 1 + δ itself does in float32.
    """
    i = jnp.arange(_TERMS, dtype=delta.dtype)
    ratios = (j**2 - i**2) * 2 * delta / ((2 * i + 1) * (2 * i + 2))
    terms = jnp.cumprod(ratios)
    k = i + 1
    value = 1 + jnp.sum(terms)
    return value, jnp.sum(k * terms) / delta, jnp.sum(k * i * terms) / delta**2
