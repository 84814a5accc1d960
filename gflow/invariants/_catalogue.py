"""The laws that are known, each with a model to see it on."""

from ..models import DiagonalNet, WeightNormalized
from . import _examples as examples
from ._entry import Catalogue, Entry
from ._example import Build
from ._layer_laws import LINEAR_FLOWS

_DU = "Du, Hu, Lee 2018 (arXiv 1806.00900)"
_KUNIN = "Kunin et al. 2021 (arXiv 2012.04728)"
_CHOU = "Chou, Rauhut, Ward 2023 (arXiv 2305.05448)"
_GLUCH = "Głuch, Urbanke 2021 (arXiv 2104.05508)"
_MARCOTTE = "Marcotte, Gribonval, Peyré 2024 (arXiv 2405.12888)"

_INERTIAL = ("HeavyBall", "Nesterov")


def _linear(
    formula: str,
    where: str,
    build: Build,
    reference: str = _KUNIN,
    degree: int | None = 1,
) -> Entry:
    """A law linear in w, whose Hessian is 0."""
    return Entry(
        formula,
        where,
        reference,
        degree,
        build,
        conserved_by=LINEAR_FLOWS,
        steps="stays",
        inertia="stays from rest; else h' = h'(0)/s(t)",
    )


def _momentum(
    formula: str,
    where: str,
    reference: str,
    degree: int | None,
    build: Build,
) -> Entry:
    """A law of flows with inertia."""
    return Entry(
        formula,
        where,
        reference,
        degree,
        build,
        conserved_by=_INERTIAL,
        steps="of heavy ball, moves at order sqrt(eta), their time a step",
        inertia="stays",
    )


CATALOGUE = Catalogue(
    {
        "balance": Entry(
            "W_{l+1}^T W_{l+1} - W_l W_l^T",
            "deep linear nets",
            "Arora, Cohen, Hazan 2018 (arXiv 1802.06509)",
            2,
            examples.balance,
        ),
        "neurons": Entry(
            "|out_j|^2 - |in_j|^2 - b_j^2",
            "homogeneous activations",
            _DU,
            2,
            examples.neurons,
        ),
        "neurons at rates": Entry(
            "|out_j|^2/eta_2 - |in_j|^2/eta_1",
            "homogeneous activations, two rates",
            "Razborov 2022 (arXiv 2212.02323)",
            None,
            examples.neurons_at_rates,
        ),
        "channels": Entry(
            "|out_c|^2 - |in_c|^2 - b_c^2",
            "convolutions, homogeneous activations and pooling",
            _DU,
            2,
            examples.channels,
        ),
        "attention": Entry(
            "Q Q^T + b_Q b_Q^T - K K^T - b_K b_K^T, O^T O - V V^T - b_V b_V^T",
            "each head of attention as it is, not rotary",
            "Marcotte, Gribonval, Peyré 2025 (arXiv 2506.06194)",
            2,
            examples.attention,
        ),
        "softmax": _linear(
            "sum_j W_jk, sum_j b_j", "last layer, cross-entropy", examples.softmax
        ),
        "translation": _linear("sum_i w_i", "L(w + c 1) = L(w)", examples.translation),
        "scale": Entry("|w|^2", "L(c w) = L(w)", _KUNIN, 2, examples.scale),
        "rescale": Entry(
            "|u|^2 - |v|^2", "L(c u, v/c) = L(u, v)", _KUNIN, 2, examples.rescale
        ),
        "weight norm": Entry(
            "|V_j|^2",
            "weights g V/|V|",
            "Salimans, Kingma 2016 (arXiv 1602.07868)",
            2,
            examples.weight_norm,
        ),
        "batch norm": Entry(
            "|w|^2",
            "normalized by the batch, eps = 0",
            "Cao, Zou, Li, Gu 2023 (arXiv 2306.11680)",
            2,
            examples.batch_norm,
        ),
        "diagonal": Entry(
            "u v",
            "x = u^2 - v^2",
            _CHOU,
            2,
            examples.diagonal("pair", DiagonalNet(4, 2, signed=True)),
        ),
        "diagonal, deep": Entry(
            "u^(2-L) + v^(2-L)",
            "x = u^L - v^L, L >= 3 (degree of L = 3)",
            _CHOU,
            -1,
            examples.diagonal("pair", DiagonalNet(4, 3, signed=True)),
        ),
        "diagonal, range": Entry(
            "Z^T w^(2-L), Z^T log w (L = 2)",
            "x = w^L, loss of A x, A Z = 0 (degree of L = 3)",
            _CHOU,
            -1,
            examples.diagonal("range", DiagonalNet(4, 3)),
        ),
        "diagonal, layers": Entry(
            "w_k^2 - w_l^2",
            "x = w_1 ... w_L",
            _CHOU,
            2,
            examples.diagonal("layers", DiagonalNet(4, 3, layerwise=True)),
        ),
        "diagonal, normalized": Entry(
            "u v exp(kappa r^2)/r^2",
            "x = u^2 - v^2, (u, v) = r V/|V|, rate kappa of V",
            _CHOU,
            None,
            examples.diagonal(
                "pair", WeightNormalized(DiagonalNet(4, 2, signed=True), kappa=2.0)
            ),
        ),
        "positive factors": _linear(
            "sum_i u_ik - sum_j v_kj",
            "U V, entropic mirror flow",
            examples.positive_factors,
            _MARCOTTE,
            None,
        ),
        "energy": _momentum(
            "|w'|^2/2 + L + int gamma |w'|^2 dt",
            "any; L with its weight decay",
            "Su, Boyd, Candès 2016 (arXiv 1503.01243)",
            0,
            examples.energy,
        ),
        "angular momentum": _momentum(
            "s(t) (A' A^T - A A'^T + B' B^T - B B'^T), A = [W_l b_l], B = W_{l+1}^T",
            "linear layers",
            _MARCOTTE,
            0,
            examples.rotation,
        ),
        "shift momentum": _momentum(
            "s(t) sum_i w_i'",
            "L(w + c 1) = L(w)",
            _GLUCH,
            None,
            examples.translation_momentum,
        ),
    }
)
