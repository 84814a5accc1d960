"""What a run saves, and when."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Save:
    """When to save, and whether to keep the parameters.

    Made by `Save.log`, `Save.at` or `Save.steps`. The start and the end are always
    saved. Loss, gradient norm, observables and invariants are saved at each time;
    the parameters too, while all of them fit `max_bytes` (default 1 GiB) of host
    memory; when they do not, `trajectory.ws` is None and the run says so.
    """

    kind: Literal["log", "at", "steps"]
    num: int = 200
    first: float | None = None
    times: tuple[float, ...] = ()
    keep_params: bool = True
    max_bytes: int = 2**30

    def __post_init__(self) -> None:
        if self.num < 1:
            raise ValueError(f"Save needs num >= 1, not {self.num}")
        if self.first is not None and not (0 < self.first < np.inf):
            raise ValueError(f"Save.log needs first > 0 and finite, not {self.first}")
        times = np.asarray(self.times)
        if not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
            raise ValueError("Save.at needs finite times in increasing order")

    @classmethod
    def log(cls, num: int = 200, *, first: float | None = None, **kwargs: Any) -> "Save":
        """Save at `num` log-spaced times from `first` (default 1e-6 t1) to t1."""
        return cls("log", num=num, first=first, **kwargs)

    @classmethod
    def at(cls, times: Sequence[float] | Float[np.ndarray, " k"], **kwargs: Any) -> "Save":
        """Save at the given increasing times (those past t1 are left out)."""
        return cls("at", times=tuple(float(t) for t in times), **kwargs)

    @classmethod
    def steps(cls, **kwargs: Any) -> "Save":
        """Save at every accepted step."""
        return cls("steps", **kwargs)

    def schedule(self, t0: float, t1: float) -> Float[np.ndarray, " k"]:
        """The times to save at in (t0, t1], ending with t1; just t1 for `steps`."""
        if self.kind == "log":
            first = 1e-6 * t1 if self.first is None else self.first
            times = np.geomspace(min(first, t1), t1, self.num)
        else:
            times = np.asarray(self.times, dtype=float)
        return np.append(times[(times > t0) & (times < t1)], t1)
