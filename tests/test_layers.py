"""The plan of the house: who may import whom, and what `import gflow` loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gflow"

# Each layer imports only from those before it.
LAYERS = (
    ("_types", "_results", "_versions"),
    ("_trees",),
    ("linalg",),
    ("problem",),
    ("models",),
    ("trajectory",),
    ("flows",),
    ("solvers",),
    (
        "_clocked_inside",
        "_clocked_stretch",
        "_march",
        "_position",
        "_revision",
        "_stretch",
        "_simulate",
    ),
    ("steppers",),
    ("invariants",),
    ("diagnostics",),
    ("sweeps",),
    ("plots",),
    ("studies",),
    ("_cli",),
    ("__main__",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def room(path: Path) -> str:
    """The package or top-level module of gflow to which a file belongs."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it that a run may reach: no `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(
            child.test
        )
        if not typing_only:
            yield from running(child)


def imported_modules(path: Path) -> Iterator[str]:
    """Absolute names of the gflow modules that a file imports, wherever it does."""
    package = ("gflow", *path.relative_to(PACKAGE).parent.parts)
    for node in running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *((node.module,) if node.module else ())))
            # `from . import x` may name a module or an attribute: x decides.
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "gflow")


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_layers_below(path: Path):
    """Law 1. Exempt: types, and `gflow/__init__.py`, which names all, lazily."""
    here = room(path)
    for name in imported_modules(path):
        target = name.split(".")[1]
        if target == "__version__":
            continue
        assert target in RANK, f"{path} imports {name}: say in which layer it lives"
        together = here.startswith("_") and RANK[target] == RANK[here]
        fits = target == here or RANK[target] < RANK[here] or together
        assert fits, f"{path} imports {name}"


def test_every_room_has_a_layer():
    """A new package must be given its place in the order."""
    assert {room(path) for path in FILES} <= set(RANK)


def loaded_after(statement: str, suspects: str) -> list[str]:
    """Which of the suspects a fresh interpreter has loaded after the statement."""
    code = (
        f"{statement}\n"
        f"import sys\nprint(*(m for m in {suspects!r}.split() if m in sys.modules))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return out.stdout.split()


def test_import_is_light():
    """Law 8: simulating needs no storage, no plotting, no data."""
    heavy = "xarray zarr h5netcdf matplotlib sklearn gflow.studies gflow.plots"
    assert loaded_after("import gflow; gflow.simulate", heavy) == []


def test_command_line_parser_needs_no_jax():
    """`gflow --help` and `gflow list` answer at once."""
    heavy = "jax numpy xarray matplotlib equinox diffrax"
    assert loaded_after("import gflow._cli, gflow.studies", heavy) == []


def test_import_changes_no_jax_setting():
    """Law 7: float64 is the caller's choice."""
    statement = (
        "import jax; before = dict(jax.config.values)\n"
        "import gflow; gflow.simulate; gflow.studies\n"
        "assert before == dict(jax.config.values), 'a setting changed'"
    )
    assert loaded_after(statement, "") == []
