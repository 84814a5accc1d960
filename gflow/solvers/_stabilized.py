"""What stabilized explicit Runge-Kutta methods share: one step of either."""

import abc
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .. import _trees as trees
from ._counting import CountingSolver, Work
from ._spectral import SpectralState, advance, begin, refresh


class StabilizedState(eqx.Module):
    """The field at the start of the next step, and what is known of its Jacobian."""

    slope: Any
    spectral: SpectralState
    # Stages of the last accepted step.
    num_stages: Int[Array, ""]


class Sweep(eqx.Module):
    """The end of a step less its start, the field there, and the error estimate."""

    increment: Any
    slope: Any
    error: Any


class StabilizedSolver(CountingSolver):
    """An explicit Runge-Kutta method whose number of stages follows the stiffness.

    With s stages it is stable for h ρ up to a number that grows like s², ρ being the
    spectral radius of the field's Jacobian, whose eigenvalues are to lie near the
    negative real axis. Each step takes the s that fits.
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Any] = diffrax.ThirdOrderHermitePolynomialInterpolation

    exact: eqx.AbstractVar[bool | None]
    safety: eqx.AbstractVar[float]

    @abc.abstractmethod
    def stages(self, h_rho: Any) -> Any:
        """The least number of stages that is stable at h ρ, 0 if none is."""

    @abc.abstractmethod
    def sweep(
        self, terms: Any, t0: Any, h: Any, y0: Any, slope: Any, args: Any, s: Any
    ) -> Sweep:
        """One step with s stages and as many evaluations; none if s = 0."""

    def check(self, y: Any) -> None:
        """Raises `ValueError` for a state that the method cannot hold."""
        del y

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The field."""
        return terms.vf(t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> StabilizedState:
        """Takes one evaluation."""
        self.check(y0)
        slope = jax.tree.map(
            lambda f, y: jnp.asarray(f, y.dtype), terms.vf(t0, y0, args), y0
        )
        return StabilizedState(slope, begin(slope), jnp.zeros((), jnp.int32))

    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: StabilizedState,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, StabilizedState, diffrax.RESULTS, Work]:
        """One attempted step, and its work.

        A step that no number of stages makes stable is not made: its error is
        infinite, and the controller shortens it.
        """
        dtype = trees.dtype(y0)
        h = jnp.asarray(t1 - t0, dtype)
        slope, jumps = self._slope(terms, t0, y0, args, solver_state, made_jump)
        exact = dtype == jnp.float32 if self.exact is None else self.exact
        spectral, work = refresh(
            lambda y: terms.vf(t0, y, args),
            y0,
            slope,
            solver_state.spectral,
            h,
            exact=exact,
        )
        s = self.stages(self.safety * jnp.abs(h) * spectral.rho)
        swept = self.sweep(terms, t0, h, y0, slope, args, s)
        y1 = jax.tree.map(jnp.add, y0, swept.increment)
        error = jax.tree.map(lambda e: jnp.where(s == 0, jnp.inf, e), swept.error)
        dense = {
            "y0": y0,
            "y1": y1,
            "k0": jax.tree.map(lambda f: h.astype(f.dtype) * f, slope),
            "k1": jax.tree.map(lambda f: h.astype(f.dtype) * f, swept.slope),
        }
        state = StabilizedState(swept.slope, advance(spectral, h), s)
        work = Work(work.gradients + s + jumps, work.products)
        return y1, error, dense, state, diffrax.RESULTS.successful, work

    def _slope(
        self, terms: Any, t0: Any, y0: Any, args: Any, state: Any, made_jump: Any
    ) -> tuple[Any, Any]:
        """The field at the start, and the evaluations that it took."""
        if made_jump is False:
            return state.slope, 0
        slope = jax.lax.cond(
            made_jump, lambda: terms.vf(t0, y0, args), lambda: state.slope
        )
        return slope, jnp.asarray(made_jump, jnp.int32)

    def report(self, solver_state: StabilizedState) -> dict[str, Any]:
        """The spectral radius last used, and the stages of the last step."""
        return {
            "rho": solver_state.spectral.rho,
            "num_stages": solver_state.num_stages,
        }
