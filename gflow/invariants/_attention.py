"""What gradient flow conserves in attention.

Of each head: q = Q x + b_Q, k = K y + b_K, v = V y + b_V, attention weights softmax of
⟨q, k⟩ over y · O the head's columns of the output layer.

1. ⟨q, k⟩ is the same for A Q, A b_Q, A^-T K, A^-T b_K with any invertible matrix A, and
   O v for A V, A b_V, O A^-1: of each symmetry of this kind a matrix stays.
2. ⟨q, b_K⟩ is the same for all y, and softmax takes no notice: b_K has no effect.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Params
from ._invariant import Invariant
from ._laws import Laws
from ._layer_laws import constant, gram
from ._layers import rows_in, rows_out
from ._places import Path, at, name

_REFERENCE = "Marcotte, Gribonval, Peyré 2025 (arXiv 2506.06194)"


def attention_laws(head: eqx.nn.MultiheadAttention, path: Path) -> Laws:
    """The laws of each head, of shape (heads, size, size), and the key's bias."""
    if head.query_proj.weight.ndim != 2:
        return Laws(notes={name(path): "its layers are stacked"})
    query, key, value, out = (
        name((*path, f"{which}_proj", "weight"))
        for which in ("query", "key", "value", "output")
    )
    laws = {
        f"{query}/{key} balance": _law(
            _query_key, path, "Q Q^T + b_Q b_Q^T - K K^T - b_K b_K^T"
        ),
        f"{value}/{out} balance": _law(_value_out, path, "O^T O - V V^T - b_V b_V^T"),
    }
    if head.use_key_bias:
        bias = (*path, "key_proj", "bias")
        laws[name(bias)] = constant(bias)
    note = "not if process_heads turns queries and keys (rotary embeddings)"
    return Laws(laws, {key_name: note for key_name in laws if key in key_name})


def _law(grams: Any, path: Path, formula: str) -> Invariant:
    return Invariant(
        eqx.Partial(_difference, grams, path),
        formula=formula,
        scale=eqx.Partial(grams, path),
        reference=_REFERENCE,
    )


def _difference(grams: Any, path: Path, w: Params) -> Array:
    first, second = grams(path, w)
    return first - second


def _query_key(path: Path, w: Params) -> Array:
    attention = at(w, path)
    return jnp.stack(
        [
            gram(_heads(rows_in(layer), attention.num_heads))
            for layer in (attention.query_proj, attention.key_proj)
        ]
    )


def _value_out(path: Path, w: Params) -> Array:
    attention = at(w, path)
    rows = (rows_out(attention.output_proj), rows_in(attention.value_proj))
    return jnp.stack([gram(_heads(x, attention.num_heads)) for x in rows])


def _heads(rows: Array, num_heads: int) -> Array:
    return rows.reshape(num_heads, -1, rows.shape[1])
