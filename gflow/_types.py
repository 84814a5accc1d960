"""Vocabulary of types shared by every layer."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

# `w` in the mathematics: a pytree whose inexact-array leaves are the parameters.
# Other leaves (activation functions, None) are carried along untouched.
Params = PyTree[Any]

# A real scalar as a Python number or a 0-d array.
Scalar = Float[Array, ""]
ScalarLike = float | int | Float[ArrayLike, ""]

# The result of an observable or an invariant: one array of any fixed shape.
Measured = Shaped[Array, "..."]

# Callbacks are always `(t, w, problem)`; invariants depend on `w` alone.
Observable = Callable[[Any, Params, Any], Any]
Observables = Mapping[str, Observable]
InvariantFn = Callable[[Params], Any]
Invariants = Mapping[str, InvariantFn]
