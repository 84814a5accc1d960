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
# # What does training leave as it is, and how do we know that we have found it all?
#
# Gradient flow moves every weight, and yet some functions of the weights never change:
# of $x = u^2 - v^2$ the product $uv$, of two linear layers the matrix $U^\top U -
# VV^\top$, of a ReLU unit the squared weights into it less those out of it. Such
# **conservation laws** decide which of all solutions training finds. They are easy to
# get wrong by hand. Here we find them from gradients alone, count that none is missing,
# catch one that is wrong, and see what finite steps do to them.

# %%
# %matplotlib inline
import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gflow as gf
from gflow.plots import label_ticks, panels, style

# %% [markdown]
# ## A law that is wrong
#
# Take a ReLU net with biases, $f(x) = \sum_j a_j\,\sigma(w_j^\top x + b_j)$. For nets
# without biases it is known that $\|w_j\|^2 - a_j^2$ is conserved for every unit. Is it
# here?

# %%
rng = np.random.default_rng(0)
X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
w0 = {
    "w": jnp.asarray(rng.standard_normal((4, 2))),
    "b": jnp.asarray(0.3 * rng.standard_normal(4)),
    "a": jnp.asarray(rng.standard_normal(4)),
}


def net(w, x, activate=jax.nn.relu):
    return activate(x @ w["w"].T + w["b"]) @ w["a"]


def loss(w, activate):
    return 0.5 * jnp.mean((net(w, X, activate) - y) ** 2)


def without_bias(w):
    return jnp.sum(w["w"] ** 2, axis=1) - w["a"] ** 2


# The kinks of the units are declared, so that the flow passes and slides along them.
problem = gf.problem.KinkedObjective(loss)
run = gf.simulate(
    problem,
    gf.GradientFlow(),
    w0,
    t1=20.0,
    rtol=1e-8,
    invariants={"without bias": without_bias},
)
print(run)

# %% [markdown]
# It moves by far more than the tolerance of 1e-8, though the run itself is sound: its
# energy balances. But a drift alone does not say what would be right.
#
# ## Found from gradients alone
#
# `discover` is told nothing of the model but how to evaluate it. It draws random
# weights and asks which combinations of simple functions no gradient changes, whatever
# the loss: the null space of a matrix. The answer is reduced to integers, written in
# the parameters' own names, and verified on fresh draws and along a flow.

# %%
inputs = 2 * rng.standard_normal((300, 2))
found = gf.invariants.discover(net, w0, inputs=inputs)
print(found)

# %% [markdown]
# The law has the bias in it. Given our wrong quantity, `mend` says so:

# %%
for entry in found.mend(without_bias):
    print(entry)

# %% [markdown]
# ## None is missing
#
# The first line above ends with a *count*. A function is conserved for every loss if no
# field $\chi_i = \nabla\phi_i$ changes it, $\phi$ being what the loss depends on, and
# then none of their Lie brackets does. So the number of independent laws is the number
# of parameters less the dimension of the Lie algebra that the $\chi_i$ generate
# (Marcotte, Gribonval, Peyré 2023). For polynomial models gflow computes it exactly,
# modulo a large prime; for smooth ones from brackets by automatic differentiation, with
# the gap between singular values told.


# %%
def product(w):
    return w["u"] @ w["v"].T


factors = {"u": rng.standard_normal((3, 3)), "v": rng.standard_normal((2, 3))}
for method in ("exact", "smooth"):
    print(gf.invariants.count(product, factors, method=method))
print(gf.invariants.discover(product, factors))

# %% [markdown]
# These are the entries of $U^\top U - V^\top V$. The geometry matters: with one rate
# for each layer the laws are weighed, in the entropic mirror flow of positive factors
# they are sums and not squares, and with inertia but one is left where there were
# three, a rotation's angular momentum.

# %%
rates = {"u": 2.0, "v": 5.0}
print(gf.invariants.discover(product, factors, rates=rates).laws[0].formula)
positive = jax.tree.map(np.abs, factors)
mirror = gf.problem.Mirror()
print(gf.invariants.discover(product, positive, rates=mirror).laws[0].formula)
square = {"u": rng.standard_normal((2, 2)), "v": rng.standard_normal((2, 2))}
for flow in (gf.GradientFlow(), gf.flows.HeavyBall(1.0)):
    print(type(flow).__name__, gf.invariants.count(product, square, flow=flow))

# %% [markdown]
# The basis is finite, so a search can miss a law. Then it says how many:

# %%
print(
    gf.invariants.discover(
        lambda w: w["u"] ** 5 - w["v"] ** 5, {"u": np.ones(1), "v": np.ones(1)}
    )
)

# %% [markdown]
# ## What the tolerance explains, and what a step size does
#
# A law that was found is an `Invariant`, to be declared in a run. Along the flow its
# drift falls with the tolerance. Gradient descent breaks it: as $h$ is a quadratic form
# which the gradient leaves alone, a step adds exactly $\eta^2 h(\nabla L)$, and in all
# $\eta \int h(\nabla L)\,dt$ to first order, which can be computed along the flow.

