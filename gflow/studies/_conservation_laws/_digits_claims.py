"""What is claimed of the laws of a net that learns digits."""

from typing import Any

import numpy as np

from ...invariants import Discovery
from .._claim import Claim
from .._statistics import order, worst
from ._settings import Settings

_DU = "Du, Hu, Lee 2018 (arXiv 1806.00900), theorem 2.1"
_KUNIN = "Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka 2021 (arXiv 2012.04728)"


def flow_claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    """Of the flow: what is kept, and what is not."""
    ratios = dataset["digits_flow_neurons"] / dataset["rtol"]
    wrong = dataset["digits_flow_without_bias"].values
    rtols = np.array(settings.digits_rtols)
    told = (
        f"{settings.digits_width} units, {settings.digits_samples} digits, to t = "
        f"{settings.digits_t1:g}"
    )
    return (
        Claim(
            "digits-neurons",
            f"The law of each unit drifts by no more than the tolerance explains "
            f"({told}): drift over rtol, the worst of {len(ratios)} tolerances.",
            _DU,
            expected=10.0,
            measured=worst(ratios),
            kind="at_most",
        ),
        Claim(
            "digits-forgotten-bias",
            "Without b_j^2 it is no law: its drift does not fall with the tolerance. "
            "Drift at the tightest rtol over that at the loosest.",
            _DU,
            expected=1.0,
            measured=float(wrong[rtols.argmin()] / wrong[rtols.argmax()]),
            tolerance=0.01,
        ),
        Claim(
            "digits-sums",
            "The sums of the columns of the last layer, and of its biases, are kept to "
            "round-off at any tolerance, as they are linear: worst relative drift.",
            _KUNIN,
            expected=1e-12,
            measured=worst(dataset["digits_flow_sums"]),
            kind="at_most",
        ),
    )


def descent_claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    """Of gradient descent: what it breaks, and by how much."""
    moved, predicted = dataset["digits_gd_moved"], dataset["digits_gd_predicted"]
    least = int(np.argmin(settings.digits_etas))
    off = np.linalg.norm(moved - predicted, axis=1) / np.linalg.norm(predicted, axis=1)
    return (
        Claim(
            "digits-descent-order",
            "Gradient descent breaks the law of each unit at first order in eta: "
            f"fitted power, to t = {settings.digits_steps_t1:g}.",
            "derived",
            expected=1.0,
            measured=order(settings.digits_etas, np.linalg.norm(moved, axis=1)),
            tolerance=0.1,
        ),
        Claim(
            "digits-descent-predicted",
            "Gradient descent changes the law h_j of each unit by eta times the "
            "integral of h_j(grad L) along the flow: relative difference, over the "
            f"units, at eta = {settings.digits_etas[least]:g}. On a slide the gradient "
            "is one side's, which costs about a percent.",
            "derived",
            expected=0.05,
            measured=float(off[least]),
            kind="at_most",
        ),
        Claim(
            "digits-descent-sums",
            "Gradient descent keeps the sums to round-off: worst relative drift.",
            _KUNIN,
            expected=1e-12,
            measured=worst(dataset["digits_gd_sums"]),
            kind="at_most",
        ),
    )


def found_claim(settings: Settings, found: Discovery) -> Claim:
    """Of the search: as many laws as units."""
    first = found.laws[0].formula if found.laws else "none"
    return Claim(
        "digits-found",
        f"Of the net's {found.count.dimension} parameters, under random inputs, a "
        f"search without hints finds one law a unit ({found.verdict}): {first}.",
        "Marcotte, Gribonval, Peyré 2023 (arXiv 2307.00144)",
        expected=settings.digits_width,
        measured=len(found.laws) if found.is_complete else np.nan,
    )
