"""gflow run all: one study after another."""

import dataclasses
import re
import sys
import types
from pathlib import Path

import fake_study
import pytest

from gflow._cli import main
from gflow.studies import Entry, catalog


@pytest.mark.parametrize(
    ("first", "code", "told"),
    [
        (fake_study.Settings(), 0, ["all claims hold", "all claims hold"]),
        (fake_study.Settings(slope=2.0), 1, ["a claim fails", "all claims hold"]),
        (fake_study.Settings(end="bug"), 3, ["stopped short", "all claims hold"]),
        (fake_study.Settings(end="Ctrl-C"), 3, ["stopped short"]),
    ],
)
def test_all_studies_one_after_another(
    first: fake_study.Settings,
    code: int,
    told: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """Each in a directory of its own; a fault does not end the others, Ctrl-C does."""
    for name in list(catalog):
        monkeypatch.delitem(catalog, name)
    other = dataclasses.replace(fake_study.study, smoke=first)
    before = Entry("before", "A study before", "Nobody, never", "other_study")
    monkeypatch.setitem(
        sys.modules,
        "other_study",
        types.SimpleNamespace(study=other),  # pyright: ignore
    )
    monkeypatch.setitem(catalog, "before", before)
    monkeypatch.setitem(catalog, "fake", fake_study.study.entry)
    assert main(["run", "all", "--out", str(tmp_path / "runs")]) == code
    summary = capsys.readouterr().out.splitlines()[-len(told) :]
    for line, name, text in zip(summary, ("before", "fake"), told, strict=False):
        assert re.fullmatch(rf"{name} +{text} +{tmp_path / 'runs' / name}", line)
        assert (tmp_path / "runs" / name / "manifest.json").exists()
    assert (tmp_path / "runs" / "fake").exists() == (len(told) == 2)


def test_all_studies_share_no_setting(capsys: pytest.CaptureFixture[str]):
    """--set names a setting of one study."""
    assert main(["run", "all", "--set", "slope=2"]) == 2
    assert "--set is for one study" in fake_study.refusal(capsys.readouterr().err)
