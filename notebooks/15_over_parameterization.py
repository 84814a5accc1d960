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
# # Does it help to train one layer as a product of several?
#
# $W_3 W_2 W_1$ is a matrix, so three linear layers in a row can do nothing that one
# cannot. Yet training them is not the same: gradient descent on the factors is not
# gradient descent on their product. *Linear over-parameterization* trains the product
# and then multiplies it out. What remains is the original network, at its own size.
#
# The claim is that the detour makes the network better. Here we do it by hand, on
# handwritten digits, and then read what the study found over many seeds.

# %%
# %matplotlib inline
import textwrap

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax

import gflow as gf
from gflow.steppers import Minibatch

# %% [markdown]
# ## Expand, train, collapse
#
# Any equinox network will do. `expand` replaces each linear layer, and convolutions
# too, by a product; here of three factors.

# %%
digits = gf.models.images_digits(seed=0)
x, x_test = (v.reshape(len(v), -1) for v in (digits.x, digits.x_test))
keys = jax.random.split(jax.random.key(0), 4)
net = eqx.nn.MLP(64, 10, width_size=32, depth=1, key=keys[0])
deep = gf.models.expand(net, depth=3, key=keys[1])
print([factor.weight.shape for factor in deep.layers[0].factors])


def predict(net, x):
    return jax.vmap(net)(x)


def cross_entropy(logits, y):
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    return jnp.mean(losses)


problem = gf.EmpiricalRisk(predict, x, digits.y, criterion=cross_entropy)
plain = gf.models.expand(net, depth=1, key=keys[1])  # the same rule for the weights

# %%
runs = {}
for name, w0 in {"plain": plain, "3 factors": deep}.items():
    for eta in (0.01, 0.1):
        runs[name, eta] = gf.iterate(
            problem,
            gf.gradient_descent(eta),
            w0,
            1000,
            estimate=Minibatch(problem, 50),
            key=keys[2],
            progress=False,
        )


def accuracy(net):
    return np.mean(np.argmax(predict(net, x_test), axis=1) == digits.y_test)


for (name, eta), run in runs.items():
    print(f"{name:10} eta {eta:<5} test accuracy {100 * accuracy(run.w1):.1f} %")

# %% [markdown]
# At one of these step sizes the product is ahead, at the other it is not. That says
# little: factors make every step longer, and the plain network may want another size.
# To compare fairly, each must have the one that suits it, chosen without a look at the
# test images, and more than one seed.
#
# First, that nothing is lost by multiplying out:

# %%
trained = runs["3 factors", 0.01].w1
collapsed = gf.models.collapse(trained)
difference = jnp.max(jnp.abs(predict(collapsed, x_test) - predict(trained, x_test)))
print(f"largest difference of a logit: {float(difference):.1e}")
same = jax.tree.structure(collapsed) == jax.tree.structure(net)
print(f"the original architecture: {same}")

# %% [markdown]
# ## What stays the same along the flow
#
# Under gradient flow $W_{l+1}^\top W_{l+1} - W_l W_l^\top - b_l b_l^\top$ does not
# change. Discrete steps leave it only slowly.

# %%
laws = gf.invariants.chain_invariants(deep)
for name, law in laws.items():
    before, after = law(deep), law(trained)
    moved = jnp.linalg.norm(after - before) / jnp.linalg.norm(law.scale(deep))
    print(f"{name}: moved by {float(moved):.1e} of its terms")

# %% [markdown]
# ## What the study found
#
# Digits, MNIST and Fashion-MNIST; a network with one hidden layer and one with
# convolutions; SGD and Adam; step sizes and the number of factors chosen on validation
# images; ten pairs of seeds each.

# %%
record = gf.studies.read("results/low-rank")
for claim in record.manifest["claims"]:
    if claim["name"].startswith("expansion"):
        verdict = "holds" if claim["holds"] else "fails"
        print(f"{verdict:6} {claim['name']:42} {claim['shown']['measured']}")


def show(name):
    """A figure, and under it what it shows."""
    display(record.draw(name))
    print(textwrap.fill(record.figures[name].caption, 88))


# %%
show("expansion-gain")

# %%
show("expansion-rank")

# %%
show("expansion-flow")

# %% [markdown]
# ## What was learned
#
# - A layer can be trained as a product and multiplied out afterwards, exactly: same
#   outputs, same number of parameters.
# - At one step size the product learns faster. That is what depth does to a linear
#   layer's flow; a longer step does the same for the plain network.
# - With a step size of its own for each, no task of the first figure gains in test
#   accuracy: the intervals hold 0 or lie below it, the more so with four factors, and
#   where there is none a net broke down at the step size that validation chose.
# - Along the flow, to the same training loss, a product ends at an embedding of lower
#   effective rank, and in a fraction of the time, but it classifies worse: here lower
#   rank is not better generalization. After equal numbers of discrete steps, which are
#   not equal losses, the rank is not even lower.
