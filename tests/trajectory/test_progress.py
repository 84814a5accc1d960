"""The progress line."""

import io
import sys
from typing import Any

import pytest

from gflow.trajectory import ProgressLine, next_budget


class Terminal(io.StringIO):
    """Standard error as a terminal, or not."""

    def __init__(self, is_one: bool) -> None:
        super().__init__()
        self.is_one = is_one

    def isatty(self) -> bool:
        """Whether it is one."""
        return self.is_one


def shown(monkeypatch: pytest.MonkeyPatch, is_one: bool, show: bool | None) -> str:
    """What a run to t1 = 1e6 writes that has come to t = 1e3."""
    screen: Any = Terminal(is_one)
    monkeypatch.setattr(sys, "stderr", screen)
    with ProgressLine("GradientFlow", 1e6, show) as line:
        line.update(1e3, loss=0.25, grad=1e-3)
    return screen.getvalue()


def test_it_moves_with_the_logarithm_of_time(monkeypatch: pytest.MonkeyPatch):
    """From 1e0, which is 1e-6 of the end, to 1e6, 1e3 is half way."""
    text = shown(monkeypatch, is_one=True, show=None)
    assert " 50%" in text
    assert "t 1e+03, loss 0.25, grad 0.001" in text


@pytest.mark.parametrize(("is_one", "show"), [(False, None), (True, False)])
def test_it_is_silent_when_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, is_one: bool, show: bool | None
):
    """Off when standard error is no terminal, and when it is asked to be."""
    assert shown(monkeypatch, is_one, show) == ""


def test_it_can_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    """Also where standard error is no terminal."""
    assert "GradientFlow" in shown(monkeypatch, is_one=False, show=True)


def test_stretches_grow_while_they_are_short():
    """Doubled below a quarter of a second, halved above one, kept between."""
    assert [next_budget(64, s) for s in (0.1, 0.5, 2.0)] == [128, 64, 32]
    assert next_budget(1, 2.0) == 1
