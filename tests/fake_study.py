"""A study that does as it is told, for tests of the command line."""

import dataclasses
import signal
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray

import gflow as gf
from gflow.plots import panels
from gflow.studies import Claim, Config, Entry, Figure, Study, StudyResult, option


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    slope: float = option(1.0, help="what is measured")
    rate: float = option(1.0, help="rate of the flow")
    t1: float = option(1.0, help="end")
    rtol: float = option(1e-6, help="tolerance")
    data: str = option("good", help="data", choices=("good", "nan"))
    start: str = option("good", help="w0", choices=("good", "integer", "other tree"))
    end: str = option(
        "good",
        help="end",
        choices=("good", "blow-up", "Ctrl-C", "SIGTERM", "RunInterrupted", "bug"),
    )


def draw(dataset: xarray.Dataset) -> Any:
    figure, axes = panels()
    axes[0].plot(dataset.x, dataset.y)
    return figure


def figures(config: Settings) -> tuple[Figure, ...]:
    return (Figure("line", f"y = {config.slope:g} x", draw),)


def run_fake(
    config: Settings, seed: int, report_progress: Callable[[str], None]
) -> Iterator[StudyResult]:
    """Two parts: one that measures, and one that goes wrong as told."""
    report_progress("the first part")
    x = np.arange(4.0)
    y = ("x", config.slope * x + seed)
    yield StudyResult(
        claims=(
            Claim(
                "slope",
                "y = x",
                "Euclid",
                1.0,
                config.slope,
                0.1,
                note="steeper than Euclid's",
            ),
        ),
        dataset=xarray.Dataset({"y": y}, coords={"x": x}),
        figures=figures(config),
        evidence={"first": "measured"},
    )
    report_progress("the second part")
    yield StudyResult(evidence={"second": repr(simulate(config))})


def simulate(config: Settings) -> Any:
    """A flow of w' = -rate w, or whatever else was asked for."""
    targets = {"good": jnp.zeros(1), "nan": jnp.array([jnp.nan])}[config.data]
    w0 = {
        "good": {"w": jnp.ones(1)},
        "integer": {"w": jnp.ones(1, int)},
        "other tree": [jnp.ones(1)],
    }[config.start]
    if config.end == "Ctrl-C":
        raise KeyboardInterrupt
    if config.end == "SIGTERM":
        signal.raise_signal(signal.SIGTERM)
    if config.end == "bug":
        raise ValueError("a bug of the study")
    if config.end == "blow-up":
        cube = gf.Objective(lambda w: -jnp.sum(w["w"] ** 4))
        return gf.simulate(cube, gf.GradientFlow(), w0, t1=10.0)
    problem = gf.EmpiricalRisk(
        lambda w, x: x * w["w"],
        jnp.ones(1),
        targets,
        rates={"w": config.rate},
    )
    run = gf.simulate(
        problem, gf.GradientFlow(), w0, t1=config.t1, rtol=config.rtol, atol=config.rtol
    )
    if config.end == "RunInterrupted":
        raise gf.RunInterrupted(run)
    return run


study = Study(
    Entry("fake", "A fake study", "Nobody, never", "fake_study"),
    Settings(),
    Settings(rtol=1e-8),
    run_fake,
    figures,
)


def refusal(err: str) -> str:
    """The one line of an error: no traceback, no second line but progress."""
    lines = err.splitlines()
    messages = [line for line in lines if not line.startswith("[")]
    assert len(messages) == 1, messages
    assert messages[0].startswith("gflow: ")
    return messages[0]
