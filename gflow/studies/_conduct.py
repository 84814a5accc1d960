"""Running a study to its end, or as far as it goes."""

import dataclasses
import time
import traceback
from types import TracebackType
from typing import Any

from .._results import RunError, RunInterrupted
from ._config import Config
from ._study import ReportProgress, Study, StudyResult, merge


@dataclasses.dataclass(frozen=True)
class Conducted:
    """A study that was run.

    **Arguments:**

    - `result`: all parts that were completed, and of a run that stopped short its
        measurements.
    - `outcome`: `"completed"`, or why not.
    - `error`: the exception that ended it, or None.
    - `seconds`: wall time, compile included.
    """

    result: StudyResult
    outcome: str
    error: BaseException | None
    seconds: float

    @property
    def completed(self) -> bool:
        """Whether every part was run."""
        return self.error is None

    @property
    def is_fault(self) -> bool:
        """Whether a fault of the program ended it, and no run and no user."""
        return isinstance(self.error, Exception) and not isinstance(
            self.error, RunError
        )

    @property
    def holds(self) -> bool:
        """Whether the study was completed and every claim holds."""
        return self.completed and all(claim.holds for claim in self.result.claims)


_REFUSALS = (ValueError, TypeError, FileNotFoundError)
# Where the arguments of a run and the settings of a study are checked.
_ENTRIES = (
    "gflow._simulate",
    "gflow._trees",
    "gflow.models",
    "gflow.problem",
    "gflow.steppers",
    "gflow.trajectory._save",
    "gflow.trajectory._stops",
    Config.__module__,
)


def silent(message: str) -> None:
    """Report no progress."""
    del message


def conduct(
    study: Study[Any],
    config: Config,
    *,
    seed: int = 0,
    report_progress: ReportProgress = silent,
) -> Conducted:
    """Run a study in float64, keeping what was found if it stops short.

    A run that fails, Ctrl-C and a fault of the program all end it, and are told apart
    by `outcome`. Enables x64 in jax, for all that follows in the process.

    **Raises:** `ValueError`, `TypeError` or `FileNotFoundError` where gflow refuses
    what the study asks of it (a negative rate, NaN in data, t1 ≤ 0, no such file):
    then there is nothing to keep.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    start = time.perf_counter()
    parts: list[StudyResult] = []
    error: BaseException | None = None
    try:
        for part in study.run(config, seed, report_progress):
            parts.append(part)
    except (RunError, RunInterrupted) as stop:
        error = stop
        parts.append(_remains(stop.trajectory))
    except KeyboardInterrupt as stop:
        error = stop
    except Exception as fault:
        if isinstance(fault, _REFUSALS) and _is_refusal(fault):
            raise
        error = fault
    seconds = time.perf_counter() - start
    return Conducted(merge(parts), _outcome(error), error, seconds)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    if isinstance(error, RunError):
        return f"stopped short: {error}"
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted{f': {error}' if str(error) else ''}"
    return f"failed: {traceback.format_exception_only(error)[-1].strip()}"


def _is_refusal(error: BaseException) -> bool:
    """Whether one of gflow's entries refused what it was asked for.

    Misuse is answered by one of `_REFUSALS`, raised where arguments and files are
    checked. The same errors out of anything else, a library or a study's own code, are
    faults, and do not void what was found before.
    """
    frame: TracebackType | None = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = frame.tb_frame.f_globals.get("__name__", "") if frame else ""
    return module.startswith(_ENTRIES)


def _remains(trajectory: Any) -> StudyResult:
    """Times and measurements of a run that stopped short, as a part of the study."""
    import numpy as np
    import xarray

    variables: dict[str, Any] = {}
    for name, values in {"t": trajectory.ts, **trajectory.observed}.items():
        array = np.asarray(values)
        inner = [f"stopped_{name}_{axis}" for axis in range(1, array.ndim)]
        variables[f"stopped_{name}"] = (["stopped_time", *inner], array)
    return StudyResult(
        dataset=xarray.Dataset(variables),
        evidence={"the run that stopped short": repr(trajectory)},
    )
