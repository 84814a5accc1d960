"""Coefficients of ROCK4, computed from what defines them.

The stability polynomial with s stages is R(z) = w(x) P(x), normalized to R(0) = 1,
where x = a + d z maps the stability interval [-l, 0] to [-1, a]. The factor w of degree
4 has two pairs of complex zeros, and P of degree s - 4 is the orthogonal polynomial for
the weight w(x)²/√(1 - x²): then w P all but equioscillates on [-1, 1] (Bernstein), and
the three-term recurrence of the P_j makes stages of which all are bounded.

In the scale of the zeros next to x = 1, with ξ = s² (1 - x), the zeros of w are at
ξ = p ± i q and p' ± i q', and d = D/s². The five numbers p, q, p', q', D are fixed by
R^(k)(0) = 1 for k = 1..4, and |R| = 0.943 at the end x = -1. The point a that stands
for z = 0 is free; a = 1 - 1/s² makes all ripples as good as equal (the largest is then
0.943 to 0.950), and l is 0.35 s² as s grows.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from ._rock4_table import PARAMETERS

_SHIFT = -1.0
_DAMPED = 0.943
# The second and third abscissa of the finishing method, as a part of its weight.
_SECOND, _THIRD = 0.3, 0.5


class Recurrence(NamedTuple):
    """g_j = μ_j h f(g_{j-1}) + ν_j g_{j-1} + κ_j g_{j-2}, j = 1..s-4, ν + κ = 1."""

    mu: np.ndarray
    nu: np.ndarray

    @property
    def kappa(self) -> np.ndarray:
        """1 - ν."""
        return 1 - self.nu


class Finish(NamedTuple):
    """The method of four stages that follows, and the error estimate.

    Stages K_i = f(g + h Σ_j a_ij K_j), end g + h Σ b_i K_i, and error
    e_0 (g - g_m) + h Σ e_i K_i, with g the last of the recurrence and m = (s - 4)//2.
    """

    a: np.ndarray
    b: np.ndarray
    e: np.ndarray

    @property
    def c(self) -> np.ndarray:
        """The abscissae, from g."""
        return self.a.sum(axis=1)


class Table(NamedTuple):
    """All stage counts, in increasing order, ready for look-up.

    Row r has recurrence coefficients at mu[start[r] + j - 1]; `finish` stacks, for the
    stages 2, 3, 4 and the end, the weights of K_1..K_4, then those of the error, whose
    e_0 stands apart.
    """

    stages: np.ndarray
    length: np.ndarray
    start: np.ndarray
    mu: np.ndarray
    nu: np.ndarray
    finish: np.ndarray
    error_start: np.ndarray


@functools.cache
def table() -> Table:
    """The coefficients of every stage count offered."""
    stages = sorted(PARAMETERS)
    rows = [recurrence(s) for s in stages]
    ends = [finish(row) for row in rows]
    return Table(
        np.array(stages),
        np.array([length(s) for s in stages]),
        np.cumsum([0] + [len(row.mu) for row in rows[:-1]]),
        np.concatenate([row.mu for row in rows]),
        np.concatenate([row.nu for row in rows]),
        np.array([[*f.a[1:], f.b, f.e[1:]] for f in ends]),
        np.array([f.e[0] for f in ends]),
    )


def length(s: int) -> float:
    """The stability interval is [-length, 0]."""
    return (2 + _SHIFT / s**2) / PARAMETERS[s][4] * s**2


def recurrence(s: int) -> Recurrence:
    """The stages up to s - 4, normalized so that each polynomial is 1 at z = 0."""
    alpha, beta = _orthogonal(PARAMETERS[s][:4], s)
    d = PARAMETERS[s][4] / s**2
    mu, nu, ratio = [], [], np.inf
    for x, y in zip(1 + _SHIFT / s**2 - alpha, beta, strict=True):
        # P_j/P_{j-1} at z = 0, for monic P_j.
        ratio = x - y / ratio
        mu.append(d / ratio)
        nu.append(x / ratio)
    return Recurrence(np.array(mu), np.array(nu))


def _orthogonal(zeros: Any, s: int) -> tuple[np.ndarray, np.ndarray]:
    """α, β of the monic P_{j+1} = (x - α_j) P_j - β_j P_{j-1}, by Stieltjes.

    Gauss-Chebyshev quadrature in s + 8 nodes is exact for all the inner products.
    """
    theta = (np.arange(s + 8) + 0.5) * np.pi / (s + 8)
    x, xi = np.cos(theta), 2 * (s * np.sin(theta / 2)) ** 2
    p, q, p2, q2 = zeros
    weight = ((xi - p) ** 2 + q**2) * ((xi - p2) ** 2 + q2**2)
    weight = (weight / weight.max()) ** 2
    alpha, beta = [], []
    old, now, old_norm = np.zeros_like(x), np.ones_like(x), np.inf
    for _ in range(s - 4):
        norm = np.sum(weight * now**2)
        alpha.append(np.sum(weight * x * now**2) / norm)
        beta.append(norm / old_norm)
        old, now = now, (x - alpha[-1]) * now - beta[-1] * old
        old_norm = norm
    return np.array(alpha), np.array(beta)


def series(row: Recurrence) -> np.ndarray:
    """B-series weights of g_0..g_{s-4} on the trees of up to four nodes, by rows.

    Order: τ, [τ], [τ,τ], [[τ]], [τ,τ,τ], [τ,[τ]], [[τ,τ]], [[[τ]]]; the flow's are
    1, 1/2, 1/3, 1/6, 1/4, 1/8, 1/12, 1/24. The weights of h f(g) are the products of
    those of g over the branches, and the recurrence is linear.
    """
    weights = [np.zeros(8), np.zeros(8)]
    for mu, nu, kappa in zip(row.mu, row.nu, row.kappa, strict=True):
        old, g = weights[-2:]
        weights.append(mu * _branches(g) + nu * g + kappa * old)
    return np.array(weights[1:])


def _branches(g: np.ndarray) -> np.ndarray:
    t, tt, ttt, chain = g[:4]
    return np.array([1, t, t**2, tt, t**3, t * tt, ttt, chain])


def finish(row: Recurrence) -> Finish:
    """The method W after which the whole is of order 4, from that alone.

    1. What W has to add, tree by tree: with g the weights of the recurrence, W's
       moments m = (Σb, Σbc, Σbc², Σbu, Σbc³, Σbcu, Σbq, Σbv), u = Ac, q = Ac², v = Au,
       follow from Σ_i b_i (weights of K_i) = (the flow's) - g.
    2. Eight equations for ten unknowns; c₂ and c₃ are chosen. The row sums give
       b₂, b₃, b₄ from Σbc, Σbc², Σbc³ (Vandermonde).
    3. Σbq - c₂ Σbu = b₄ a₄₃ c₃ (c₃ - c₂), and Σbv = b₄ a₄₃ u₃, so
       u₃ = Σbv c₃ (c₃ - c₂)/(Σbq - c₂ Σbu).
    4. c₄ Σbu - Σbcu = b₃ u₃ (c₄ - c₃), in which b₃ by step 2 makes c₃ fall out: a
       linear equation for c₄.
    5. u₄ = (Σbu - b₃u₃)/b₄, a₃₂ = u₃/c₂, a₄₃ = Σbv/(b₄u₃), a₄₂ by u₄.
    """
    weights = series(row)
    g, middle = weights[-1], weights[(len(weights) - 1) // 2]
    m1, m2, m3, mu, m5, mcu, mq, mv = _moments(g)
    c2, c3 = _SECOND * m1, _THIRD * m1
    scale = mv / (mq - c2 * mu)
    c4 = (mcu - scale * (m5 - c2 * m3)) / (mu - scale * (m3 - c2 * m2))
    c = np.array([0, c2, c3, c4])
    b = np.zeros(4)
    b[1:] = np.linalg.solve(np.vander(c[1:], 4, increasing=True)[:, 1:].T, [m2, m3, m5])
    b[0] = m1 - b.sum()
    u3 = scale * c3 * (c3 - c2)
    u4 = (mu - b[2] * u3) / b[3]
    a43 = mv / (b[3] * u3)
    a32, a42 = u3 / c2, (u4 - a43 * c3) / c2
    a = np.zeros((4, 4))
    a[1, 0], a[2, :2] = c2, (c3 - a32, a32)
    a[3, :3] = c4 - a42 - a43, a42, a43
    e = _estimate(g, middle, c, np.array([0, 0, u3, u4]))
    return Finish(a, b, e * b[3] / e[4] if len(weights) > 2 else e)


def _moments(g: np.ndarray) -> np.ndarray:
    """Step 1, tree by tree, the weights of each K_i written out in g, c, u, q, v."""
    t, tt, ttt, chain = g[:4]
    rest = 1 / np.array([1, 2, 3, 6, 4, 8, 12, 24]) - g
    m1 = rest[0]
    m2 = rest[1] - t * m1
    m3 = rest[2] - t**2 * m1 - 2 * t * m2
    mu = rest[3] - tt * m1 - t * m2
    m5 = rest[4] - t**3 * m1 - 3 * t**2 * m2 - 3 * t * m3
    mcu = rest[5] - t * tt * m1 - (t**2 + tt) * m2 - t * m3 - t * mu
    mq = rest[6] - ttt * m1 - t**2 * m2 - 2 * t * mu
    mv = rest[7] - chain * m1 - tt * m2 - t * mu
    return np.array([m1, m2, m3, mu, m5, mcu, mq, mv])


def _estimate(
    g: np.ndarray, middle: np.ndarray, c: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """e with e_0 (g - g_m) + h Σ e_i K_i = O(h⁴): five numbers, four conditions.

    On a stiff mode all but K_4 are small, so with e_4 = b_4 the estimate is there what
    the end of the step is: R(z) times the mode, which is the true error. That is not
    so of estimates with the field at an end of the step, which come out as h ρ times
    the mode, nor with y_0 for g_m, which come out as the mode: rounding that one step
    has left in the stiff modes would then fail all the following ones. (Five stages
    have no g_m between; theirs is y_0, and e_0 = -1.4 covers the error.)
    """
    t, tt = g[0], g[1]
    stages = np.array([np.ones(4), t + c, (t + c) ** 2, tt + t * c + u])
    return -1.4 * np.append(1, np.linalg.solve(stages, (middle - g)[:4]))


def conditions(parameters: np.ndarray, s: int) -> np.ndarray:
    """R^(k)(0) - 1 for k = 1..4 and |R(-l)| - 0.943: zero at the table's rows."""
    zeros, scale = parameters[:4], parameters[4]
    alpha, beta = _orthogonal(zeros, s)
    # Taylor coefficients of P_j in s² (x - a) up to the fourth, and P_j(-1).
    old, now, old_end, end = np.zeros(5), np.eye(5)[0], 0.0, 1.0
    for x, y in zip(alpha, beta, strict=True):
        new = (1 + _SHIFT / s**2 - x) * now - y * old
        new[1:] += now[:-1] / s**2
        new_end = (-1 - x) * end - y * old_end
        old, now, old_end, end = (v / new[0] for v in (now, new, end, new_end))
    for p, q in (zeros[:2], zeros[2:]):
        p = p + _SHIFT
        factor = np.array([p**2 + q**2, 2 * p, 1])
        now = np.convolve(now, factor / factor[0])[:5]
        end *= ((2 * s**2 + _SHIFT - p) ** 2 + q**2) / factor[0]
    derivatives = now[1:] * scale ** np.arange(1, 5) * np.array([1, 2, 6, 24])
    return np.append(derivatives - 1, abs(end) - _DAMPED)


def solve(s: int, guess: np.ndarray) -> np.ndarray:
    """The five numbers for s stages, by Newton's method from those of a nearby s."""
    x = np.array(guess, float)
    for _ in range(30):
        value = conditions(x, s)
        columns = [
            (conditions(x + step, s) - conditions(x - step, s)) / (2 * step.max())
            for step in np.diag(1e-6 * np.abs(x))
        ]
        update = np.linalg.solve(np.stack(columns, axis=1), value)
        x = x - update
        if np.max(np.abs(update / x)) < 1e-12:
            return x
    raise ArithmeticError(f"no coefficients found for s = {s}")
