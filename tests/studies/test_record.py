"""Runs read back."""

import json
import shutil
from pathlib import Path
from typing import Any

import fake_study
import matplotlib.pyplot as plt
import numpy as np
import pytest

from gflow._cli import main
from gflow.studies import catalog, claims_table, read

RESULTS = Path(__file__).parents[2] / "notebooks/results"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the fake study whose claim fails."""
    out = tmp_path_factory.mktemp("fake") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog, "fake", fake_study.study.entry)
        main(["run", "fake", "--set", "slope=2", "--out", str(out)])
    return out


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study named "fake", for the time of a test."""
    monkeypatch.setitem(catalog, "fake", fake_study.study.entry)


def test_a_run_is_read_back(run: Path) -> None:
    """Its data, its claims with why they fail, and its figures with its settings."""
    record = read(run)
    np.testing.assert_array_equal(record.dataset.y, 2 * np.arange(4.0))
    assert record.figures["line"].caption == "y = 2 x"
    (axes,) = record.draw("line").axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), 2 * np.arange(4.0))
    lines = str(record).splitlines()
    assert lines[1].split() == ["slope", "1", "2", "0.1", "FAILS"]
    assert lines[3] == "0 of 1 claims hold"
    assert lines[-1] == "slope: steeper than Euclid's"


def test_figures_of_parts_that_were_not_run_are_not_there(run: Path) -> None:
    """Only what the manifest names can be drawn."""
    copy = changed(run, figures=[])
    assert read(copy).figures == {}
    with pytest.raises(ValueError, match="no figure 'line'"):
        read(copy).draw("line")


def test_unknown_names_are_answered_with_those_that_are_known(run: Path) -> None:
    """By the nearest one first."""
    with pytest.raises(ValueError, match="no figure 'lime'; did you mean 'line'"):
        read(run).draw("lime")


def test_runs_of_other_versions_are_refused(run: Path) -> None:
    """A setting that the study does not have any more is named."""
    chosen = dict(read(run).manifest["configuration"])
    for other in ({**chosen, "steepness": 3.0}, {**chosen, "slope": "steep"}):
        with pytest.raises(ValueError, match=r"another version.*(steepness|slope)"):
            read(changed(run, configuration=other))
    del chosen["rtol"]
    with pytest.raises(ValueError, match=r"another version.*rtol"):
        read(changed(run, configuration=chosen))
    with pytest.raises(ValueError, match=r"another version.*'curve'"):
        read(changed(run, figures=[{"name": "curve", "caption": ""}]))
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        read(run.parent)


def test_a_table_says_that_a_run_stopped_short(run: Path) -> None:
    """In its last line."""
    manifest = read(run).manifest
    stopped = claims_table({**manifest, "completed": False})
    assert stopped.endswith("0 of 1 claims hold; the run stopped short")


@pytest.mark.parametrize("name", [path.name for path in sorted(RESULTS.iterdir())])
def test_every_figure_of_the_notebooks_is_drawn_from_data_alone(name: str) -> None:
    """Those of full scale, all that the run drew, without a run."""
    record = read(RESULTS / name)
    drawn = [figure["name"] for figure in record.manifest["figures"]]
    assert sorted(record.figures) == sorted(drawn)
    for figure in drawn:
        canvas = record.draw(figure)
        assert all(ax.get_title() or canvas.get_suptitle() for ax in lined(canvas))
        plt.close(canvas)


def lined(canvas: Any) -> list[Any]:
    """The axes with lines in them."""
    return [ax for ax in canvas.axes if ax.lines]


def changed(run: Path, **changes: object) -> Path:
    """A copy of the run whose manifest says otherwise."""
    copy = run.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy
