"""ROCK4, the stabilized explicit Runge-Kutta method of order 4."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._rock4_coefficients import table
from ._stabilized import StabilizedSolver, Sweep


class ROCK4(StabilizedSolver):
    """Orthogonal Runge-Kutta-Chebyshev: explicit, order 4, stable for h ρ to 0.35 s².

    For smooth fields whose Jacobian has its spectrum near the negative real axis, as
    a gradient flow's has, to errors between about 1e-5 and 1e-9. On three stiff flows,
    told in `RKC`, that one took 0.15 to 0.42 times as many gradients to an error of
    1e-3, 0.46 to 1.11 times to 1e-5, and to 1e-8 3.9 times on the one where it got
    there. Where ρ is underestimated the step is unstable, its error estimate is large,
    and it is rejected.

    In float64 alone: a step carries the rounding of the field into the stiffest modes
    magnified by up to (h ρ)⁴/100. The error estimate sees it (at least half of it was
    measured), so the tolerance limits h ρ: to about 200 at 1e-9, 1,000 at 1e-6 and
    6,000 at 1e-3. A step that needs more than 254 stages, h ρ = 20,000, is rejected
    unmade.

    Not for reverse-mode differentiation: the number of stages is found on the way.

    **Arguments:**

    - `exact`: whether ρ is found by exact products (`jax.jvp`) or, the default, by
        differences of the field.
    - `safety`: factor on the estimate of ρ, which tends to ρ from below.

    **Raises:** `ValueError` for a state that is not float64.

    **Cost:** s evaluations a step, rejected or not; one at the start; about two
    products every 25 accepted steps, and up to 30 at the first. Memory: 18 vectors.

    **Differs from the source:** the coefficients are computed afresh, with slightly
    other weights. The finishing method and the error estimate are others: the estimate
    leaves out the field at the ends of the step, so it stays bounded on stiff modes
    and is the true error there. On linear problems with a negative real spectrum its
    root mean square over a band of modes is 0.87 to 4 times the error's, more for slow
    modes. On a single mode it can fall short: with h ρ from 10 to 1e4 it did so on up
    to 4 % of modes spaced evenly in log |h λ| from 1e-3, all of them stiff, and was
    0.002 of the error at the worst.

    **References:** Abdulle (2002), Fourth order Chebyshev methods with recurrence
    relation; Hairer, Lubich and Wanner (2006), section III.1, composing B-series.

    ```python
    >>> import diffrax, jax.numpy as jnp
    >>> from gflow.solvers import ROCK4
    >>> rates = jnp.array([1.0, 1e3])
    >>> field = diffrax.ODETerm(lambda t, y, args: -rates * y)
    >>> control = diffrax.PIDController(rtol=1e-6, atol=1e-9)
    >>> solution = diffrax.diffeqsolve(
    ...     field, ROCK4(), 0.0, 1.0, None, jnp.ones(2), stepsize_controller=control
    ... )
    >>> print(f"{solution.ys[0, 0]:.5f}", bool(solution.stats["num_steps"] < 150))
    0.36788 True

    ```
    """

    exact: bool | None = None
    safety: float = 1.1

    def order(self, terms: Any) -> int:
        """Four."""
        del terms
        return 4

    def check(self, y: Any) -> None:
        """Refuses anything but float64."""
        kinds = {np.dtype(x.dtype).name for x in jax.tree.leaves(y)}
        if kinds != {"float64"}:
            raise ValueError(
                f"ROCK4 needs float64, but the state is {', '.join(sorted(kinds))}: "
                "its round-off grows like (h rho)^4. Use RKC, or float64 "
                '(jax.config.update("jax_enable_x64", True) before any array is made).'
            )

    def stages(self, h_rho: Any) -> Any:
        """The least stage count of the table that is stable at h ρ."""
        rows = table()
        at = jnp.searchsorted(jnp.asarray(rows.length), h_rho)
        found = at < len(rows.stages)
        at = jnp.minimum(at, len(rows.stages) - 1)
        return jnp.where(found, jnp.asarray(rows.stages, jnp.int32)[at], 0)

    def sweep(
        self, terms: Any, t0: Any, h: Any, y0: Any, slope: Any, args: Any, s: Any
    ) -> Sweep:
        """The recurrence to stage s - 4, then the finishing method, in one loop.

        In increments over y0. From stage s - 4 on, `base` stands still and the sums
        over the K_i gather: for the stages 2, 3, 4, for the end, and for the error.
        """
        rows = table()
        row = jnp.searchsorted(jnp.asarray(rows.stages), s)
        start, turn = jnp.asarray(rows.start, jnp.int32)[row], s - 4
        mus, nus = jnp.asarray(rows.mu), jnp.asarray(rows.nu)
        weights = jnp.asarray(rows.finish)[row]

        def body(carry: Any) -> Any:
            j, rest = carry
            at = start + j - 1
            ds, cs, sums, f = jax.lax.cond(
                j <= turn,
                lambda: _recurred(rest, h, mus[at], nus[at], j == turn // 2),
                lambda: _finished(rest, h, weights, j - turn - 1),
            )
            y = jax.tree.map(jnp.add, y0, ds[0])
            f = terms.vf(t0 + (cs[0] * h).astype(jnp.result_type(t0)), y, args)
            return j + 1, (ds, cs, sums, f)

        zeros, zero = jax.tree.map(jnp.zeros_like, y0), jnp.zeros((), h.dtype)
        five = jax.tree.map(lambda x: jnp.zeros((5, *x.shape), x.dtype), y0)
        rest = ((zeros,) * 4, (zero,) * 3, (five, jnp.zeros(5, h.dtype)), slope)
        carry = (jnp.ones((), jnp.int32), rest)
        _, (ds, _, (sums, _), f) = jax.lax.while_loop(lambda x: x[0] <= s, body, carry)
        e0 = jnp.asarray(rows.error_start)[row]
        error = jax.tree.map(lambda g, m, a: e0 * (g - m) + a[4], ds[1], ds[3], sums)
        return Sweep(ds[0], f, error)


# Carried from stage to stage: the increment of the stage, the last two of the
# recurrence and the one in its middle; the times of the first three, over h; the sums
# and their times; the field.


def _recurred(carry: Any, h: Any, mu: Any, nu: Any, in_middle: Any) -> Any:
    """After a stage of the recurrence."""
    (_, base, base_old, middle), (_, at, at_old), sums, f = carry
    kappa = 1 - nu
    new = jax.tree.map(
        lambda b, o, f: nu * b + kappa * o + mu * h * f, base, base_old, f
    )
    at_new = nu * at + kappa * at_old + mu
    middle = jax.tree.map(lambda m, d: jnp.where(in_middle, d, m), middle, new)
    return (new, new, base, middle), (at_new, at_new, at), sums, f


def _finished(carry: Any, h: Any, weights: Any, k: Any) -> Any:
    """After stage k of the finishing method."""
    (_, base, base_old, middle), (_, at, at_old), (sums, times), f = carry
    sums = jax.tree.map(
        lambda a, f: a + jnp.multiply.outer(h * weights[:, k], f), sums, f
    )
    times = times + weights[:, k]
    i = jnp.minimum(k, 3)
    d = jax.tree.map(lambda b, a: b + a[i], base, sums)
    return (d, base, base_old, middle), (at + times[i], at, at_old), (sums, times), f
