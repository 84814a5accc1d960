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
from .._statistics import half_width, worst
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
    cells: list[Float[np.ndarray, "k d"]] = []
    for width, scheme in itertools.product(settings.embedding_widths, settings.schemes):
        progress(f"embeddings of width {width}, {scheme} initialization")
        weights, inputs = _draws(settings, width, scheme, seed)
        for name in settings.activations:
            activation: Any = name
            net = FeatureNet([width] * (len(weights) + 1), activation)
            depths = tuple(settings.embedding_depths)
            ranks = np.asarray(_ranks(net, depths, weights, inputs))
            cells.append(ranks)
    dataset = _dataset(settings, np.stack(cells))
    return StudyResult(
        claims=_claims(settings, dataset),
        dataset=dataset,
        figures=(figure(settings),),
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "embeddings",
        "Effective rank of the Gram matrix of "
        f"{settings.embedding_inputs} Gaussian inputs embedded by random fully "
        f"connected nets, mean over {settings.embedding_draws} nets a point, "
        "against depth: a panel an initialization, a color an activation, at "
        f"width {max(settings.embedding_widths)}. Of curves that coincide the last is "
        "seen.",
        _draw,
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
    if len(settings.embedding_depths) == 1:
        return ()
    mean, scheme = dataset["embedding_rank"], dataset["embedding_scheme"]
    independent, orthogonal = (
        dataset.sel(embedding_scheme=keep)
        for keep in (scheme != "orthogonal", scheme == "orthogonal")
    )
    claims: list[Claim] = []
    if independent.embedding_scheme.size:
        claims.append(_falls("", "with independent entries", independent))
    if orthogonal.embedding_scheme.size:
        claims.append(
            _falls("-orthogonal", "of orthogonal matrices", orthogonal, _NOTE)
        )
    if orthogonal.embedding_scheme.size and "linear" in settings.activations:
        still = {"embedding_scheme": "orthogonal", "embedding_activation": "linear"}
        ranks = mean.sel(still)
        claims.append(
            Claim(
                "embedding-isometry",
                "Linear nets of orthogonal matrices are orthogonal at any depth, so "
                "that the rank does not move: largest change.",
                "derived: products of orthogonal matrices are orthogonal",
                expected=0.0,
                measured=worst(
                    np.ptp(ranks.transpose("embedding_depth", ...).values, axis=0)
                ),
                tolerance=1e-9,
                kind="at_most",
            )
        )
    return tuple(claims)


def _falls(suffix: str, which: str, at: Any, note: str = "") -> Claim:
    """That the change is a fall where it is the least sure to be one."""
    cells = at[["embedding_change", "embedding_change_error"]].stack(cell=_AXES[:3])
    change, error = (cells[name].values for name in cells.data_vars)
    # NaN is the largest to argmax.
    least = int(np.argmax(change + error))
    where = ", ".join(map(str, cells["cell"].values[least]))
    mean, half = float(change[least]), float(error[least])
    return Claim(
        f"embedding-depth{suffix}",
        f"The rank of the Gram matrix falls from the shallowest to the deepest net "
        f"{which}, for every activation and width: mean of the least "
        f"sure change over pairs of one draw ({where}), 95 % interval.",
        _SOURCE,
        expected=0.0,
        measured=mean,
        interval=(mean - half, mean + half) if np.isfinite(half) else None,
        kind="at_most",
        note=note,
    )


_NOTE = (
    "Depth as such does not lower the rank: products of orthogonal matrices are "
    "orthogonal, and activations that are odd and nearly linear about zero (linear, "
    "tanh, sine) then keep the angles between embeddings. What lowers it is the spread "
    "of the factors' singular values, or an activation with a mean."
)


def _dataset(settings: Settings, cells: Float[np.ndarray, "c k d"]) -> Any:
    """Means over draws, and their change with depth, of draws that share inputs."""
    import xarray

    labels = (
        settings.embedding_widths,
        settings.schemes,
        settings.activations,
        settings.embedding_depths,
    )
    shape = tuple(len(values) for values in labels)
    depths = settings.embedding_depths
    # Nets of one draw share inputs and their first layers.
    deep, shallow = (cells[:, :, depths.index(f(depths))] for f in (max, min))
    draws, change = cells.swapaxes(0, 1), (deep - shallow).T
    return xarray.Dataset(
        {
            "embedding_rank": (_AXES, draws.mean(axis=0).reshape(shape)),
            "embedding_rank_error": (_AXES, half_width(draws).reshape(shape)),
            "embedding_change": (_AXES[:3], change.mean(axis=0).reshape(shape[:3])),
            "embedding_change_error": (
                _AXES[:3],
                half_width(change).reshape(shape[:3]),
            ),
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
