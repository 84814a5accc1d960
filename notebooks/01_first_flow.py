# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Of all the answers that fit, which one does gradient flow choose?
#
# Twenty equations for forty unknowns have infinitely many solutions. Train a model on
# them and it ends at one of them. Which one depends on the path that training takes,
# and in the limit of small steps that path is the **gradient flow**
#
# $$\frac{dw}{dt} = -\nabla L(w).$$
#
# Here we simulate such a flow, check that the simulation can be trusted, see how fast
# it converges, compare gradient descent with it, and then change one thing about the
# model and watch it choose a better answer.

# %%
# %matplotlib inline
import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gflow as gf

# %% [markdown]
# ## The problem
#
# The unknown vector $x$ has 40 entries, of which three are not zero: 1, 0.7 and 0.5. We
# see $y = Ax$ for a random $A$ with 20 rows. The model writes $x = u^2 - v^2$, entry by
# entry, a network with two layers of weights and no nonlinearity. Any function of any
# nested structure of arrays can be a loss.

# %%
data = gf.models.sparse_p1()
A, y, x_true = jnp.asarray(data.A), jnp.asarray(data.y), data.x_true


def loss(w):
    return 0.5 * jnp.sum((A @ (w["u"] ** 2 - w["v"] ** 2) - y) ** 2)


problem = gf.Objective(loss)
w0 = {"u": jnp.full(40, 0.1), "v": jnp.full(40, 0.1)}

# %% [markdown]
# ## Simulate it
#
# Along this flow $u$ and $v$ change, but the product of each pair $u_i v_i$ does not.
# We say so, and gflow measures how far it moved. The run ends at time 10,000, or as
# soon as the loss is below $10^{-12}$.

# %%
run = gf.simulate(
    problem,
    gf.GradientFlow(),
    w0,
    t1=1e4,
    rtol=1e-8,
    atol=1e-11,
    stops=[gf.LossBelow(1e-12)],
    invariants={"uv": lambda w: w["u"] * w["v"]},
)
print(run)

# %% [markdown]
# Printing a run shows the evidence for it. Two lines matter most. The *energy* line: a
# gradient flow loses loss at exactly the rate $\|\nabla L\|^2$; gflow integrates that
# rate along the way and compares it with the loss really lost. The *invariant* line:
# what must not move, hardly moved. Neither trusts the solver's own estimate of its
# error.

# %%
with gf.plots.style():
    figure, (left, right) = gf.plots.panels(2)
    gf.plots.plot_loss(run, left).set_title("Loss along the flow")
    gf.plots.plot_drift(run, right).set_title("How far u v moved")
figure

# %% [markdown]
# ## How does it converge?
#
# Plot the gradient's norm against the loss. Near the end the points lie on a straight
# line on logarithmic axes, $\|\nabla L\| = c\,(L - L^*)^\theta$; the slope $\theta$ is
# the Łojasiewicz exponent. One half means that the loss falls exponentially; anything
# above means a power of time.

# %%
fit = gf.diagnostics.lojasiewicz(run)
print(fit)
print(gf.diagnostics.rate(run))

# %%
with gf.plots.style():
    figure, (ax,) = gf.plots.panels(1)
    gf.plots.plot_convergence(run, ax, fit=fit).set_title("Gradient against loss")
figure

# %% [markdown]
# ## Does gradient descent follow the flow?
#
# After $k$ steps of size $\eta$ gradient descent stands near the flow at time
# $t = \eta k$. How near?

# %%
gd = gf.iterate(problem, gf.gradient_descent(eta=1e-2), w0, num_steps=10_000)
print(gf.compare(run, gd))

# %% [markdown]
# The gap is small, and theory says that it halves with the step. Five step sizes, each
# run to $t = 100$ and saved at the same times:

# %%
etas = [0.16, 0.08, 0.04, 0.02, 0.01]
times = 0.16 * np.unique(np.geomspace(1, 625, 40).round())
runs = [
    gf.iterate(
        problem,
        gf.gradient_descent(eta),
        w0,
        num_steps=round(100 / eta),
        save=gf.Save.at(times),
    )
    for eta in etas
]
comparison = gf.compare(run, runs)
print(comparison)

# %%
with gf.plots.style():
    figure, (left, right) = gf.plots.panels(2)
    for gap in comparison.gaps:
        left.plot(gap.ts[1:], gap.params[1:])
        left.text(115, gap.params[-1], f"η = {gap.eta:g}", va="center")
    left.set(xscale="log", yscale="log", xlabel="time t", ylabel="gap in parameters")
    left.set_xlim(0.1, 1000)
    left.set_title("Gap to the flow in time")
    gaps = [gap.params[-1] for gap in comparison.gaps]
    gf.plots.plot_comparison(etas, gaps, right, label="gap at t = 100", order=1.0)
    right.set_title("Gap to the flow against step size")
figure

