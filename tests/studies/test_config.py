"""Settings: read by type, checked by range, explained."""

import dataclasses
from typing import Any

import pytest

from gflow.studies import Config, describe, option, with_settings


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    alpha: float = option(0.1, help="scale", above=0)
    depth: int = option(2, help="layers", at_least=1, at_most=9)
    signed: bool = option(False, help="both signs")
    kind: str = option("polar", help="which", choices=("polar", "standard"))
    kappas: tuple[float, ...] = option((1.0, 5.0), help="ratios", at_least=0)


def test_settings_are_read_by_the_type_of_their_field():
    """Each `name=value` becomes a value of the declared type."""
    config = with_settings(
        Settings(),
        ["alpha=1e-3", "depth=3", "signed=yes", "kind=standard", "kappas=0,2.5"],
    )
    assert config == Settings(0.001, 3, True, "standard", (0.0, 2.5))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("alpha", "--set takes name=value, not 'alpha'"),
        ("alfa=1", "no setting 'alfa'; did you mean 'alpha'.*alpha, depth, signed"),
        ("zzz=1", "no setting 'zzz'; there is alpha"),
        ("alpha=big", "alpha must be a number, not 'big'"),
        ("alpha=nan", "alpha must be finite, not nan"),
        ("alpha=0", "alpha must be > 0, not 0.0"),
        ("depth=1.5", "depth must be a whole number, not '1.5'"),
        ("depth=0", "depth must be >= 1, not 0"),
        ("depth=10", "depth must be <= 9, not 10"),
        ("signed=2", "signed must be a true or false, not '2'"),
        ("kind=cubic", "kind must be one of polar, standard, not 'cubic'"),
        ("kappas=1,-2", "kappas must be >= 0, not -2.0"),
        ("kappas=", "kappas must not be empty"),
    ],
)
def test_bad_settings_are_named(setting: str, message: str):
    """The message says what was expected and what came."""
    with pytest.raises(ValueError, match=message):
        with_settings(Settings(), [setting])


@pytest.mark.parametrize(
    "bad", [{"depth": 2.0}, {"signed": 1}, {"kappas": 1.0}, {"kind": None}]
)
def test_wrong_types_are_refused_from_python_too(bad: dict[str, Any]):
    """A config checks itself, however it is made."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        Settings(**bad)


def test_whole_numbers_are_numbers():
    """An int given for a float becomes one, so that no array turns integer."""
    assert type(Settings(alpha=1).alpha) is float


def test_description_reads_back():
    """What `describe` shows is what `--set` takes."""
    config = Settings(0.5, 4, True, "standard", (3.0,))
    shown = [f"{name}={value}" for name, value, _ in describe(config)]
    assert with_settings(Settings(), shown) == config
