"""Part 2: effective rank of the Gram matrices of random embeddings."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...diagnostics import rank_effective
from ...models import FeatureNet, gram_matrix
from .._claim import Claim
from .._statistics import half_width
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_SOURCE = "Huh et al. 2021: at initialization, whatever activation and initialization"
_AXES = (
    "embedding_width",
    "embedding_scheme",
    "embedding_activation",
    "embedding_depth",
)


def embeddings(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Rank of Gram matrices over depth, activation, initialization and width."""
    cells: list[Float[np.ndarray, "2 d"]] = []
    for width, scheme in itertools.product(settings.embedding_widths, settings.schemes):
        progress(f"embeddings of width {width}, {scheme} initialization")
        weights, inputs = _draws(settings, width, scheme, seed)
        for name in settings.activations:
            activation: Any = name
            net = FeatureNet([width] * (len(weights) + 1), activation)
            depths = tuple(settings.embedding_depths)
            ranks = np.asarray(_ranks(net, depths, weights, inputs))
            cells.append(np.stack([ranks.mean(axis=0), half_width(ranks)]))
    dataset = _dataset(settings, np.stack(cells, axis=1))
    return StudyResult(
        claims=_claims(settings, dataset),
        dataset=dataset,
        figures=(
            Figure(
                "embeddings",
                "Effective rank of the Gram matrix of "
                f"{settings.embedding_inputs} Gaussian inputs embedded by random fully "
                f"connected nets, mean over {settings.embedding_draws} nets a point, "
                "against depth: a panel an initialization, a color an activation, at "
                f"width {max(settings.embedding_widths)}.",
                _draw,
            ),
        ),
    )


def _draws(
    settings: Settings, width: int, scheme: Any, seed: int
) -> tuple[list[Any], Any]:
    """Weights of the deepest net and inputs, both with the draws leading."""
    num, depth = settings.embedding_draws, max(settings.embedding_depths)
    for_net, for_inputs = jax.random.split(jax.random.key(seed))
    # One layer at a time, all of one shape: one small program draws them all.
    layer = FeatureNet([width, width])
    draw = jax.jit(lambda keys: jax.vmap(lambda k: layer.init(scheme, key=k)[0])(keys))
    weights = [draw(keys) for keys in jax.random.split(for_net, (depth, num))]
    shape = (num, settings.embedding_inputs, width)
    return weights, jax.random.normal(for_inputs, shape, float)


@eqx.filter_jit
def _ranks(net: FeatureNet, depths: tuple[int, ...], weights: Any, inputs: Any) -> Any:
    """Effective rank at each depth, of shape (draws, depths)."""

    def one(drawn: Any) -> Any:
        w, x = drawn
        found = net.layers(w, x)
        # E Eᵀ and EᵀE have the same singular values but for zeros.
        smaller = [e if len(e) <= e.shape[1] else e.T for e in found]
        return rank_effective(jnp.stack([gram_matrix(smaller[d - 1]) for d in depths]))

    return jax.lax.map(one, (weights, inputs))


def _claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    mean, error = dataset["embedding_rank"], dataset["embedding_rank_error"]
    deep, shallow = max(settings.embedding_depths), min(settings.embedding_depths)
    change = mean.sel(embedding_depth=deep) - mean.sel(embedding_depth=shallow)
    # The errors of both ends are halves of 95 % intervals.
    errors = error.sel(embedding_depth=[shallow, deep])
    change = change + np.sqrt((errors**2).sum("embedding_depth"))
    scheme = change["embedding_scheme"]
    independent, orthogonal = (
        change.where(keep, drop=True)
        for keep in (scheme != "orthogonal", scheme == "orthogonal")
    )
    claims: list[Claim] = []
    if independent.size:
        claims.append(_falls("", "with independent entries", independent))
    if orthogonal.size:
        claims.append(
            _falls("-orthogonal", "of orthogonal matrices", orthogonal, _NOTE)
        )
    if orthogonal.size and "linear" in settings.activations:
        still = {"embedding_scheme": "orthogonal", "embedding_activation": "linear"}
        ranks = mean.sel(still)
        claims.append(
            Claim(
                "embedding-isometry",
                "Linear nets of orthogonal matrices are orthogonal at any depth, so "
                "that the rank does not move: largest change.",
                "derived: products of orthogonal matrices are orthogonal",
                expected=0.0,
                measured=float(
                    (ranks.max("embedding_depth") - ranks.min("embedding_depth")).max()
                ),
                tolerance=1e-9,
                kind="at_most",
            )
        )
    return tuple(claims)


def _falls(suffix: str, which: str, change: Any, note: str = "") -> Claim:
    """That the largest change over activations and widths is a fall."""
    where = change.where(change == change.max(), drop=True)
    worst = ", ".join(str(where[axis].values[0]) for axis in _AXES[:3])
    holds = float(change.max()) <= 0
    return Claim(
        f"embedding-depth{suffix}",
        f"The rank of the Gram matrix falls from the shallowest to the deepest net "
        f"{which}, for every activation and width: upper end of the 95 % "
        f"interval of the largest change ({worst}).",
        _SOURCE,
        expected=0.0,
        measured=float(change.max()),
        kind="at_most",
        note="" if holds else note,
    )


_NOTE = (
    "Depth as such does not lower the rank: products of orthogonal matrices are "
    "orthogonal, and activations that are odd and nearly linear about zero (linear, "
    "tanh, sine) then keep the angles between embeddings. What lowers it is the spread "
    "of the factors' singular values, or an activation with a mean."
)


def _dataset(settings: Settings, cells: Float[np.ndarray, "2 k d"]) -> Any:
    import xarray

    labels = (
        settings.embedding_widths,
        settings.schemes,
        settings.activations,
        settings.embedding_depths,
    )
    grids = cells.reshape(2, *(len(values) for values in labels))
    return xarray.Dataset(
        {
            "embedding_rank": (_AXES, grids[0]),
            "embedding_rank_error": (_AXES, grids[1]),
        },
        coords={axis: list(values) for axis, values in zip(_AXES, labels, strict=True)},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    schemes = dataset["embedding_scheme"].values
    figure, axes = panels(len(schemes), sharey=True)
    widest = dataset.sel(embedding_width=dataset["embedding_width"].max())
    depth = dataset["embedding_depth"].values
    for ax, scheme in zip(axes, schemes, strict=True):
        for name, color in zip(
            dataset["embedding_activation"].values, COLORS, strict=False
        ):
            at = {"embedding_scheme": scheme, "embedding_activation": name}
            mean = widest["embedding_rank"].sel(at)
            error = widest["embedding_rank_error"].sel(at)
            label = str(name).replace("_", " ")
            ax.errorbar(depth, mean, error, fmt="o-", color=color, label=label)
        ax.set(xscale="log", xlabel="depth L", ylabel="effective rank ρ of the Gram")
        label_ticks(ax, depth)
        ax.set_title(f"Does rank fall with depth? ({scheme})")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure
