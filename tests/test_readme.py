"""The README's examples are run as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]):
    """All but seconds and versions comes out as printed, to four digits."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    shown = re.search(r"```text\n(GradientFlow.*?)```", README, re.DOTALL)
    assert code is not None
    assert shown is not None
    scope: dict[str, Any] = {}
    exec(code[1], scope)
    printed = capsys.readouterr().out
    for kind in ("reached_end", "exponential", "order in eta at t = 10: 0.999"):
        assert kind in shown[1]
        assert kind in printed
    # The distances to the flow, to four digits whatever the machine rounds.
    numbers = r"gradient descent, eta \S+ +10 +(\S+) +(\S+) +(\S+)"
    for told, found in zip(
        re.findall(numbers, shown[1]), re.findall(numbers, printed), strict=True
    ):
        assert [float(x) for x in found] == pytest.approx(
            [float(x) for x in told], rel=2e-3
        )


def test_the_laws_are_those_that_it_says(capsys: pytest.CaptureFixture[str]):
    """All of what is found, counted and mended; the evidence is round-off."""
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    shown = re.search(r"```text\n(2 found.*?)```", README, re.DOTALL)
    assert shown is not None
    exec(code, {})
    printed = capsys.readouterr().out.splitlines()
    told = shown[1].splitlines()
    assert len(printed) == len(told)
    for line, expected in zip(printed, told, strict=True):
        if "rate on fresh points" not in line:
            line, expected = (
                re.sub(r"(gap|rate) \S+", "", text) for text in (line, expected)
            )
            assert line == expected


def test_the_second_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]):
    """The gap of SGD as printed; collapsing is exact to rounding."""
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[2]
    shown = re.search(r"```text\n(SGD.*?)```", README, re.DOTALL)
    assert shown is not None
    exec(code, {})
    gap, outputs = capsys.readouterr().out.splitlines()
    assert gap == shown[1].splitlines()[0]
    assert float(outputs.split()[-1]) < 1e-13
