"""Outcome codes, and the errors that carry a trajectory."""

import gflow as gf
from gflow._results import ADVICE


def test_only_ends_that_were_asked_for_are_ok() -> None:
    """The end of time and the goals that stops name; nothing else."""
    ok = {outcome.name for outcome in gf.Outcome if outcome.ok}
    ends = {"reached_end", "reached_undetermined", "reached_roughly"}
    assert ok == ends | {"stationary", "loss_reached", "target_reached"}


def test_outcomes_are_apart_and_speak() -> None:
    """No two members share a value (they would be one), and each has a message."""
    messages = [outcome.message for outcome in gf.Outcome]
    assert len(set(messages)) == len(messages) == len(gf.Outcome.__members__)
    assert all(messages)


def test_advice_is_for_failures_alone() -> None:
    """A run that met its tolerance needs none; every failure but Ctrl-C has some."""
    failures = {outcome for outcome in gf.Outcome if not outcome.ok}
    asked = failures - {gf.Outcome.interrupted} | {gf.Outcome.reached_roughly}
    assert set(ADVICE) == asked


def test_an_interruption_is_a_keyboard_interrupt() -> None:
    """`except Exception` does not swallow it, as Python has it for Ctrl-C."""
    assert issubclass(gf.RunInterrupted, KeyboardInterrupt)
    assert not issubclass(gf.RunInterrupted, Exception)
    assert issubclass(gf.RunError, RuntimeError)
