"""The command line: list the studies, run one, render its report."""

import argparse
import datetime
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from . import __version__
from .studies import (
    WEIGHT_NORMALIZATION,
    catalog,
    claims_table,
    conduct,
    describe,
    entry_of,
    load,
    prepare,
    report,
    report_path,
    require_extras,
    with_settings,
    write,
)
from .studies._record import aligned

HOLDS, FAILS, USAGE, STOPPED = 0, 1, 2, 3

_ALL = "all"

_EXITS = """exit codes: 0 all claims hold, 1 a claim fails, 2 usage, 3 a run stopped
short (the parts of it that were done are written all the same)"""


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"gflow: {message} (see {self.prog} --help)\n")


class _RefusedError(Exception):
    """Something asked for that cannot be done; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _heeding_termination():
            return options.command(options)
    except _RefusedError as refused:
        print(f"gflow: {refused}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("gflow: interrupted; nothing was written", file=sys.stderr)
        return STOPPED
    # A fault of gflow. Python's own exit code for it is 1, which is taken.
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        return STOPPED


@contextmanager
def _refusing() -> Generator[None, None, None]:
    """Within the block, an error is the caller's to mend: its message says it all."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise _RefusedError(f"{where}{error.strerror or error}") from error
    except (ValueError, TypeError, ImportError) as error:
        raise _RefusedError(" ".join(str(error).split())) from error


@contextmanager
def _heeding_termination() -> Generator[None, None, None]:
    """Within the block, SIGTERM is like Ctrl-C: the parts that are done are written.

    So a scheduler or a time limit that ends a run leaves them, if it waits for the runs
    under way.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals are heeded there alone.
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        raise KeyboardInterrupt(f"by {signal.Signals(number).name}")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gflow",
        description="Gradient flow: simulate, verify, certify, compare.",
        epilog=_EXITS,
    )
    parser.add_argument("--version", action="version", version=f"gflow {__version__}")
    commands = parser.add_subparsers(required=True, metavar="list | run | report")

    listing = commands.add_parser("list", help="name, title and paper of each study")
    listing.add_argument("study", nargs="?", help="list the settings of this study")
    listing.set_defaults(command=_list)

    run = commands.add_parser("run", help="run a study", epilog=_EXITS)
    run.add_argument(
        "study",
        nargs="?",
        default=WEIGHT_NORMALIZATION.name,
        help=f"its name, or {_ALL} for one after another; default: %(default)s",
    )
    run.add_argument("--scale", choices=("smoke", "full"), default="smoke")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, again and again (gflow list STUDY shows them)",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="a new directory")
    run.add_argument("--seed", type=_seed, default=0, metavar="N")
    run.set_defaults(command=_run)

    again = commands.add_parser(
        "report", help="write the report of a run anew", epilog=_EXITS
    )
    again.add_argument("directory", type=Path, metavar="DIR")
    again.set_defaults(command=_report)
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number >= 0, not {text!r}")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    if options.study is None:
        width = max(map(len, catalog))
        for entry in catalog.values():
            print(f"{entry.name:<{width}}  {entry.title}")
            print(f"{'':<{width}}  {entry.paper}")
        return HOLDS
    with _refusing():
        study = load(options.study)
    settings = zip(describe(study.smoke), describe(study.full), strict=True)
    rows = [(name, low, high, text) for (name, low, text), (_, high, _) in settings]
    print(aligned([("setting", "smoke", "full", "meaning"), *rows]))
    return HOLDS


def _run(options: argparse.Namespace) -> int:
    if options.study != _ALL:
        return _run_one(options.study, options.out, options)[0]
    if options.set:
        raise _RefusedError("--set is for one study, not for all")
    # What is missing shows before anything has run for minutes.
    with _refusing():
        for entry in catalog.values():
            require_extras(entry)
    home = options.out or _default_directory(_ALL, options.scale)
    codes: dict[str, int] = {}
    for name in catalog:
        print(f"\n{name}")
        codes[name], interrupted = _run_one(name, home / name, options)
        if interrupted:
            break
        _forget_programs()
    print()
    words = {HOLDS: "all claims hold", FAILS: "a claim fails", STOPPED: "stopped short"}
    print(aligned([(n, words[code], str(home / n)) for n, code in codes.items()]))
    return max(codes.values())


def _run_one(
    name: str, out: Path | None, options: argparse.Namespace
) -> tuple[int, bool]:
    """Run a study and print its claims; the exit code, and whether interrupted."""
    start = time.perf_counter()
    with _refusing():
        entry_of(name)
        _enable_x64()
        study = load(name)
        config = with_settings(study.preset(options.scale), options.set)
        require_extras(study.entry)
        directory = out or _default_directory(name, options.scale)
        is_new = not directory.exists()
        prepare(directory)

    def report_progress(message: str) -> None:
        print(f"[{time.perf_counter() - start:6.1f} s] {message}", file=sys.stderr)

    try:
        with _refusing():
            conducted = conduct(
                study, config, seed=options.seed, report_progress=report_progress
            )
    except _RefusedError:
        if is_new:
            directory.rmdir()
        raise
    if conducted.is_fault:
        traceback.print_exception(conducted.error)
    report_progress("writing data, figures and report")
    chosen = {"scale": options.scale, "seed": options.seed}
    manifest = write(directory, study.entry, config, conducted, **chosen)
    interrupted = isinstance(conducted.error, KeyboardInterrupt)
    return _conclude(directory, manifest), interrupted


def _report(options: argparse.Namespace) -> int:
    with _refusing():
        manifest = report(options.directory)
    return _conclude(options.directory, manifest)


def _forget_programs() -> None:
    # A study's compiled programs take gigabytes, and the next one has its own.
    import jax

    jax.clear_caches()


def _enable_x64() -> None:
    # Before a study is imported: it may make arrays as it is.
    import jax

    jax.config.update("jax_enable_x64", True)


def _default_directory(study: str, scale: str) -> Path:
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("gflow-runs") / f"{study}-{scale}-{now}"


def _conclude(directory: Path, manifest: Mapping[str, Any]) -> int:
    """Print the claims, the outcome and where the report lies; the exit code."""
    print(claims_table(manifest))
    print(f"report: {report_path(directory)}")
    print(f"{manifest['seconds']:.1f} seconds")
    if not manifest["completed"]:
        print(f"gflow: {manifest['outcome']}", file=sys.stderr)
        return STOPPED
    return HOLDS if manifest["holds"] else FAILS
