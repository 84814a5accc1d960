"""The conservation laws that a model's architecture brings, by looking at it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._types import Params
from ..problem import Metric, Rates, as_metric
from ._attention import attention_laws
from ._chain_laws import chain_laws, log_softmax
from ._laws import Laws
from ._layer_laws import at_rates
from ._layers import is_layer
from ._links import Stage, is_sequence, items, links
from ._model_laws import MODELS, model_laws
from ._places import Path, name, path_of


def invariants_of(model: Params, rates: Metric | PyTree[float] | None = None) -> Laws:
    """What gradient flow conserves on a model, whatever the loss of its outputs.

    Of an equinox model, layer by layer in its `Sequential`s, `MLP`s and products of
    layers (`gflow.models.expand`), wherever they stand in it:

    | name | what | where |
    |---|---|---|
    | A/B balance | BᵀB - A Aᵀ - b bᵀ, a matrix | linear between A and B |
    | A/B units | ‖B_j‖² - ‖A_j‖² - b_j², one a unit or channel | homogeneous between |
    | A norm | ‖A‖² + ‖b‖², or one a channel | A is normalized |
    | A sums | Σ_j A_jk, Σ_j b_j | the mean over channels is taken from A |
    | b | a bias | the mean over the batch is taken |
    | direction norm | ‖V_j‖² | `WeightNorm` |

    and of attention, for each head, Q Qᵀ + b bᵀ - K Kᵀ - b bᵀ and Oᵀ O - V Vᵀ - b bᵀ.
    A is a linear layer, a convolution, one of these in `WeightNorm`, or what a norm
    multiplies by. What lies between layers (activations, pooling, dropout, changes of
    shape) is tried at random inputs and not told by its name: so a function of one's
    own passes, and a norm passes where its eps is 0. Laws hold under every mask of a
    `Dropout`. Subclasses, which may call their layers in another way, are not seen as
    what they derive from.

    Of a model of `gflow.models` whose parameters are apart from it, the laws that are
    known of it, as functions of these.

    **Arguments:**

    - `model`: any tree of modules. Parts are taken to be used by calling them, and
        attention without `process_heads`.
    - `rates`: > 0, as in `gflow.Objective`.

    **Returns:** name -> invariant, with `notes`: what was left out and why.

    **Raises:** `ValueError` for a rate that is 0: a frozen layer is constant, and for
    rates of a model that has its own. `TypeError` for a metric that is not `Rates`.

    **Cost:** some evaluations of each function between layers. Between a convolution
    and a layer that takes its flattened output, inputs of equal sides to 64 are tried.

    **References:** Du, Hu, Lee 2018 (arXiv 1806.00900); Arora, Cohen, Hazan 2018 (arXiv
    1802.06509); Kunin et al. 2021 (arXiv 2012.04728); Marcotte, Gribonval, Peyré 2025
    (arXiv 2506.06194).

    ```python
    >>> import equinox as eqx, jax
    >>> from gflow.invariants import invariants_of
    >>> net = eqx.nn.MLP(2, 1, 3, 2, activation=jax.nn.relu, key=jax.random.key(0))
    >>> for name, law in invariants_of(net).items():
    ...     print(name, law(net).shape)
    layers[0].weight/layers[1].weight units (3,)
    layers[1].weight/layers[2].weight units (3,)

    ```
    """
    if isinstance(model, MODELS):
        return _at(rates, model_laws(model, has_rates=rates is not None), None)
    with jax.enable_x64(True):
        laws = _all_laws(model, ())
    return _at(rates, laws, model)


def softmax_invariants(
    model: Params, rates: Metric | PyTree[float] | None = None
) -> Laws:
    """What gradient flow conserves at the last layer under cross-entropy besides.

    A loss that is the same if a number is added to all outputs, like the cross-entropy
    of their softmax, conserves the sum over outputs of the weights from each unit and
    of the biases: Σ_j W_jk and Σ_j b_j. A model that ends in `log_softmax` has them
    whatever the loss, and `invariants_of` gives them.

    **Arguments:** `model`: a layer, or a `Sequential`, `MLP` or product of layers, that
    ends in the logits; `rates`: as in `invariants_of`.

    **Returns:** name -> invariant, with `notes`.

    **Raises:** `ValueError` for a model that has no last layer to be seen.

    **References:** Kunin et al. 2021 (arXiv 2012.04728).

    ```python
    >>> import equinox as eqx, jax
    >>> from gflow.invariants import softmax_invariants
    >>> net = eqx.nn.MLP(2, 4, 3, 1, key=jax.random.key(0))
    >>> [(name, law(net).shape) for name, law in softmax_invariants(net).items()]
    [('layers[1].weight sums', (3,)), ('layers[1].bias sums', ())]

    ```
    """
    chain = links(model)
    if not chain:
        raise ValueError(
            "expected a layer, Sequential, MLP or product of layers that ends in the "
            f"logits, not {type(model).__name__}"
        )
    with jax.enable_x64(True):
        laws = chain_laws(chain[-1:], more=(log_softmax,))
    return _at(rates, laws, model)


def _is_part(node: Any) -> bool:
    parts = (eqx.nn.MultiheadAttention, eqx.nn.Shared)
    return type(node) in parts or is_sequence(node) or is_layer(node)


def _all_laws(tree: Any, path: Path) -> Laws:
    laws = Laws()
    for keys, part in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_part):
        laws.include(_part_laws(part, (*path, *path_of(keys))))
    return laws


def _part_laws(part: Any, path: Path) -> Laws:
    if type(part) is eqx.nn.MultiheadAttention:
        return attention_laws(part, path)
    if isinstance(part, eqx.nn.Shared):
        return Laws(notes={name(path): "weights that are shared are not looked into"})
    if is_sequence(part) or is_layer(part):
        return _sequence_laws(part, path)
    return Laws()


def _sequence_laws(part: Any, path: Path) -> Laws:
    laws = chain_laws(links(part, path))
    if is_layer(part):
        laws.notes[name(path)] = "what follows it is not known, as it is in no sequence"
    if type(part) is eqx.nn.MLP and part.scan:
        laws.notes[name(path)] = "its layers are stacked: make it with scan=False"
    for stage in items(part, path):
        if (
            isinstance(stage, Stage)
            and not is_layer(stage.module)
            and stage.module is not part
        ):
            laws.include(_all_laws(stage.module, stage.path))
    return laws


def _at(rates: Any, laws: Laws, model: Params | None) -> Laws:
    """The laws under rates."""
    metric = as_metric(rates)
    if metric is None:
        return laws
    if not isinstance(metric, Rates):
        raise TypeError(f"laws are known of rates, not of {type(metric).__name__}")
    if not all(float(np.asarray(x)) > 0 for x in jax.tree.leaves(metric.prefix)):
        raise ValueError("rates must be > 0: what is frozen is constant by itself")
    if model is not None:
        metric.check(eqx.filter(model, eqx.is_inexact_array))
    roots = jax.tree.map(jnp.sqrt, metric.prefix)
    return Laws({k: at_rates(roots, law) for k, law in laws.items()}, laws.notes)
