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
# # What else is known exactly about gradient flow?
#
# Around the large studies stand many small results: a limit that has a name, a rate
# that can be computed, a law that holds to the digit. Each is worth seeing once, with
# its own closed form beside it. The study `neighbors` has eleven of them. Here we do
# two by hand and then read the rest.

# %%
# %matplotlib inline
import textwrap

import jax

jax.config.update("jax_enable_x64", True)

import diffrax
import jax.numpy as jnp
import numpy as np

import gflow as gf

# %% [markdown]
# ## Which flow does gradient descent follow?
#
# Not $\dot w = -\nabla L$, exactly, but to the next order in its step $\eta$ the flow
# of $L + \tfrac{\eta}{4}\|\nabla L\|^2$, which shuns steep places: *implicit gradient
# regularization*. `ModifiedFlow` is that flow, to order 0, 1 or 2. Change the loss.

# %%
problem = gf.Objective(
    lambda w: 0.5 * (w["x"] ** 2 * w["y"] - 1) ** 2 + (w["x"] - w["y"]) ** 4 / 10
)
w0, eta = {"x": jnp.array(1.3), "y": jnp.array(0.4)}, 0.02
descent = gf.iterate(problem, gf.gradient_descent(eta), w0, num_steps=round(1 / eta))
for order in (0, 1, 2):
    law = gf.flows.ModifiedFlow(eta, order=order)
    flow = gf.simulate(
        problem, law, w0, 1.0, rtol=1e-11, atol=1e-13, solver=diffrax.Dopri8()
    )
    gap = np.hypot(*(float(flow.w1[k] - descent.w1[k]) for k in ("x", "y")))
    print(f"order {order}: distance at t = 1 is {gap:.3e}")

# %% [markdown]
# ## What does inertia do?
#
# Nesterov's method tends to $\ddot w + \tfrac3t \dot w = -\nabla L$. On a quadratic the
# solution is a Bessel function; a net near a minimum that fits its data is a quadratic.
# Change the curvature, or the law to `gf.flows.HeavyBall(friction)`.

# %%
quadratic = gf.Objective(lambda w: 0.5 * 4.0 * w**2)
run = gf.simulate(
    quadratic, gf.flows.Nesterov(), jnp.array(1.0), 20.0, save=gf.Save.steps()
)
with gf.plots.style():
    figure, (ax,) = gf.plots.panels(1)
    ax.plot(run.ts, run.ws, label="Nesterov's flow")
    ax.plot(run.ts[1:], (np.pi * run.ts[1:] ** 3) ** -0.5, ":", label="envelope")
    ax.set(xlabel="time t", ylabel="w", ylim=(-0.6, 1.1), title="How does it settle?")
    ax.legend()
figure

# %% [markdown]
# ## All eleven, at full scale
#
# `gflow run neighbors --scale full` made these. Each claim names its source, what it
# expects, and why its tolerance is what it is.

# %%
record = gf.studies.read("results/neighbors")
print(record)


def show(name):
    """A figure, and under it what it shows."""
    display(record.draw(name))
    print(textwrap.fill(record.figures[name].caption, 88))


# %% [markdown]
# The figures are drawn from the data alone; each answers the question in its title.

# %%
from IPython.display import Markdown, display

titles = {
    "igr": "Implicit gradient regularization",
    "flatness": "Flat factorizations",
    "sharp": "Sharp limits of diagonal nets",
    "batch-norm": "Uniform margins under batch normalization",
    "leaky-relu": "Rank two of leaky-ReLU nets",
    "one-neuron": "One neuron",
    "spline": "Random ReLU nets and splines",
    "fine-tuning": "Linearized fine-tuning",
    "momentum": "Momentum",
    "weight-decay": "Weight decay and balance",
    "averaging": "Averaged SGD",
}
for name, title in titles.items():
    display(Markdown(f"### {title}"))
    show(name)

# %% [markdown]
# ## What was learned
#
# - Gradient descent is a flow of its own, and each further order of it that is kept
#   wins a factor of the step size.
# - Training ends at balanced factors, which beyond depth 2 are not the flattest ones;
#   the least trace of the Hessian is a power of the nuclear norm at every depth.
# - Where sparse solutions abound, depth chooses between them: depth 2 by entropy, depth
#   $L$ by $\sum x^{2/L}$.
# - Batch normalization evens margins out, and faster than published: in
#   $\exp(-c\log^3 t)$ with a $c$ that an eigenvalue gives.
# - Small initial weights leave few dimensions: two for leaky ReLU on nearly orthogonal
#   data, one for a net that learns one neuron.
# - A wide net with a random first layer is a smoothing spline, a wide net near its
#   start is linear, both up to $m^{-1/2}$.
# - Inertia with the right friction ends faster; Nesterov's $3/t$ in the end does not.
# - Weight decay forgets imbalance at the rate $2\lambda$, and the mean of SGD's
#   iterates forgets noise at $1/n$ while its last iterate never does.
