"""What every test rests on: float64, and shapes checked as gflow is called."""

import sys

import jax
from jaxtyping import install_import_hook

# The hook changes what an import yields, so it comes first of all.
assert "gflow" not in sys.modules, "gflow was imported before its shapes were checked"
install_import_hook("gflow", "typechecker.checked")

jax.config.update("jax_enable_x64", True)
