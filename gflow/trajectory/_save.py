"""What a run saves, and when."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import ArrayLike, Float, Int, Shaped


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
        if np.any(times < 0):
            raise ValueError("Save.at needs times >= 0")

    @classmethod
    def log(
        cls, num: int = 200, *, first: float | None = None, **kwargs: Any
    ) -> "Save":
        """Save at `num` log-spaced times from `first` (default 1e-6 t1) to t1."""
        return cls("log", num=num, first=first, **kwargs)

    @classmethod
    def at(
        cls, times: Sequence[float] | Float[np.ndarray, " k"], **kwargs: Any
    ) -> "Save":
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

    def indices(self, num_steps: int, eta: ArrayLike) -> Int[np.ndarray, " k"]:
        """The steps to save at in 1..num_steps, ending with num_steps.

        Times are rounded to the nearest step of flow time eta, one for all or for each.
        """
        if self.kind == "steps":
            return np.arange(1, num_steps + 1)
        if self.kind == "log":
            first = 1 if self.first is None else max(_step_at(self.first, eta), 1)
            steps = np.geomspace(min(first, num_steps), num_steps, self.num)
        else:
            steps = _step_at(np.asarray(self.times, dtype=float), eta)
        steps = np.unique(np.round(steps).astype(int))
        return np.append(steps[(steps > 0) & (steps < num_steps)], num_steps)


def _step_at(times: Any, eta: Any) -> Any:
    """The step at each time, counted in fractions; after the last, beyond it."""
    if np.ndim(eta) == 0:
        return times / eta
    ends = np.append(0.0, np.cumsum(eta))
    return np.interp(times, ends, np.arange(len(ends)), right=len(ends))


# Saved states wait on the device until a stretch ends: at most so many, and so much.
_WINDOW, _WINDOW_BYTES = 256, 2**26


def next_window(
    schedule: Shaped[np.ndarray, " k"], begin: int, num_bytes: int
) -> tuple[Shaped[np.ndarray, " window"], int]:
    """The next stretch of a schedule from index `begin`: its entries, and how many.

    Filled up with its last entry to a fixed length, so that one program serves all.
    Windows lie at fixed places of the schedule, wherever a run was interrupted: a flow
    clips its steps at their ends, which must not depend on that. `num_bytes` is the
    size of one saved state.
    """
    length = int(np.clip(_WINDOW_BYTES // num_bytes, 1, min(_WINDOW, len(schedule))))
    end = min((begin // length + 1) * length, len(schedule))
    window = np.full(length, schedule[end - 1])
    window[: end - begin] = schedule[begin:end]
    return window, end - begin
