"""Claims of gradient flow in classification, plain against factors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._claim import Claim
from .._statistics import paired, worst
from ._settings import Settings


def difference_claims(
    settings: Settings, ends: Mapping[tuple[int, int], Any], depth: int
) -> list[Claim]:
    """Ranks and accuracies of the deepest nets against the plain ones."""
    seeds = range(settings.flow_seeds)

    def more(name: str) -> np.ndarray:
        deep, plain = (
            np.array([getattr(ends[d, s], name) for s in seeds]) for d in (depth, 1)
        )
        return deep - plain

    rank, gain = paired(more("rank")), paired(100 * more("accuracy"))
    return [
        Claim(
            "expansion-flow-rank",
            f"Under gradient flow, from one function to one loss, {depth} factors a "
            "layer end at an embedding of lower effective rank: mean difference to "
            "the plain net, 95 % interval.",
            "Huh et al. 2021 (arXiv 2103.10427), section 6",
            expected=0.0,
            measured=rank.mean,
            interval=rank.interval,
            kind="at_most",
        ),
        Claim(
            "expansion-flow-accuracy",
            f"So do they classify test digits better: mean gain of {depth} factors in "
            "percentage points, 95 % interval.",
            "Huh et al. 2021 (arXiv 2103.10427), section 6",
            expected=0.0,
            measured=gain.mean,
            interval=gain.interval,
            kind="at_least",
            note=_accuracy_note(rank.mean, gain.high),
        ),
    ]


def _accuracy_note(rank: float, high: float) -> str:
    found = "The gain is negative" if high < 0 else "The interval holds 0"
    return (
        f"{found}, while the rank changes by {rank:+.2f}: on these images and at "
        "this loss, lower rank does not go with better test accuracy."
        if rank < 0
        else f"{found}, and the rank is no lower."
    )


def law_claims(
    settings: Settings,
    ends: Mapping[tuple[int, int], Any],
    depths: tuple[int, ...],
) -> list[Claim]:
    """Balance along the flows, and their times."""
    drifts = [end.drift for (depth, _), end in ends.items() if depth > 1]
    times = np.array(
        [[ends[d, s].time for d in depths] for s in range(settings.flow_seeds)]
    )
    return [
        Claim(
            "expansion-flow-balanced",
            "The factors stay balanced along the flow: largest drift of "
            "W_{l+1}^T W_{l+1} - W_l W_l^T - b_l b_l^T relative to its terms.",
            "Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1",
            expected=0.0,
            measured=worst(drifts),
            # Errors of the steps add up, mostly with either sign.
            tolerance=10 * settings.flow_rtol,
            kind="at_most",
        ),
        Claim(
            "expansion-flow-time",
            f"In flow time {depths[-1]} factors are faster: largest ratio over seeds "
            "of the times at which the loss is reached.",
            "Arora, Cohen, Hazan 2018 (arXiv 1802.06509): acceleration by depth",
            expected=1.0,
            measured=worst(times[:, -1] / times[:, 0]),
            kind="at_most",
        ),
    ]


def descent_claim(order: float) -> Claim:
    """Order of gradient descent beside the flow."""
    return Claim(
        "expansion-flow-descent",
        "Gradient descent on the factors follows their flow at first order in the "
        "step size: order of the distance at the flow's end.",
        "derived: Euler's method",
        expected=1.0,
        measured=order,
        tolerance=0.15,
    )
