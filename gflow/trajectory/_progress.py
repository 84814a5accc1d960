"""A progress line in log-time."""

import math
import sys
from typing import Any

from tqdm import tqdm

# A stretch of steps is cut so that the terminal hears from it about this often, and so
# that Ctrl-C and wall-clock budgets act within that time. Cutting changes no result.
_SECONDS_PER_STRETCH = 0.5
FIRST_BUDGET, _LARGEST_BUDGET = 64, 2**20


def next_budget(budget: int, seconds: float) -> int:
    """How many steps to try in the next stretch, after one that took so long."""
    if seconds < _SECONDS_PER_STRETCH / 2:
        return min(2 * budget, _LARGEST_BUDGET)
    return max(budget // 2, 1) if seconds > 2 * _SECONDS_PER_STRETCH else budget


def stage_line(label: str) -> Any:
    """A line whose `set_postfix_str` says what goes on, if stderr is a terminal.

    To be used as a context.
    """
    return tqdm(
        desc=label,
        disable=None,
        leave=False,
        bar_format="{desc}: {elapsed}{postfix}",
    )


class ProgressLine:
    """Shows how far a run has come; silent when `show` is false.

    By default it shows itself when standard error is a terminal. The bar moves with
    the logarithm of time once past 1e-6 of the end, because flows do.
    """

    def __init__(self, label: str, t1: float, show: bool | None) -> None:
        hidden = not sys.stderr.isatty() if show is None else not show
        self._t1 = t1
        self._bar: Any = tqdm(
            total=100,
            desc=label,
            disable=hidden,
            leave=False,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed} {postfix}",
            postfix="compiling",
        )

    def update(self, t: float, **figures: float) -> None:
        """Move the bar to time t and show the figures."""
        share = 1 + math.log10(max(t / self._t1, 1e-6)) / 6
        self._bar.n = round(100 * min(max(share, 0.0), 1.0))
        shown = ", ".join(f"{k} {v:.3g}" for k, v in figures.items())
        self._bar.set_postfix_str(f"t {t:.3g}, {shown}")

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
