"""A study: a paper's claims, run and checked."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._claim import Claim
from ._config import Config
from ._registry import Entry

# Loaded late: listing the studies needs neither of them.
if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from xarray import Dataset
else:
    Canvas = Dataset = Any

ReportProgress = Callable[[str], None]
_Config = TypeVar("_Config", bound=Config)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure drawn from a study's data alone.

    **Arguments:**

    - `name`: the file's name, of letters, digits, `-` and `_`.
    - `caption`: what is seen, with units, and what to look at.
    - `draw`: `dataset -> matplotlib.figure.Figure`, called under gflow's style.
    """

    name: str
    caption: str
    draw: Callable[[Dataset], Canvas]

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"a figure's name becomes a file's, not {self.name!r}")


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """What a study, or a part of one, has found.

    **Arguments:**

    - `claims`: the checks, in the order of the report.
    - `dataset`: an `xarray.Dataset` of everything measured, or None.
    - `figures`: drawn from the dataset of the whole study.
    - `evidence`: what each run says of its own accuracy: name to text.
    - `place`: the part's place in the report, where parts come in any order.
    """

    claims: tuple[Claim, ...] = ()
    dataset: Dataset | None = None
    figures: tuple[Figure, ...] = ()
    evidence: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    place: int = 0


def merge(parts: Iterable[StudyResult]) -> StudyResult:
    """The parts as one result.

    **Raises:** `ValueError` if two parts give one name to different things.
    """
    import xarray

    parts = sorted(parts, key=lambda part: part.place)
    datasets = [part.dataset for part in parts if part.dataset is not None]
    # join="exact": a dimension shared by two parts has the same labels in both, and
    # nothing is ever padded to fit.
    dataset = xarray.merge(
        datasets, compat="equals", join="exact", combine_attrs="no_conflicts"
    )
    claims = tuple(claim for part in parts for claim in part.claims)
    figures = tuple(figure for part in parts for figure in part.figures)
    evidence = [item for part in parts for item in part.evidence.items()]
    for kind, names in (
        ("claims", [claim.name for claim in claims]),
        ("figures", [figure.name for figure in figures]),
        ("evidence", [name for name, _ in evidence]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{kind} of one name: {', '.join(twice)}")
    return StudyResult(claims, dataset, figures, dict(evidence))


@dataclasses.dataclass(frozen=True)
class Study(Generic[_Config]):
    """A paper's claims as something to run.

    **Arguments:**

    - `entry`: name, title and paper, from the registry.
    - `smoke`, `full`: two presets, for a minute and for the paper's own scale.
    - `run`: `(config, seed, report_progress)` to the study's parts, one after another.
        Each part is complete in itself (claims, data, and figures of that data), so
        that a study that stops short leaves the parts before.
    - `figures`: of a config, what its run draws, if all parts are done.
    """

    entry: Entry
    smoke: _Config
    full: _Config
    run: Callable[[_Config, int, ReportProgress], Iterator[StudyResult]]
    figures: Callable[[_Config], tuple[Figure, ...]]

    def preset(self, scale: str) -> _Config:
        """The settings of a scale, `"smoke"` or `"full"`."""
        return {"smoke": self.smoke, "full": self.full}[scale]
