"""The settings of a study: typed, explained, and checked when they are made."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

_Config = TypeVar("_Config", bound="Config")

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMES = {float: "number", int: "whole number", bool: "true or false", str: "text"}


def option(
    default: Any,
    *,
    help: str,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """One field of a `Config`: its default, what it means, and its range.

    Bounds and choices hold for each entry of a tuple.
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    limits = {name: value for name, value in bounds.items() if value is not None}
    return dataclasses.field(
        default=default, metadata={"help": help, "limits": limits, "choices": choices}
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """What a study can be asked; subclass it as a frozen dataclass of options.

    Fields are float, int, bool, str, or tuples of one of them (`tuple[float, ...]`).

    **Raises:** `ValueError` on making one whose field has a wrong type, is not finite,
    or lies outside its range.

    ```python
    >>> import dataclasses
    >>> from gflow.studies import Config, option
    >>> @dataclasses.dataclass(frozen=True)
    ... class Mine(Config):
    ...     alpha: float = option(0.1, help="initialization scale", above=0)
    >>> Mine(alpha=-1.0)
    Traceback (most recent call last):
      ...
    ValueError: alpha must be > 0, not -1.0

    ```
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            checked = _checked(field, hints[field.name], value)
            object.__setattr__(self, field.name, checked)


def _checked(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """The value in its declared type, or `ValueError`."""
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (tuple, list)):
            raise ValueError(f"{field.name} must be a tuple, not {value!r}")
        if not value:
            raise ValueError(f"{field.name} must not be empty")
        kind = typing.get_args(hint)[0]
        entries = tuple(_checked(field, kind, entry) for entry in value)
        if len(set(entries)) < len(entries):
            raise ValueError(f"{field.name} must not name a value twice: {value!r}")
        return entries
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ValueError(f"{field.name} must be a {_NAMES[hint]}, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{field.name} must be finite, not {value}")
    _check_range(field, value)
    return value


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    limits, choices = field.metadata.get("limits", {}), field.metadata.get("choices")
    for name, sign, fits in (
        ("above", ">", lambda bound: value > bound),
        ("at_least", ">=", lambda bound: value >= bound),
        ("below", "<", lambda bound: value < bound),
        ("at_most", "<=", lambda bound: value <= bound),
    ):
        if name in limits and not fits(limits[name]):
            raise ValueError(
                f"{field.name} must be {sign} {limits[name]}, not {value!r}"
            )
    if choices is not None and value not in choices:
        known = ", ".join(map(str, choices))
        raise ValueError(f"{field.name} must be one of {known}, not {value!r}")


def with_settings(config: _Config, settings: Sequence[str]) -> _Config:
    """`config` with each `name=value` read by its field's type.

    Entries of a tuple are separated by commas.

    **Raises:** `ValueError` for an unknown name, naming those that exist, and for a
    value that cannot be read or is out of range.
    """
    hints = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set takes name=value, not {setting!r}")
        if name not in hints:
            raise ValueError(f"no setting {name!r}{suggestion(name, list(hints))}")
        changes[name] = _read(name, text, hints[name])
    return dataclasses.replace(config, **changes)


def suggestion(name: str, known: Sequence[str]) -> str:
    """The tail of a message on an unknown name: the nearest one, then all."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} there is {', '.join(known)}"


def _read(name: str, text: str, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        kind = typing.get_args(hint)[0]
        return tuple(_read(name, part, kind) for part in text.split(",") if part)
    try:
        if hint is bool:
            return _WORDS[text.strip().lower()]
        return hint(text.strip())
    except (KeyError, ValueError):
        raise ValueError(f"{name} must be a {_NAMES[hint]}, not {text!r}") from None


def require_directory(setting: str, path: str, *files: str) -> None:
    """Raise `ValueError`, naming the setting, unless all is there, or there as .gz."""
    if not Path(path).is_dir():
        raise ValueError(f"{setting}: there is no directory {path}")
    for file in files:
        if not any((Path(path) / f"{file}{end}").is_file() for end in ("", ".gz")):
            raise ValueError(f"{setting}: there is no {file} in {path}")


def describe(config: Config) -> list[tuple[str, str, str]]:
    """Name, value as `--set` takes it, and help of every setting."""
    return [
        (field.name, _shown(getattr(config, field.name)), field.metadata["help"])
        for field in dataclasses.fields(config)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(entry) for entry in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
