"""What every test rests on: float64, and shapes checked as gflow is called."""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

# What compiles here is small and runs once: XLA need not make it fast. (jax reads it as
# it comes in.)
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

# The hook changes what an import yields, so it comes first of all.
assert "gflow" not in sys.modules, "gflow was imported before its shapes were checked"
install_import_hook("gflow", "typechecker.checked")

jax.config.update("jax_enable_x64", True)

# Workers of pytest share the cores: the threads of LAPACK, which jax calls through
# scipy, would wait for each other.
import_module("scipy.linalg")
threadpool_limits(1, user_api="blas")

# Linux allows a process 65,530 mappings of memory, of which each compiled program takes
# some thirty: beyond them LLVM aborts.
_MAPPINGS, _MOST = Path("/proc/self/maps"), 20_000


@pytest.fixture(autouse=True, scope="module")
def programs_forgotten() -> Iterator[None]:
    """Between modules, before the programs so far fill what there is room for."""
    yield
    if _MAPPINGS.exists() and len(_MAPPINGS.read_bytes().splitlines()) > _MOST:
        jax.clear_caches()
