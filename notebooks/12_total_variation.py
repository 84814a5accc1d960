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
# # Can a network be told to be smooth?
#
# Two hundred units and a hundred noisy points: the network can follow the noise, and
# shrinking its weights hardly stops it. Okuno (arXiv 2308.02293) penalizes what we see
# instead, the **k-th derivative of the function**,
#
# $$J(w) = \frac1N \sum_i (f(x_i) - y_i)^2
#   + \frac{\eta_k}{2} \int |f^{(k)}(x)|^2\,dx,$$
#
# and trains by stochastic gradients that never compute the integral: a few data and a
# few random points a step. Here we do that by hand, put the exact gradient flow beside
# it, and then read what the whole study found.

# %%
# %matplotlib inline
import textwrap

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gflow as gf
from gflow.models import (
    Interval,
    PenalizedRegression,
    ShallowNet,
    SmoothMLP,
    curve_okuno,
    directional_derivatives,
    smoothing_spline,
    total_variation,
)

# %% [markdown]
# ## By hand
#
# Data on a parabola, a shallow tanh net, and the penalty on its second derivative. Any
# model `f(w, x)` would do, any order, any domain that can be sampled.

# %%
data, w0 = curve_okuno("parabola", seed=0)
net = ShallowNet(1, 200)
penalty = total_variation(net, Interval(-0.5, 0.5), 1e-3, order=2)
fit = PenalizedRegression(net, data.x, data.y, integral=penalty)
plain = PenalizedRegression(net, data.x, data.y)

runs = {
    name: gf.simulate(
        regression.problem,
        gf.GradientFlow(),
        w0,
        t1=4.926,
        rtol=1e-4,
        solver=gf.solvers.BDF(),
    )
    for name, regression in (("no penalty", plain), ("2-TV", fit))
}
print(runs["2-TV"])

# %% [markdown]
# Stochastic gradient descent on the same clock: steps of the paper's changing size,
# five of the hundred data and five random points in each. Its gradient is an unbiased
# estimate of the exact one.

# %%
k = np.arange(20_000)
etas = 1e-3 * 0.9 ** (k % 1000 // 25)
sgd = gf.iterate(
    fit.problem,
    gf.gradient_descent(etas),
    w0,
    num_steps=len(etas),
    estimate=fit.estimator(batch=5, num_points=5),
    key=jax.random.key(0),
)
print(f"flow time {sgd.ts[-1]:.6f}, objective {sgd.observed['loss'][-1]:.5f}")

# %% [markdown]
# Over *all* functions, not just networks, the least of this objective is known: it is
# attained by the cubic smoothing spline with $\lambda = \eta_2/2$. So we know how far
# the network could still go.

# %%
spline = smoothing_spline(data.x[:, 0], data.y, 0.5e-3)
grid = np.linspace(-0.5, 0.5, 201)
with gf.plots.style():
    figure, (ax,) = gf.plots.panels(1)
    ax.plot(data.x[:, 0], data.y, ".", color="#999999", label="data")
    for name, run in runs.items():
        ax.plot(grid, net(run.w1, grid[:, None]), label=f"flow, {name}")
    ax.plot(grid, net(sgd.w1, grid[:, None]), "--", label="SGD, 2-TV")
    ax.plot(grid, spline(grid), ":", color="black", label="smoothing spline")
    ax.set(xlabel="x", ylabel="f(x)", title="What does 2-TV do to a noisy fit?")
    ax.legend()
figure

# %% [markdown]
# ## What does a derivative of order eight cost?
#
# Nesting automatic differentiation doubles the program with each order. Taylor mode
# sends one truncated series through the network. XLA counts the operations of each
# program as it is written:

# %%
deep = SmoothMLP(1, (32, 32, 32))
w_deep = deep.init(key=jax.random.key(0))
x = jnp.linspace(-0.5, 0.5, 64)[:, None]


def taylor(order):
    return lambda x: directional_derivatives(
        lambda x: deep(w_deep, x), x, jnp.ones(1), order
    )[order]


for order in (1, 2, 4, 8):
    flops = jax.jit(taylor(order)).lower(x).cost_analysis()["flops"]
    print(f"order {order}: {flops:12,.0f} operations")

# %% [markdown]
# ## What the study found
#
# `gflow run total-variation --scale full` runs the published settings on three targets
# with five seeds each, and more. These are its results.

# %%
record = gf.studies.read("results/total-variation")
print(record)


def show(name):
    """A figure, and under it what it shows."""
    display(record.draw(name))
    print(textwrap.fill(record.figures[name].caption, 88))


# %%
show("scores")

# %% [markdown]
# SGD and the flow agree, so what the penalty does is a matter of the flow. What SGD
# adds to it is small, and to first order in the step size it is known:

# %%
show("modified")

# %% [markdown]
# Beside other ways to smooth, each with its strength chosen on data held out:

# %%
show("ways")

# %% [markdown]
# The penalty asks nothing of the architecture: here it smooths nets of two hidden
# layers, with three activations.

# %%
show("deep")

# %% [markdown]
# Derivatives of high order are affordable, so the penalty may be any differential
# operator's residual: then the network is told a physical law instead of smoothness.

# %%
show("cost")

# %%
show("physics")

# %%
for at in ("end", "longest steps"):
    gap = record.dataset["gap"].sel(gap_at=at).values
    print(
        f"rms of SGD less flow, {at}: median {np.median(gap):.4f}, "
        f"largest {np.max(gap):.4f}"
    )

# %% [markdown]
# ## What was learned
#
# - A penalty on the function's derivatives smooths the network; one on its weights, at
#   the published strengths, does next to nothing.
# - The published strengths suit the line and the parabola. On the cubic those of 1-TV
#   and 2-TV are too large: even over all functions, and without noise in the data, the
#   least of their objective correlates less with the target than the net does without a
#   penalty. 3-TV's least is good there, but the flow is not near it when it ends.
# - Stochastic descent with a handful of data and points a step follows the exact flow
#   as closely as its step size lets it: where the steps are longest, four times as far
#   from it as at the end of the schedule.
# - The smoothing spline is the limit of 2-TV over all functions. In one dimension it is
#   the yardstick; the penalty on a network goes where splines do not: any dimension,
#   any model, any differential operator.
