"""Execute notebooks from their sources: python notebooks/execute.py 01_first_flow

Needs the extra `dev`. The outputs hold no timings of cells and no paths.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient


def execute(source: Path) -> None:
    """Write the executed notebook beside its source."""
    notebook = jupytext.read(source)
    folder = {"metadata": {"path": str(source.parent)}}
    NotebookClient(
        notebook, timeout=600, record_timing=False, resources=folder
    ).execute()
    for number, cell in enumerate(notebook.cells):
        # Random ids would change at each execution.
        cell["id"] = f"cell-{number}"
    notebook.metadata.pop("jupytext", None)
    nbformat.validate(notebook)
    nbformat.write(notebook, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        execute(Path(__file__).parent / f"{name}.py")
