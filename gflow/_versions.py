"""Versions of gflow and the libraries beneath it."""

import functools
import importlib.metadata
import platform


@functools.cache
def versions() -> dict[str, str]:
    """Name -> version, of gflow, Python and the libraries that make the numbers."""
    names = ("jax", "jaxlib", "diffrax", "equinox", "optax", "numpy")
    out = {"gflow": importlib.metadata.version("gflow-ode")}
    out["python"] = platform.python_version()
    return out | {name: importlib.metadata.version(name) for name in names}
