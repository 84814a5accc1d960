"""The command line: exit codes, one-line errors, and what a run leaves."""

import hashlib
import json
import platform
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import fake_study
import numpy as np
import pytest
import xarray

from gflow import __version__
from gflow._cli import main
from gflow.studies import catalog


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study named "fake", for the time of a test."""
    monkeypatch.setitem(catalog, "fake", fake_study.study.entry)


def test_run_leaves_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Manifest, data, figures and report; and the summary tells where."""
    out = tmp_path / "new" / "run"
    assert main(["run", "fake", "--out", str(out), "--seed", "5"]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["outcome"] == "completed"
    assert manifest["holds"] is True
    assert manifest["seed"] == 5
    assert manifest["configuration"]["slope"] == 1.0
    assert manifest["versions"]["gflow"] == __version__
    assert [claim["name"] for claim in manifest["claims"]] == ["slope"]
    digest = hashlib.sha256((out / "data.nc").read_bytes()).hexdigest()
    assert manifest["data"]["sha256"] == digest
    with xarray.open_dataset(out / "data.nc") as dataset:
        np.testing.assert_array_equal(dataset.y, np.arange(4.0) + 5)
    assert (out / "figures" / "line.png").read_bytes()[1:4] == b"PNG"
    assert (out / "figures" / "line.pdf").read_bytes()[:4] == b"%PDF"
    assert "All 1 claims hold." in (out / "report.html").read_text()
    printed = capsys.readouterr().out
    assert re.search(r"slope +1 +1 +0\.1 +holds", printed)
    assert str(out / "report.html") in printed
    assert re.search(r"\d+\.\d seconds", printed)


def test_a_run_is_written_without_traces_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The manifest and the report can be published: no path and no host in them."""
    for owner, name in ((platform, "node"), (socket, "gethostname")):
        monkeypatch.setattr(owner, name, lambda: "name-of-the-host")
    main(["run", "fake", "--out", str(tmp_path / "run")])
    for name in ("manifest.json", "report.html"):
        text = (tmp_path / "run" / name).read_text()
        assert str(tmp_path) not in text
        assert "name-of-the-host" not in text


def test_a_claim_that_fails_exits_1(tmp_path: Path):
    """The run is complete, and says so; its claim does not hold."""
    out = tmp_path / "run"
    assert main(["run", "fake", "--set", "slope=2", "--out", str(out)]) == 1
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["completed"]
    assert not manifest["holds"]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("blow-up", "stopped short: "),
        ("Ctrl-C", "interrupted"),
        ("SIGTERM", "interrupted: by SIGTERM"),
        ("RunInterrupted", "interrupted: "),
        ("bug", "failed: ValueError: a bug of the study"),
    ],
)
def test_a_run_stopped_short_exits_3_and_keeps_what_there_is(
    end: str, outcome: str, tmp_path: Path
):
    """The part before is written, with the measurements of the run that stopped."""
    out = tmp_path / "run"
    assert main(["run", "fake", "--set", f"end={end}", "--out", str(out)]) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["outcome"].startswith(outcome)
    assert not manifest["holds"]
    assert len(manifest["claims"]) == 1
    with xarray.open_dataset(out / "data.nc") as dataset:
        assert "y" in dataset
        left = end in ("blow-up", "RunInterrupted")
        assert ("stopped_loss" in dataset) == left
    assert main(["report", str(out)]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "fack"], "no study 'fack'; did you mean 'fake'"),
        (["list", "fack"], "no study 'fack'; did you mean 'fake'"),
        (["run", "fake", "--scale", "big"], "invalid choice: 'big'"),
        (["run", "fake", "--seed", "-1"], "whole number >= 0, not '-1'"),
        (["run", "fake", "--seed", "x"], "whole number >= 0, not 'x'"),
        (["run", "fake", "--set", "slop=1"], "did you mean 'slope'.*rate, t1, rtol"),
        (["run", "fake", "--set", "slope=steep"], "slope must be a number"),
        (["run", "fake", "--set", "slope"], "name=value"),
        (["run", "fake", "--set", "data=nan"], "targets hold a number that is not fin"),
        (["run", "fake", "--set", "rate=-1"], "must be one finite number >= 0"),
        (["run", "fake", "--set", "t1=0"], "t1"),
        (["run", "fake", "--set", "t1=-3"], "t1"),
        (["run", "fake", "--set", "rtol=1e-20"], "tol"),
        (["run", "fake", "--set", "start=integer"], "integer"),
        (["run", "fake", "--set", "start=other tree"], "tree"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Whoever refuses it, parser, settings or simulation; and nothing is left."""
    monkeypatch.chdir(tmp_path)
    if arguments[:1] == ["run"]:
        arguments = [*arguments, "--out", "run"]
    try:
        code = main(arguments)
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    assert re.search(message, fake_study.refusal(capsys.readouterr().err))
    assert list(tmp_path.iterdir()) == []


def test_results_are_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A directory with anything in it is refused, before the study runs."""
    (tmp_path / "notes.txt").touch()
    assert main(["run", "fake", "--out", str(tmp_path)]) == 2
    assert "not empty" in fake_study.refusal(capsys.readouterr().err)
    assert main(["run", "fake", "--out", str(tmp_path / "notes.txt")]) == 2
    assert "not a directory" in fake_study.refusal(capsys.readouterr().err)


def test_unwritable_out_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A directory under a file cannot be made, whoever asks."""
    (tmp_path / "file").touch()
    assert main(["run", "fake", "--out", str(tmp_path / "file" / "run")]) == 2
    assert "file" in fake_study.refusal(capsys.readouterr().err)


def test_missing_storage_is_told_before_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Without h5netcdf nothing is run, and the extra that brings it is named."""
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda m: None if m == "h5netcdf" else find(m)
    )
    assert main(["run", "fake", "--out", str(tmp_path / "run")]) == 2
    assert "gflow-ode[storage]" in fake_study.refusal(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_report_is_written_anew(tmp_path: Path):
    """From manifest and figures alone; its exit code is the run's."""
    out = tmp_path / "run"
    main(["run", "fake", "--set", "slope=2", "--out", str(out)])
    before = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 1
    assert (out / "report.html").read_text() == before


def test_report_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """No manifest, a broken one, one of another schema, or data that changed."""
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "no manifest.json" in fake_study.refusal(capsys.readouterr().err)
    halves = '{"schema": 1, "figures": []}', '{"schema": 1, "study": 3, "figures": []}'
    for text in ("{", "[]", '{"schema": 99}', '{"schema": 1}', *halves):
        (tmp_path / "manifest.json").write_text(text)
        assert main(["report", str(tmp_path)]) == 2
        assert "manifest" in fake_study.refusal(capsys.readouterr().err)
    out = tmp_path / "run"
    main(["run", "fake", "--out", str(out)])
    capsys.readouterr()
    with (out / "data.nc").open("ab") as file:
        file.write(b" ")
    assert main(["report", str(out)]) == 2
    assert "changed" in fake_study.refusal(capsys.readouterr().err)


def test_list_shows_studies_and_settings(capsys: pytest.CaptureFixture[str]):
    """Names, titles and papers; or the settings of one study."""
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "weight-normalization" in printed
    assert "arXiv 2305.05448" in printed
    assert main(["list", "fake"]) == 0
    assert re.search(r"rtol +1e-06 +1e-08 +tolerance", capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["--version"]])
def test_simple_questions_are_answered_at_once(arguments: list[str]):
    """In under a second, start of Python included."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "gflow", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # The best of two: other work on the machine is not gflow's.
    first = time.perf_counter() - start
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert min(first, time.perf_counter() - start) < 1.0
    assert done.stdout
