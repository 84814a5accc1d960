"""Part 1: effective rank of products of random matrices."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...diagnostics import rank_effective
from ...models import DeepLinear
from .._claim import Claim
from .._statistics import mean_of
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

# dim -> depth -> mean effective rank.
_PRODUCTS = {
    16: {1: 2.542, 2: 2.347, 4: 2.046, 8: 1.616, 16: 1.158},
    32: {1: 3.241, 4: 2.747, 16: 1.793, 32: 1.235},
}
# As printed with the values, but for one, whose two standard errors are known.
_TOLERANCES = {16: 0.03, 32: 0.04}
_DEEPEST = (16, 16)
_RANKS = jax.jit(rank_effective)
_SOURCE = "Huh et al. 2021, figure 1 (16x16) and figure of least squares (32x32)"


def products(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Effective rank of end-to-end maps at initialization, against depth and size."""
    num = settings.num_draws
    draws: dict[int, Float[np.ndarray, "d k"]] = {}
    for dim, known in _PRODUCTS.items():
        progress(f"products of {dim} x {dim} Gaussian matrices")
        draws[dim] = np.stack([_ranks(dim, depth, num, seed) for depth in known])
    progress("limit of the effective rank of a large Gaussian matrix")
    gaps = [
        float(np.mean(_ranks(n, 1, _enough(num, n), seed))) - math.log(n)
        for n in settings.limit_sizes
    ]
    return StudyResult(
        claims=(*_product_claims(draws), _limit_claim(settings, gaps)),
        dataset=_dataset(settings, draws, gaps),
        figures=(figure(settings),),
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "initialization",
        f"Left: distribution of the effective rank over {settings.num_draws} products "
        "of 16 x 16 Gaussian matrices, for each number of factors. Right: the "
        "mean against depth at two sizes, with one standard deviation; crosses "
        "are the values of Huh et al.",
        _draw,
    )


def _ranks(dim: int, depth: int, num: int, seed: int) -> Float[np.ndarray, " k"]:
    net = DeepLinear([dim] * (depth + 1))
    keys = jax.random.split(jax.random.key(seed + 1000 * depth + dim), num)
    draw = jax.jit(lambda key: net.end_to_end(net.init(key=key)))
    # The singular values in a program of their own, which serves every depth.
    return np.asarray(_RANKS(jnp.stack([draw(key) for key in keys])))


def _enough(num: int, size: int) -> int:
    # Singular values are rigid: the spread of the rank falls like 1/n.
    return max(8, num * 16 // size)


def _product_claims(draws: dict[int, Float[np.ndarray, "d k"]]) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    for dim, known in _PRODUCTS.items():
        for (depth, expected), found in zip(known.items(), draws[dim], strict=True):
            at = mean_of(found)
            own = (dim, depth) == _DEEPEST
            # The reference is a mean of 400.
            error = float(np.std(found, ddof=1)) / 400**0.5
            tolerance = 2 * error if own else _TOLERANCES[dim]
            claims.append(
                Claim(
                    f"init-{dim}-depth-{depth}",
                    f"Mean effective rank of a product of {depth} Gaussian "
                    f"{dim} x {dim} matrices, {at.count} draws, 95 % interval"
                    + "; tolerance: two standard errors of the reference" * own
                    + ".",
                    _SOURCE,
                    expected=expected,
                    measured=at.mean,
                    tolerance=tolerance,
                    interval=at.interval,
                    note=f"The reference is a mean of 400 draws, whose standard error, "
                    f"by the spread of these, is {error:.4f}; it lies "
                    f"{(expected - at.mean) / error:+.1f} of them off the mean here.",
                )
            )
    return tuple(claims)


def _limit_claim(settings: Settings, gaps: list[float]) -> Claim:
    largest = max(settings.limit_sizes)
    at = settings.limit_sizes.index(largest)
    return Claim(
        "init-limit",
        "The effective rank of a Gaussian n x n matrix less log n tends to that of the "
        f"quarter circle law; n = {largest}, which is off by about 1/(3n).",
        "derived: -E[(s/m) log(s/m)], s of density sqrt(4 - s^2)/pi, m = 8/(3 pi)",
        expected=-0.2169,
        measured=gaps[at],
        # Corrections fall like 1/n: -0.0137 and -0.0078 at n = 16 and 32.
        tolerance=0.3 / largest + 0.001,
    )


def _dataset(
    settings: Settings, draws: dict[int, Float[np.ndarray, "d k"]], gaps: list[float]
) -> Any:
    import xarray

    data: dict[str, Any] = {"init_limit_gap": ("init_limit_size", np.array(gaps))}
    coords: dict[str, Any] = {"init_limit_size": list(settings.limit_sizes)}
    for dim, known in _PRODUCTS.items():
        axis = f"init_depth_{dim}"
        coords[axis] = list(known)
        data[f"init_rank_{dim}"] = ((axis, "init_draw"), draws[dim])
        data[f"init_rank_{dim}_published"] = (axis, np.array(list(known.values())))
    return xarray.Dataset(data, coords=coords)


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, (left, right) = panels(2)
    bins = np.linspace(0.3, 2.8, 76)
    for depth, color in zip(dataset["init_depth_16"].values, COLORS, strict=False):
        ranks = dataset["init_rank_16"].sel(init_depth_16=depth)
        label = f"depth {depth}"
        left.hist(ranks, bins, density=True, color=color, alpha=0.7, label=label)
    left.set(xlabel="effective rank ρ", ylabel="density")
    left.set_title("Which rank does a random product have?")
    left.legend()
    for dim, color in zip((16, 32), COLORS, strict=False):
        depth = dataset[f"init_depth_{dim}"].values
        ranks = dataset[f"init_rank_{dim}"]
        mean, spread = ranks.mean("init_draw"), ranks.std("init_draw")
        right.errorbar(
            depth,
            mean,
            spread,
            fmt="o-",
            color=color,
            capsize=3,
            label=f"{dim} × {dim}",
        )
        published = dataset[f"init_rank_{dim}_published"]
        right.plot(depth, published, "x", ms=8, color="black", zorder=3)
    right.plot([], [], "x", ms=8, color="black", label="Huh et al.")
    right.set(xscale="log", xlabel="depth L", ylabel="effective rank ρ")
    label_ticks(right, (1, 2, 4, 8, 16, 32))
    right.set_title("How fast does it fall with depth?")
    right.legend()
    return figure
