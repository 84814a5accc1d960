"""What a run of a study leaves on disk."""

import dataclasses
import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .._versions import versions
from ._conduct import Conducted
from ._config import Config
from ._registry import Entry

SCHEMA = 1
_MANIFEST, _DATA = "manifest.json", "data.nc"
_REPORT, _FIGURES = "report.html", "figures"


def prepare(directory: Path) -> None:
    """Make the directory that a run will fill.

    **Raises:** `OSError` if it cannot be made or written, `ValueError` if it holds
    something already: results are never overwritten.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ValueError(f"{directory} is not empty; give a new --out directory")
    probe = directory / ".probe"
    probe.touch()
    probe.unlink()


def write(
    directory: Path,
    entry: Entry,
    config: Config,
    conducted: Conducted,
    *,
    scale: str,
    seed: int,
) -> dict[str, Any]:
    """Write data, figures, report, and last of all the manifest, which is returned.

    A run that was killed therefore leaves no manifest, and so claims nothing.
    """
    result = conducted.result
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "study": {"name": entry.name, "title": entry.title, "paper": entry.paper},
        "outcome": conducted.outcome,
        "completed": conducted.completed,
        "holds": conducted.holds,
        "claims": [claim.record() for claim in result.claims],
        "configuration": {"scale": scale, **dataclasses.asdict(config)},
        "seed": seed,
        "seconds": round(conducted.seconds, 3),
        "versions": {**versions(), "xarray": version("xarray")},
        "platform": _platform(),
        "figures": [{"name": f.name, "caption": f.caption} for f in result.figures],
        "evidence": dict(result.evidence),
    }
    data = directory / _DATA
    if result.dataset is not None:
        attributes = {"study": entry.name, "scale": scale, "seed": seed}
        result.dataset.assign_attrs(attributes).to_netcdf(data, engine="h5netcdf")
        manifest["data"] = {"file": _DATA, "sha256": _sha256(data)}
        _draw(directory / _FIGURES, result.figures, result.dataset)
    manifest = _plain(manifest)
    _write_report(directory, manifest)
    _replace(directory / _MANIFEST, json.dumps(manifest, indent=2, allow_nan=False))
    return manifest


def report(directory: Path) -> dict[str, Any]:
    """Write `report.html` anew from the manifest and the figures; the manifest.

    **Raises:** `ValueError` if the directory holds no manifest that this version
    reads, or its data are not those of the manifest; `OSError` if a file is missing.
    """
    manifest = read_manifest(directory)
    try:
        _write_report(directory, manifest)
    except (KeyError, TypeError, AttributeError) as error:
        path = directory / _MANIFEST
        raise ValueError(f"{path} is not whole: {error!r}") from error
    return manifest


def read_manifest(directory: Path) -> dict[str, Any]:
    """What the run wrote of itself; raises as `report` does."""
    path = directory / _MANIFEST
    if not path.is_file():
        raise ValueError(f"{directory} holds no {_MANIFEST}, so no run to report")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ValueError(f"{path} is not a manifest of schema {SCHEMA}")
    data = manifest.get("data")
    if data and _sha256(directory / _DATA) != data["sha256"]:
        raise ValueError(f"{directory / _DATA} has changed since the run")
    return manifest


def data_path(directory: Path) -> Path:
    """Where the data of a run lie."""
    return directory / _DATA


def report_path(directory: Path) -> Path:
    """Where the report of a run lies."""
    return directory / _REPORT


def _write_report(directory: Path, manifest: Mapping[str, Any]) -> None:
    from ..plots import render_report

    images = {
        figure["name"]: directory / _FIGURES / f"{Path(figure['name']).name}.png"
        for figure in manifest["figures"]
    }
    _replace(report_path(directory), render_report(manifest, images))


def _draw(directory: Path, figures: Sequence[Any], dataset: Any) -> None:
    from ..plots import style

    directory.mkdir()
    for figure in figures:
        with style():
            canvas = figure.draw(dataset)
            canvas.savefig(directory / f"{figure.name}.png")
            # Laid out once: finding the places takes as long as the drawing.
            canvas.set_layout_engine("none")
            # No date inside: the same data give the same file.
            pdf = directory / f"{figure.name}.pdf"
            canvas.savefig(pdf, metadata={"CreationDate": None})


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is there whole, or not at all."""
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _platform() -> dict[str, Any]:
    import jax

    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
    }


def _plain(value: Any) -> Any:
    """The value in json's types; numbers that are not finite become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
