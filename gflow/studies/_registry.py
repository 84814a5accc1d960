"""The studies there are, known without importing any of them."""

import dataclasses
import importlib
import importlib.util
from typing import Any

from ._config import suggestion

# What each extra of the distribution brings, by the names that are imported.
_EXTRAS = {
    "storage": ("h5netcdf", "h5py"),
    "data": ("sklearn", "mlxtend"),
    "search": ("nevergrad",),
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A study's name, title and paper, and the module whose `study` it is.

    `extras` are the distribution's extras that it needs beside "storage".
    """

    name: str
    title: str
    paper: str
    module: str
    extras: tuple[str, ...] = ()


WEIGHT_NORMALIZATION = Entry(
    "weight-normalization",
    "Robust implicit regularization via weight normalization",
    "Chou, Rauhut, Ward 2023 (arXiv 2305.05448)",
    "gflow.studies._weight_normalization",
    extras=("data",),
)

TWO_RATES = Entry(
    "two-rates",
    "Convergence of shallow nets trained at two rates",
    "Razborov 2022 (arXiv 2212.02323)",
    "gflow.studies._two_rates",
    extras=("data",),
)

TOTAL_VARIATION = Entry(
    "total-variation",
    "Training with regularization of higher-order total variation",
    "Okuno 2023 (arXiv 2308.02293)",
    "gflow.studies._total_variation",
    extras=("data",),
)

LOW_RANK = Entry(
    "low-rank",
    "The low-rank simplicity bias in deep networks",
    "Huh, Mobahi, Zhang, Cheung, Agrawal, Isola 2021 (arXiv 2103.10427)",
    "gflow.studies._low_rank",
    extras=("data", "search"),
)

NEIGHBORS = Entry(
    "neighbors",
    "Neighbors: eleven small results, each against its closed form",
    "a paper each, named in its claims",
    "gflow.studies._neighbors",
)

CONSERVATION_LAWS = Entry(
    "conservation-laws",
    "Conservation laws: found, counted, and published",
    "Marcotte, Gribonval, Peyré 2023 (arXiv 2307.00144)",
    "gflow.studies._conservation_laws",
    extras=("data",),
)

catalog = {
    entry.name: entry
    for entry in (
        WEIGHT_NORMALIZATION,
        TWO_RATES,
        TOTAL_VARIATION,
        LOW_RANK,
        NEIGHBORS,
        CONSERVATION_LAWS,
    )
}


def entry_of(name: str) -> Entry:
    """The entry of that name.

    **Raises:** `ValueError` for an unknown name, with those that are known.
    """
    if name not in catalog:
        raise ValueError(f"no study {name!r}{suggestion(name, list(catalog))}")
    return catalog[name]


def load(name: str) -> Any:
    """The `Study` of that name; `ValueError` as `entry_of`."""
    return importlib.import_module(entry_of(name).module).study


def require_extras(entry: Entry) -> None:
    """Raise `ImportError` unless all that the study needs can be imported."""
    for extra in ("storage", *entry.extras):
        for module in _EXTRAS[extra]:
            if importlib.util.find_spec(module) is None:
                raise ImportError(
                    f"{entry.name} needs {module}: pip install 'gflow-ode[{extra}]'"
                )