# %% [markdown]
# ## Which answer was chosen?
#
# The flow fits the data. But is its $x$ the sparse one that made them? The yardstick is
# the solution with the least sum of absolute values, found by linear programming; here
# it is the true one.

# %%
net = gf.models.DiagonalNet(40, signed=True)
x_l1 = gf.models.l1_minimizer(A, y)


def distance(x):
    return np.linalg.norm(x - x_true) / np.linalg.norm(x_true)


x_flow = net.effective(run.w1)
print(f"least l1 norm: distance to the truth {distance(x_l1):.1e}")
print(f"flow:          distance to the truth {distance(x_flow):.1e}")

# %% [markdown]
# It is not. Started from $u = v = 0.1$ the flow spreads itself over entries that should
# be zero. A tiny start would help, but it is slow, and in practice nobody starts that
# small.
#
# So change one thing: **weight normalization**. Write the weights $w = (u, v)$ as a
# length times a direction, $w = r\,V/\|V\|$, and let the flow act on $r$ and $V$, the
# direction ten times as fast ($\kappa = 10$). The model can express the same $x$ as
# before, and it starts at the same place. This flow is stiff; the plan that is printed
# says from when, and how it was integrated.

# %%
normalized = gf.models.WeightNormalized(net, kappa=10.0)
s0 = normalized.init(0.1)
wn_run = gf.simulate(
    normalized.problem(A, y),
    gf.GradientFlow(),
    s0,
    t1=1e4,
    rtol=1e-8,
    atol=1e-11,
    stops=[gf.LossBelow(1e-12)],
    invariants=gf.invariants.diagonal_invariants(normalized, A, s0),
)
print(wn_run)

# %% [markdown]
# Both limits can also be had without any simulation: the conserved quantities leave
# twenty unknowns, and Newton's method finds them. That gives each flow something to
# agree with.

# %%
x_wn = normalized.effective(wn_run.w1)
rows = {
    "plain flow": (x_flow, gf.models.diagonal_limit(net, A, y, w0).x),
    "normalized flow": (x_wn, gf.models.diagonal_limit(normalized, A, y, s0).x),
}
print(f"{'':16} {'to the truth':>13} {'to its predicted limit':>23} {'l1 norm':>9}")
for name, (x, limit) in rows.items():
    to_limit = np.linalg.norm(x - limit) / np.linalg.norm(limit)
    norm = np.sum(np.abs(x))
    print(f"{name:16} {distance(x):13.1e} {to_limit:23.1e} {norm:9.5f}")
print(f"{'least l1 norm':16} {distance(x_l1):13.1e} {'':23} {np.abs(x_l1).sum():9.5f}")

# %%
with gf.plots.style():
    figure, axes = gf.plots.panels(2, sharey=True)
    for ax, (name, (x, limit)) in zip(axes, rows.items(), strict=True):
        ax.plot(x_l1, "o", color="black", fillstyle="none", ms=9, label="least ℓ1 norm")
        ax.plot(limit, "+", color=gf.plots.COLORS[1], ms=9, label="predicted limit")
        ax.plot(x, ".", color=gf.plots.COLORS[0], label="end of the flow")
        ax.set(xlabel="entry of x", title=name.capitalize())
        ax.legend()
    axes[0].set_ylabel("value")
figure

# %% [markdown]
# From the same start, the normalized flow comes within half a percent of the sparse
# answer. Does it help from any start? The predicted limits tell, without simulating
# anything.

# %%
print(f"{'start':>6} {'plain':>9} {'normalized':>11}")
for alpha in (0.01, 0.05, 0.1, 0.2, 0.3):
    limits = (
        gf.models.diagonal_limit(model, A, y, model.init(alpha)).x
        for model in (net, normalized)
    )
    plain, wn = (distance(x) for x in limits)
    print(f"{alpha:6} {plain:9.1e} {wn:11.1e}")

# %% [markdown]
# From small starts it helps a great deal, from large ones hardly at all. Normalization
# acts like a start scaled by $(r_\infty/r_0)\,e^{-\kappa (r_\infty^2 - r_0^2)/2}$, if
# the length of the weights goes from $r_0$ to $r_\infty$. The sparse answer has
# $r_\infty^2 = 2.2$. From 0.1 the length grows, as $r_0^2 = 0.8$; from 0.2 it has no
# room to grow, as $r_0^2 = 3.2$.
#
# ## What was learnt
#
# - A flow is simulated in one line, and the run that comes back says how far to trust
#   it: energy balance, drift of what is conserved, cost.
# - On this problem the loss falls exponentially in the end, and the Łojasiewicz
#   exponent is one half.
# - Gradient descent stays near the flow, at a distance proportional to its step size.
# - Which of the many fitting answers is chosen depends on the coordinates in which the
#   flow moves. Plain weights from 0.1 end far from the sparse answer; normalized
#   weights from the same start end close to it, as long as their length has room to
#   grow.
