"""The field of a piecewise smooth flow in a given mode, on a flat state."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .. import _trees as trees
from ..flows import FlowState
from ..problem import Gated, Kinks, Normals, Problem
from ._complementarity import inverse_masked, solve_near
from ._mode import Mode


@dataclasses.dataclass(frozen=True)
class Frame:
    """What stays the same in a solve: the law, the problem, and how states unfold.

    A state is w, or the `FlowState` of gradient flow; `static` has the leaves of w
    that do not move.

    In a mode with held pairs the velocity is the projection of the field, with any
    slopes at the held pairs, onto the velocities that keep their z at zero: a change
    of those slopes moves the field only along G^-1 ∇z of held pairs. With v = dz/dt of
    the field, K the Gram matrix and K ν = v,

        dw/dt -> dw/dt - G^-1 Σ ν ∇z,    λ = slope + ν/g                            (1)
    """

    terms: Any
    problem: Problem
    static: Any
    unravel: Callable[[Array], Any]

    @property
    def kinks(self) -> Kinks:
        """The problem's."""
        assert self.problem.kinks is not None
        return self.problem.kinks

    def w(self, flat: Array) -> Any:
        """All of w in a flat state."""
        params = params_of(self.unravel(flat))
        return params if self.static is None else eqx.combine(params, self.static)

    def smooth(self, t: Any, flat: Array, slopes: Array) -> Any:
        """The field with every slope given, as a tree. Cost: one gradient."""
        gated = Gated(self.kinks, slopes)
        return self.terms.vf(t, self.unravel(flat), gated)

    def normals(self, flat: Array, mode: Mode) -> Normals:
        """Of the pairs that the mode lists."""
        return self.kinks.normals(self.w(flat), mode.slopes, mode.pairs)

    def gram(self, flat: Array, normals: Normals) -> Float[Array, "c c"]:
        """Their inner products in the geometry of the problem."""
        w = self.w(flat)
        return normals.gram(lambda covector: self.problem.descent(w, covector))

    def pushed(
        self, flat: Array, dy: Any, normals: Normals, K: Array, v: Array, kappa: Array
    ) -> Array:
        """The field dy less G^-1 Σ kappa ∇z, flat, with the energy that goes with it.

        ‖dw/dt‖² of the new field is the old less 2 kappaᵀv plus kappaᵀ K kappa.
        """
        step = self.problem.descent(self.w(flat), normals.pull(kappa))
        moved = jax.tree.map(jnp.add, params_of(dy), step)
        if isinstance(dy, FlowState):
            change = kappa @ (K @ kappa) - 2 * kappa @ v
            dy = FlowState(moved, dy.energy + change)
        else:
            dy = moved
        return ravel_pytree(dy)[0]

    def field(
        self, mode: Mode, inverse: Array
    ) -> Callable[[Any, Array], tuple[Array, Array]]:
        """`(t, flat) -> (derivative, ν)` in a mode, `inverse` that of a K nearby.

        Cost: one gradient.
        """

        def evaluate(t: Any, flat: Array) -> tuple[Array, Array]:
            dy = self.smooth(t, flat, mode.slopes)
            normals = self.normals(flat, mode)
            K = self.gram(flat, normals)
            v = jnp.where(mode.held, normals.push(params_of(dy)), 0)
            nu = solve_near(K, inverse, v, mode.held)
            return self.pushed(flat, dy, normals, K, v, nu), nu

        return evaluate

    def projected(self, flat: Array, mode: Mode, mask: Array) -> Array:
        """The state moved along G^-1 ∇z until the masked z are zero, to first order."""
        normals = self.normals(flat, mode)
        z = self.kinks.values(self.w(flat), mode.slopes)
        z = jnp.where(mask, jnp.take(z, mode.pairs, mode="fill", fill_value=0), 0)
        kappa = inverse_masked(self.gram(flat, normals), mask) @ z
        step = self.problem.descent(self.w(flat), normals.pull(kappa))
        y = self.unravel(flat)
        w = jax.tree.map(jnp.add, params_of(y), step)
        y = FlowState(w, y.energy) if isinstance(y, FlowState) else w
        return ravel_pytree(y)[0]

    def switches(self, flat: Array, rate: Array, mode: Mode) -> tuple[Array, Array]:
        """z and dz/dt of all pairs, the slopes frozen. Cost: about two losses."""

        def values(flat: Array) -> Array:
            return self.kinks.values(self.w(flat), mode.slopes)

        return jax.jvp(values, (flat,), (rate,))

    def values(self, flat: Array, mode: Mode) -> Array:
        """z of all pairs, the slopes frozen. Cost: one loss."""
        return self.kinks.values(self.w(flat), mode.slopes)

    def signals(self, flat: Array, mode: Mode) -> Array:
        """g of the listed pairs. Cost: about one loss in a two-layer net."""
        return self.kinks.signals(self.w(flat), mode.slopes, mode.pairs)


def frame(terms: Any, problem: Any, static: Any, y: Any) -> tuple[Frame, Array]:
    """The frame of a solve and its state, flat.

    **Raises:** `TypeError` for a problem that declares no kinks.
    """
    if not isinstance(problem, Problem) or problem.kinks is None:
        raise TypeError(
            "Filippov takes as args a problem that declares its kinks "
            f"(KinkedObjective, or a risk of a PiecewiseModel), not {type(problem)}"
        )
    flat, unravel = ravel_pytree(y)
    assert trees.size(y) == flat.size
    return Frame(terms, problem, static, unravel), flat


def params_of(y: Any) -> Any:
    """w in a state, dw/dt in a derivative."""
    return y.w if isinstance(y, FlowState) else y
