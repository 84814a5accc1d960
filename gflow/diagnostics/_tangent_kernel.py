"""The tangent kernel: how the outputs of a model move along a flow.

f (n,) the outputs on the data · J their derivative in the parameters · G the metric of
the problem · K = J G^-1 Jᵀ the tangent kernel's Gram matrix, `ntk` · r = f - y.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .. import _trees as trees
from .._types import Params, Scalar
from ..problem import Problem
from ..trajectory import Trajectory


def tangent_kernel(problem: Problem, w: Params) -> Float[Array, "n n"]:
    """Gram matrix K = J G^-1 Jᵀ of the model's outputs, with the problem's rates.

    Along gradient flow f' = -K ∂L/∂f; for the square loss r' = -K r and L' = -rᵀKr. At
    a value held on its kink it takes the derivative of one side.

    **Arguments:** `problem`: one with a model; `w`: its parameters.

    **Returns:** (n, n), symmetric and positive semidefinite, n outputs in all.

    **Raises:** `ValueError` for a loss without a model.

    **Cost:** n gradients; memory of 2n parameter vectors.

    **References:** Jacot, Gabriel, Hongler 2018 (arXiv 1806.07572).

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> from gflow.diagnostics import tangent_kernel
    >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0]])
    >>> problem = gf.EmpiricalRisk(lambda w, x: x @ w, x, jnp.zeros(2), rates=3.0)
    >>> print(tangent_kernel(problem, jnp.ones(2)))
    [[3. 3.]
     [3. 6.]]

    ```
    """
    if eqx.filter_eval_shape(problem.predict, w) is None:
        raise ValueError("a tangent kernel needs a model: the loss has no outputs")
    return _kernel(problem, *trees.split(w))


@eqx.filter_jit
def _kernel(problem: Problem, params: Params, static: Params) -> Array:
    def outputs(params: Params) -> Array:
        return jnp.ravel(jnp.asarray(problem.predict(eqx.combine(params, static))))

    values, backward = jax.vjp(outputs, params)
    w = eqx.combine(params, static)

    def row(unit: Array) -> tuple[Array, Array]:
        gradient = backward(unit)[0]
        return _flat(gradient), -_flat(problem.descent(w, gradient))

    plain, raised = jax.vmap(row)(jnp.eye(values.size, dtype=values.dtype))
    kernel = plain @ raised.T
    # Symmetric but for round-off, which an eigenvalue solver need not see.
    return (kernel + kernel.T) / 2


def _flat(tree: Params) -> Array:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def tangent_kernel_drift(run: Trajectory) -> Float[np.ndarray, " k"]:
    """‖K(t) - K(0)‖_F/‖K(0)‖_F at each saved time of a run.

    Small in the kernel regime, where training is that of the linearized model; of
    order 1 or more where features are learned.

    **Arguments:** `run`: of a problem with a model, with its parameters kept.

    **Raises:** `ValueError` for a run that kept none, or a loss without a model.

    **Cost:** a `tangent_kernel` for each saved time.
    """
    if run.ws is None:
        raise ValueError("the run kept no parameters: Save(keep_params=True)")
    problem, static = run.origin.problem, trees.split(run.w0)[1]
    first = tangent_kernel(problem, run.w0)
    size = jnp.linalg.norm(first)
    ws = eqx.filter(run.ws, eqx.is_inexact_array)
    moved: list[float] = []
    for k in range(len(run.ts)):
        kernel = _kernel(problem, trees.take(ws, k), static)
        moved.append(float(jnp.linalg.norm(kernel - first)))
    return np.array(moved) / float(size)


def frozen_residual(
    kernel: ArrayLike, residual: ArrayLike, ts: Any
) -> Float[Array, "k n"]:
    """exp(-K t) r₀: the residual of the square loss ½‖r‖² if the kernel stood still.

    The prediction of the kernel regime. Exact for a model that is linear in its
    trained parameters, such as a net whose last layer alone is trained.

    **Arguments:** `kernel`: K (n, n), symmetric; `residual`: r₀ (n,); `ts`: (k,).

    **Returns:** (k, n).

    **Cost:** one symmetric eigenvalue problem.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import frozen_residual
    >>> kernel = jnp.diag(jnp.array([1.0, 0.0]))
    >>> print(frozen_residual(kernel, jnp.ones(2), [2.0]).round(4))
    [[0.1353 1.    ]]

    ```
    """
    values, vectors = jnp.linalg.eigh(jnp.asarray(kernel, float))
    amplitudes = vectors.T @ jnp.asarray(residual, float)
    # Round-off below zero would grow without end at long times.
    decay = jnp.exp(-jnp.outer(jnp.asarray(ts, float), jnp.maximum(values, 0.0)))
    return (decay * amplitudes) @ vectors.T


@eqx.filter_jit
def activation_flips(problem: Problem, w: Params, w_other: Params) -> Scalar:
    """Share of the (unit, datum) pairs that lie on opposite sides of their kink.

    In the kernel regime it is small. A pair held on its kink lies on no side.

    **Arguments:** `problem`: one that declares its kinks; `w`, `w_other`: two points.

    **Returns:** a number from 0 to 1.

    **Raises:** `ValueError` for a problem that declares no kinks.

    **Cost:** two losses.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import activation_flips
    >>> from gflow.models import TwoLayerReLU
    >>> problem = TwoLayerReLU(1, 2).problem(jnp.ones((1, 1)), jnp.zeros(1))
    >>> a = jnp.ones(2)
    >>> print(activation_flips(problem, {"w": jnp.array([[1.0], [2.0]]), "a": a},
    ...                        {"w": jnp.array([[1.0], [-2.0]]), "a": a}))
    0.5

    ```
    """
    kinks = problem.kinks
    if kinks is None:
        raise ValueError("activation_flips needs a problem that declares its kinks")
    here, there = (_side(kinks.values(point)) for point in (w, w_other))
    return jnp.mean(here * there < 0, dtype=here.dtype)


def _side(z: Any) -> Array:
    # A held value is zero but for round-off.
    near = jnp.finfo(z.dtype).eps ** 0.75 * jnp.max(jnp.abs(z))
    return jnp.where(jnp.abs(z) > near, jnp.sign(z), 0.0)