# %%
law = found.laws[0].invariant()
rtols = np.array([1e-4, 1e-6, 1e-8])
etas = np.array([0.04, 0.02, 0.01])
t1 = 5.0
flows = [
    gf.simulate(
        problem,
        gf.GradientFlow(),
        w0,
        t1,
        rtol=rtol,
        atol=0.01 * rtol,
        save=gf.Save.at(np.linspace(0, t1, 401)[1:]),
        observables={"added": lambda t, w, p: law(p.grad(w))},
        invariants={"law": law},
    )
    for rtol in rtols
]
added = np.trapezoid(flows[-1].observed["added"], flows[-1].ts)
descents = [
    gf.iterate(
        problem, gf.gradient_descent(eta), w0, round(t1 / eta), invariants={"law": law}
    )
    for eta in etas
]
moved = np.array(
    [run.invariants["law"][-1] - run.invariants["law"][0] for run in descents]
)
print("measured over predicted:", np.round(moved / (etas * added), 3))

# %%
with style():
    figure, (left, right) = panels(2)
    drifts = [run.drift["law"].relative for run in flows]
    left.plot(rtols, drifts, "o-", label="drift of the law")
    left.plot(rtols, rtols, ":", color="black", label="rtol")
    left.set(
        xscale="log", yscale="log", xlabel="tolerance rtol", ylabel="relative drift"
    )
    left.set_title("Along the flow")
    left.legend()
    label_ticks(left, rtols, ".0e")
    right.plot(etas, np.abs(moved), "o", label="measured")
    right.plot(etas, etas * abs(added), color="black", label="predicted")
    right.set(xscale="log", yscale="log", xlabel=r"step size $\eta$")
    right.set_ylabel("change of the law")
    right.set_title("Under gradient descent")
    right.legend()
    label_ticks(right, etas)
figure

# %% [markdown]
# `verify` does this for any run, and tells a drift that the method explains from one
# that shows a quantity to be no law. Decisive is not how far it moved but whether the
# velocity itself changes it, at the points where the run came by. Of gradient descent
# it makes the steps once more, and compares the drift with the sum of what each adds.

# %%
quantities = {"law": law, "without bias": without_bias}
print(gf.invariants.verify(flows[1], quantities))
descent = gf.iterate(
    problem,
    gf.gradient_descent(0.01),
    w0,
    500,
    save=gf.Save.at(np.linspace(0, t1, 101)[1:]),
)
print(gf.invariants.verify(descent, quantities))

# %% [markdown]
# ## From a symmetry
#
# Laws come from symmetries. Mixing the hidden features of two linear layers, $U \to U
# e^{sA}$, leaves the product as it is, for every matrix $A$. Gradient flow conserves a
# charge of it if and only if the generator is a gradient field, which is so for
# symmetric $A$; flows with inertia conserve one if and only if it preserves the kinetic
# energy, for antisymmetric $A$ (Noether).

# %%
layers = {"first": rng.standard_normal((3, 2)), "last": rng.standard_normal((2, 3))}


def network(w):
    return w["last"] @ w["first"]


for name, A in (
    ("symmetric", np.array([[1.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]])),
    ("antisymmetric", np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 2.0], [0.0, -2.0, 0.0]])),
):
    mixing = gf.invariants.mixing(lambda w: w["first"], lambda w: w["last"], A)
    print(name, gf.invariants.symmetry(network, mixing, layers))

# %% [markdown]
# ## Held to the leaf
#
# Where laws decide the limit, their drift is its error. `Projected` brings each step
# back to the leaf on which the laws have their first values, and tells by how much it
# had to: corrections that do not shrink with the tolerance show a law that is none.

# %%
A = rng.standard_normal((4, 10))
sparse = gf.models.DiagonalNet(10, signed=True)
target = A @ np.eye(10)[2]
start = {"u": jnp.full(10, 0.3), "v": jnp.ones(10)}
diagonal = sparse.problem(A, target)
laws = gf.invariants.diagonal_invariants(sparse, A)


def limit(solver, rtol):
    return gf.simulate(
        diagonal,
        gf.GradientFlow(),
        start,
        1e3,
        rtol=rtol,
        solver=solver,
        invariants=laws,
    )


reference = limit(gf.solvers.BDF(), 1e-10).w1
for name, solver in (
    ("plain", gf.solvers.BDF()),
    ("projected", gf.invariants.Projected(gf.solvers.BDF(), laws)),
):
    run = limit(solver, 1e-4)
    off = max(float(jnp.max(jnp.abs(run.w1[k] - reference[k]))) for k in run.w1)
    told = run.stats["solver"].get("correction_total")
    print(f"{name:10} limit off by {off:.1e}, corrections {told}")

# %% [markdown]
# ## Learnt
#
# - A drift is judged against the tolerance; a quantity that drifts by more is no law,
#   and `mend` names the one that it was meant to be.
# - Laws can be found without a hint and counted without finding them. When both numbers
#   agree the list is complete, and that is a statement about every loss at once.
# - They belong to the flow and its geometry: rates weigh them, mirrors change them,
#   inertia takes most of them away, and a finite step breaks them by an amount that is
#   known beforehand.
