"""Weight normalization of diagonal linear networks.

Angular rate κ `kappa` (the radial one is 1) · w = r v with ‖v‖ = 1 · V `direction`
with v = V/‖V‖ · g = ∂L/∂w.

Gradient flow of (r, V) -> L(r V/‖V‖) with rates 1 and κ_V is the polar flow

    r' = -⟨g, v⟩        v' = -κ r (I - v vᵀ) g,        κ = κ_V/‖V‖²,      (1)

for the gradient in V is (r/‖V‖)(I - v vᵀ) g, which is orthogonal to V, so that ‖V‖
stays and v' = V'/‖V‖. With r = e^s and rate 1 on s the radial law is r' = -r²⟨g, v⟩.

Let G(r) be κr²/2 for (1) and κ log r for the exponential kind. Then U = v e^G obeys
U' = -κ r e^G g in both: the terms along v cancel. As g is elementwise h wᴸ⁻¹, U moves
along the curve of the plain flow, which is where every law of these nets comes from.
"""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ..problem import EmpiricalRisk, half_sum_squares
from ._diagonal import DiagonalNet, Halves, checked_data

# One number a group: an array over layers (0-d if shared), a dict of them if separate.
Grouped = Any
Kind = Literal["polar", "standard", "exponential"]


class WeightNormalized(eqx.Module):
    """Diagonal linear network in polar coordinates, with its own angular rate.

    w = r V/‖V‖. Parameters are {"radius": r, "direction": V}, for the exponential kind
    {"log_radius": s, "direction": V} with r = e^s; V has the structure of the net's
    own parameters. The norm is taken over both halves jointly or over each, and in a
    layerwise net over each layer.

    **Arguments:**

    - `net`: the network whose weights are normalized.
    - `kind`: "polar" (‖V‖ = 1), "standard" (any ‖V‖, and then the angular rate of the
        polar flow is kappa/‖V‖²) or "exponential" (at kappa = 1 the plain flow with
        another time).
    - `kappa`: rate of V where that of r (or s) is 1. It is data: another value does
        not compile anew.
    - `separate`: whether u and v are normalized each for itself.

    **Raises:** `ValueError` for an unknown kind, a negative or non-finite rate, or
    `separate` where there is one half only.

    **References:** Chou, Rauhut, Ward 2023 (arXiv 2305.05448); Salimans, Kingma 2016.

    ```python
    >>> from gflow.models import DiagonalNet, WeightNormalized
    >>> model = WeightNormalized(DiagonalNet(4), kappa=5.0)
    >>> print(model.radius(model.init(0.5)))
    1.0

    ```
    """

    net: DiagonalNet
    kappa: Float[Array, ""]
    kind: Kind = eqx.field(static=True)
    separate: bool = eqx.field(static=True)

    def __init__(
        self,
        net: DiagonalNet,
        kind: Kind = "polar",
        *,
        kappa: ArrayLike = 1.0,
        separate: bool = False,
    ) -> None:
        if kind not in ("polar", "standard", "exponential"):
            raise ValueError(
                f"kind must be 'polar', 'standard' or 'exponential', not {kind!r}"
            )
        if separate and not net.signed:
            raise ValueError("separate norms need a signed net")
        self.net = net
        self.kappa = jnp.asarray(kappa, dtype=float)
        self.kind = kind
        self.separate = separate
        if self.kappa.shape != () or not 0 <= float(self.kappa) < float("inf"):
            raise ValueError(f"kappa must be one finite number >= 0, not {kappa!r}")

    def init(
        self,
        alpha: ArrayLike,
        alpha_v: ArrayLike | None = None,
        *,
        norm: float = 1.0,
    ) -> dict[str, Any]:
        """The parameters that stand for the plain weights `net.init(alpha, alpha_v)`.

        **Arguments:** as in `DiagonalNet.init`; `norm`: ‖V‖, 1 for the polar kind.

        **Raises:** `ValueError` if a group of weights is zero, as it has no direction.
        """
        if not 0 < norm < float("inf") or (self.kind == "polar" and norm != 1):
            raise ValueError(
                f"norm must be positive and finite, and 1 if polar, not {norm}"
            )
        weights = self.net.init(alpha, alpha_v)
        radius = self.norm(weights)
        if not all(bool(jnp.all(r > 0)) for r in jax.tree.leaves(radius)):
            raise ValueError("weights that are all zero have no direction")
        spread = self.spread(radius)
        direction = {name: norm * weights[name] / spread[name] for name in weights}
        if self.kind == "exponential":
            return {
                "log_radius": jax.tree.map(jnp.log, radius),
                "direction": direction,
            }
        return {"radius": radius, "direction": direction}

    def radius(self, w: dict[str, Any]) -> Grouped:
        """Norm r of the weights of each group."""
        if self.kind == "exponential":
            return jax.tree.map(jnp.exp, w["log_radius"])
        return w["radius"]

    def norm(self, direction: Halves) -> Grouped:
        """Euclidean norm of each group: over both halves or, if separate, of each."""
        squares = {name: jnp.sum(half**2, axis=-1) for name, half in direction.items()}
        if self.separate:
            return {name: jnp.sqrt(square) for name, square in squares.items()}
        return jnp.sqrt(sum(squares.values()))

    def spread(self, grouped: Grouped) -> Halves:
        """A number a group, given to each half with an axis to broadcast over."""
        return {
            name: (grouped[name] if self.separate else grouped)[..., None]
            for name in ("u", "v")[: 1 + self.net.signed]
        }

    def unit(self, w: dict[str, Any]) -> Halves:
        """Unit vector v = V/‖V‖ of each group."""
        norm = self.spread(self.norm(w["direction"]))
        return {name: half / norm[name] for name, half in w["direction"].items()}

    def weights(self, w: dict[str, Any]) -> Halves:
        """The plain weights r v."""
        radius, unit = self.spread(self.radius(w)), self.unit(w)
        return {name: radius[name] * unit[name] for name in unit}

    def log_stretch(self, w: dict[str, Any]) -> Grouped:
        """G of each group, for which U = v e^G moves along the plain flow's curve."""
        return jax.tree.map(
            self._log_stretch, self.radius(w), self.norm(w["direction"])
        )

    def effective(self, w: dict[str, Any]) -> Float[Array, " n"]:
        """The vector x that the parameters stand for."""
        return self.net.effective(self.weights(w))

    def __call__(self, w: dict[str, Any], A: Float[Array, "m n"]) -> Float[Array, " m"]:
        """Predictions A x."""
        return A @ self.effective(w)

    def problem(
        self,
        A: ArrayLike,
        y: ArrayLike,
        *,
        criterion: Callable[[Any, Any], Any] = half_sum_squares,
    ) -> EmpiricalRisk:
        """L(w) = ½‖A x(w) - y‖² with rate 1 on the radius and kappa on the direction.

        `A` of shape (M, N), `y` (M,); `criterion` as in `DiagonalNet.problem`.
        """
        radial = "log_radius" if self.kind == "exponential" else "radius"
        rates = {radial: 1.0, "direction": float(self.kappa)}
        data = checked_data(self.net, A, y)
        return EmpiricalRisk(self, *data, criterion=criterion, rates=rates)

    def effective_init(self, w0: dict[str, Any], radius: ArrayLike) -> Halves:
        """The plain weights from which the plain flow has the same limit.

        If the normalized flow from w0 converges to an interpolator of norm r, its
        limit is that of the plain flow from r v0 exp(G(r0) - G(r)), which for the
        polar kind is w0 (r/r0) exp(-κ(r² - r0²)/2). Holds at any depth for one joint
        norm; kappa and r > r0 make the initial scale exponentially smaller.

        **Raises:** `ValueError` for separate norms or a layerwise net, which have no
        such law.
        """
        factor = jnp.exp(self.log_contraction(w0, radius))
        return {name: factor * half for name, half in self.weights(w0).items()}

    def log_contraction(
        self, w0: dict[str, Any], radius: ArrayLike
    ) -> Float[Array, ""]:
        """log(w0_eff/w0) of `effective_init`, where its exponential underflows.

        **Raises:** as `effective_init`.
        """
        if self.separate or self.net.layerwise:
            raise ValueError("the law of effective initialization needs one joint norm")
        r = jnp.asarray(radius, dtype=float)
        end = self._log_stretch(r, self.norm(w0["direction"]))
        return jnp.log(r / self.radius(w0)) + self.log_stretch(w0) - end

    def _log_stretch(self, radius: Array, norm: Array) -> Array:
        kappa = self.kappa / norm**2
        if self.kind == "exponential":
            return kappa * jnp.log(radius)
        return 0.5 * kappa * radius**2
