"""What is known of the global error of a run."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class ErrorEstimate:
    """How far a flow's run is from the exact flow, as estimated; nan if unknown.

    The worst over all times is good to within a factor of ten; a single value can be
    off by more where the error passes through zero.

    - `ts`: the K saved times, or just the last one if parameters were not kept.
    - `absolute`: ‖w(t) - w_exact(t)‖ at each, Euclidean over all parameters.
    - `relative`: that over ‖w(t)‖.
    """

    ts: Float[np.ndarray, " k"]
    absolute: Float[np.ndarray, " k"]
    relative: Float[np.ndarray, " k"]

    @property
    def worst(self) -> float:
        """The largest relative error."""
        return float(np.max(self.relative))

    def __repr__(self) -> str:
        """The worst, and where."""
        if not np.isfinite(self.worst):
            return "not known"
        t = self.ts[np.argmax(self.relative)]
        return f"about {self.worst:.1e} of the norm, at t = {t:.4g}"
