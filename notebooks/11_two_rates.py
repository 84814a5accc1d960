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
# # How wide must a net be to learn anything by heart?
#
# Fifty random points in ten dimensions, labels that have nothing to do with them, and a
# net with one hidden layer of ReLU units,
#
# $$f(x) = \sum_{j=1}^m a_j \max(w_j^\top x, 0).$$
#
# Theory proves that training finds a perfect fit if the net is so wide that its tangent
# kernel hardly moves. Razborov (2022, arXiv 2212.02323) lets both layers learn, each at
# its own rate, needs less width, and reports experiments in which training converges
# **far outside** that kernel regime. Here we follow the gradient flow itself, kinks and
# all, and put numbers on "far".

# %%
# %matplotlib inline
import textwrap

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import gflow as gf
from gflow.diagnostics import (
    activation_flips,
    frozen_residual,
    tangent_kernel,
    tangent_kernel_drift,
)
from gflow.invariants import relu_invariants
from gflow.models import TwoLayerReLU, two_layer_instance

# %% [markdown]
# ## One net, by hand
#
# Change the width, the rates or the seed, and run these cells again. The flow crosses
# the kinks of the ReLUs and often slides along them: a datum is then held exactly at
# the edge of a unit for a while. gflow locates each such event, and the printed
# evidence counts them.

# %%
n, d, m = 50, 10, 16
eta_1, eta_2 = 1.0, 1.0
data = two_layer_instance(n, d, m, labels="gaussian", initialization="lecun", seed=0)
net = TwoLayerReLU(d, m)
problem = net.problem(data.X, data.y, rates=(eta_1, eta_2))
run = gf.simulate(
    problem,
    gf.GradientFlow(),
    data.w0,
    t1=100.0,
    save=gf.Save.log(num=80, first=1e-3),
    stops=[gf.LossBelow(1e-6 * 0.5 * data.y @ data.y)],
    invariants=relu_invariants(net, (eta_1, eta_2)),
)
print(run)

# %% [markdown]
# The loss went to zero, and each neuron kept its $a_j^2/\eta_2 - \|w_j\|^2/\eta_1$ to
# the tolerance. But did the net stay near its linearization at the start? If it had,
# its kernel $K$ would have stood still and the residual would have been
# $e^{-K(0)t} r(0)$.

# %%
K = tangent_kernel(problem, data.w0)
r0 = net(data.w0, data.X) - data.y
frozen = 0.5 * np.sum(np.asarray(frozen_residual(K, r0, run.ts)) ** 2, axis=1)
drift = tangent_kernel_drift(run)
flips = float(activation_flips(problem, run.w0, run.w1))

with gf.plots.style():
    figure, (left, right) = gf.plots.panels(2)
    left.loglog(run.ts[1:], run.observed["loss"][1:], label="flow")
    left.loglog(run.ts[1:], frozen[1:], "--", label="kernel frozen")
    left.set(xlabel="time t", ylabel="loss", title="Is this the linearized model?")
    left.set_ylim(bottom=1e-6)
    left.legend()
    right.semilogx(run.ts[1:], 100 * drift[1:])
    right.set(xlabel="time t", ylabel="change of K, percent")
    right.set_title("How far does the kernel move?")
display(figure)
print(f"kernel changed by {100 * drift[-1]:.0f} %, activations by {100 * flips:.0f} %")

# %% [markdown]
# ## The whole study
#
# `gflow run two-rates --scale full` repeats this over widths, numbers of examples,
# ratios of the rates and seeds, compares initializations and labels, puts gradient
# descent beside the flow, and does it on handwritten digits with random labels. Its
# results are kept beside this notebook. First the claims, with their verdicts.

# %%
record = gf.studies.read("results/two-rates")
print(record)


def show(name):
    """A figure, and under it what it shows."""
    display(record.draw(name))
    print(textwrap.fill(record.figures[name].caption, 88))


# %% [markdown]
# ## Where does it converge?
#
# One map for each number of examples: which flows come to zero loss, which of them
# would have done so had the kernel stayed as it was at the start (a model linear in its
# weights, which wide nets are nearly), and how far kernel and activations moved. In
# each cell that linear model would come to zero loss on no fewer of the instances than
# the flow (though not on the same: here and there the flow does and it does not). What
# tells the two apart is not who converges, but that the kernel moves. Right of the
# dashed line the net has more parameters than there are examples.
#
# A flow that runs out of steps counts as one that does not come to zero loss. Where
# both layers learn, those looked at closely rest at kinks above it. Where only the
# first does (ratio 0) some are still falling, three at width 128 and n = 50 and some
# of the narrow ones: that row tells of the budget too.

# %%
samples = record.manifest["configuration"]["samples"]
for count in samples:
    show(f"map-{count}")
show("boundary")

# %% [markdown]
# ## How far is far?
#
# For each seed: the width from which on the flow converges, and the width from which on
# the kernel moves by less than 10 %. Their ratio is how far convergence extends beyond
# the kernel regime. (A seed that did not come to 10 % would count with the largest
# width tried; here all do.)

# %%
for count in samples:
    width, drift_there, factor = (
        record.dataset[f"map_{count}_threshold_{name}"].values
        for name in ("width", "drift", "lazy_factor")
    )
    print(
        f"n = {count:3}: converges from m = {width[0]:.1f} ({width[1]:.1f} to "
        f"{width[2]:.1f}), where the kernel changes by {100 * drift_there[0]:.0f} %; "
        f"kernel regime {factor[0]:.0f} times wider "
        f"({factor[1]:.0f} to {factor[2]:.0f})"
    )

# %% [markdown]
# ## Initializations, steps, and real data

# %%
for name in ("initializations", "descent", "digits"):
    show(name)

# %% [markdown]
# ## What was learned
#
# - The flow of a ReLU net can be followed through hundreds of kinks to the tolerance
#   asked for, and each neuron keeps its invariant along the way.
# - Nets learn arbitrary labels as soon as they have a few parameters per example. At
#   that width the kernel changes by more than its own size (at n = 25 in the median,
#   not surely): this is no kernel regime, which begins at widths many times larger. How
#   far the kernel moves is told by the parameters per example: in d = 10 dimensions the
#   curves of the three n nearly coincide.
# - With the first layer frozen nothing narrower than the number of examples can fit;
#   with the second frozen it takes much more time, and within the steps allowed more
#   width. Training both is what makes narrow nets converge soon.
# - Random labels on real images behave the same way. True ones need less width, but at
#   equal width more time.
