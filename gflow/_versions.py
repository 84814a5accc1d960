"""Versions of gflow and the libraries beneath it."""

import functools
import importlib.metadata
import platform

from . import __version__


@functools.cache
def versions() -> dict[str, str]:
    """Name -> version, of gflow, Python and the libraries that make the numbers."""
    names = ("jax", "jaxlib", "diffrax", "equinox", "optax", "numpy")
    out = {"gflow": __version__}
    out["python"] = platform.python_version()
    return out | {name: importlib.metadata.version(name) for name in names}
