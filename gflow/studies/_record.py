"""A run of a study, read back from its directory."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._config import Config, suggestion
from ._registry import load
from ._run_directory import data_path, read_manifest
from ._study import Figure

# Loaded late: reading the claims needs neither of them.
if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from xarray import Dataset
else:
    Canvas = Dataset = Any


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run of a study left: claims with their verdicts, data and figures.

    Made by `read`. Printed, it lists the claims, and why those fail that do.

    **Arguments:**

    - `manifest`: claims, configuration, versions and evidence, as written by the run.
    - `dataset`: an `xarray.Dataset` of everything measured; empty where nothing was.
    - `figures`: by name, those that the run drew.
    """

    manifest: Mapping[str, Any]
    dataset: Dataset
    figures: Mapping[str, Figure]

    def draw(self, name: str) -> Canvas:
        """The figure of that name, drawn anew from the data, in gflow's style.

        **Raises:** `ValueError` for an unknown name, with those that are known.
        """
        from ..plots import style

        if name not in self.figures:
            known = suggestion(name, list(self.figures))
            raise ValueError(f"no figure {name!r}{known}")
        with style():
            return self.figures[name].draw(self.dataset)

    def __str__(self) -> str:
        claims = self.manifest["claims"]
        # There are notes only where claims fail.
        notes = [
            f"\n{claim['name']}: {claim['note']}" for claim in claims if claim["note"]
        ]
        return "\n".join([claims_table(self.manifest), *notes])


def read(directory: str | Path) -> Record:
    """Read a run back from the directory that `gflow run` wrote.

    **Arguments:** `directory`: holds `manifest.json` and `data.nc`.

    **Returns:** a `Record`.

    **Raises:** `ValueError` if it holds no run, its data have changed since, or its
    settings or figures are not those of the study as it is now; `OSError` if a file is
    missing.

    **Cost:** all data are loaded; nothing is run.
    """
    manifest = read_manifest(Path(directory))
    try:
        study = load(manifest["study"]["name"])
        config = _config(type(study.smoke), manifest["configuration"])
        figures = {figure.name: figure for figure in study.figures(config)}
        drawn = {f["name"]: figures[f["name"]] for f in manifest["figures"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{directory} was written by another version of gflow, or is not whole: "
            f"{error}"
        ) from error
    return Record(manifest, _dataset(Path(directory), manifest), drawn)


def _config(kind: type[Config], recorded: Mapping[str, Any]) -> Config:
    """The settings of a run; `ValueError` unless they are all there, and no others."""
    chosen = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in recorded.items()
        if name != "scale"
    }
    known = {field.name for field in dataclasses.fields(kind)}
    if chosen.keys() != known:
        raise ValueError(f"other settings: {', '.join(sorted(chosen.keys() ^ known))}")
    return kind(**chosen)


def _dataset(directory: Path, manifest: Mapping[str, Any]) -> Dataset:
    import xarray

    if "data" not in manifest:
        return xarray.Dataset()
    return xarray.load_dataset(data_path(directory), engine="h5netcdf")


def claims_table(manifest: Mapping[str, Any]) -> str:
    """The claims of a run, a line each, and how many of them hold.

    **Arguments:** `manifest`: as `Record.manifest`.
    """
    rows = [("claim", "expected", "measured", "tolerance", "verdict")]
    for claim in manifest["claims"]:
        shown = claim["shown"]
        verdict = "holds" if claim["holds"] else "FAILS"
        values = (shown["expected"], shown["measured"], shown["tolerance"])
        rows.append((claim["name"], *values, verdict))
    held = sum(claim["holds"] for claim in manifest["claims"])
    stopped = "" if manifest["completed"] else "; the run stopped short"
    return f"{aligned(rows)}\n\n{held} of {len(rows) - 1} claims hold{stopped}"


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)
