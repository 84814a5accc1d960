"""The laws of layers that stand one behind the other."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import numpy as np
from jaxtyping import Array

from ._laws import Laws
from ._layer_laws import balance, constant, direction_norm, norm, sums, units
from ._layers import NORMS, bare, is_normalized, is_scaled_norm, mixes, weight_name
from ._links import Link, Stage
from ._places import Path, name
from ._probe import Segment, invariances, passage, segment

_NEXT_NORMALIZED = (
    "the weights out are normalized, each row by what all units put into it: scaling "
    "those of a unit conserves nothing"
)


def _log_softmax(_: None, z: Array) -> Array:
    return jax.nn.log_softmax(z, axis=1)


log_softmax = Stage((), None, _log_softmax)


def chain_laws(chain: Sequence[Link], *, more: tuple[Stage, ...] = ()) -> Laws:
    """Of each layer and of each two neighbors; `more` stages follow the last."""
    laws = Laws()
    for link, then in pairwise([*chain, None]):
        assert link is not None
        if is_normalized(link.layer):
            law = direction_norm(link.path, link.layer.axis)
            laws[f"{name((*link.path, 'layer', 'weight'))} norm"] = law
        try:
            between = segment(link, then, () if then else more)
        except ValueError as error:
            laws.notes[name(link.path)] = str(error)
            continue
        laws.include(_alone(link, between))
        if then is not None and not is_scaled_norm(then.layer):
            laws.include(_neighbors(link, then, between))
    return laws


def _alone(link: Link, between: Segment) -> Laws:
    """What stays because the rest of the model takes no notice of a change of it."""
    laws, holds = Laws(), invariances(between)
    weight, layer = _weight(link), link.layer
    if is_normalized(layer) and layer.axis != 0:
        laws.notes[f"{name(weight)} norm"] = (
            "the lengths of a WeightNorm along another axis than 0 are no channel's"
        )
    elif "scale of each" in holds or "scale" in holds:
        law = norm(link.path, each="scale of each" in holds)
        laws[f"{name(weight)} norm"] = law
    has_bias = bare(layer).bias is not None
    bias = (*link.path, *(("layer",) if is_normalized(layer) else ()), "bias")
    if "shift" in holds and mixes(layer):
        laws[f"{name(weight)} sums"] = sums(weight)
    if "shift of each" in holds and has_bias:
        laws[name(bias)] = constant(bias)
    elif "shift" in holds and has_bias:
        laws[f"{name(bias)} sums"] = sums(bias)
    norms = [x.module for x in link.after if isinstance(x.module, NORMS)]
    if any(x.eps > 0 for x in norms) and not holds & {"scale", "scale of each"}:
        laws.notes[f"{name(weight)} norm"] = (
            "the eps of a norm gives the length of its input an effect; with 0 it stays"
        )
    return laws


def _neighbors(link: Link, then: Link, between: Segment) -> Laws:
    """What stays because scaling a unit into and out of it cancels."""
    place = f"{name(_weight(link))}/{name(_weight(then))}"
    if is_normalized(then.layer):
        return Laws(notes={place: _NEXT_NORMALIZED})
    if is_normalized(link.layer) and link.layer.axis != 0:
        return Laws(notes={place: "the units below share a length in WeightNorm"})
    through = passage(between, then)
    if through is None:
        return Laws(notes={place: "what lies between does not scale with each unit"})
    may_mix = mixes(link.layer) and mixes(then.layer)
    if through.is_linear and may_mix:
        order = np.argsort(through.sources, kind="stable")
        law = balance(link.path, then.path, order)
        return Laws({f"{place} balance": law})
    law = units(link.path, then.path, through.sources)
    laws = Laws({f"{place} units": law})
    if through.is_linear:
        laws.notes[f"{place} balance"] = (
            "the diagonal only: groups or weights of single channels do not mix"
        )
    return laws


def _weight(link: Link) -> Path:
    return (*link.path, weight_name(link.layer))
