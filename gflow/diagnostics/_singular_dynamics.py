"""How the singular values of a deep linear net's end-to-end map move.

W = W_L ... W_1 = Σ σ_i u_i v_iᵀ · G = ∂L/∂W. To first order σ_i' = u_iᵀ W' v_i, and

    W' = -Σ_l (W_L ... W_{l+1})(W_L ... W_{l+1})ᵀ G (W_{l-1} ... W_1)ᵀ(W_{l-1} ... W_1)

of which balanced factors make σ_i' = -L σ_i^{2-2/L} u_iᵀ G v_i.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Params
from ..models import DeepLinear, MatrixCompletion
from ..problem import EmpiricalRisk


class SingularDynamics(eqx.Module):
    """Singular values of the end-to-end map and their speeds, largest first.

    - `values`: σ_i.
    - `speeds`: dσ_i/dt along the gradient flow, exact (of distinct values).
    - `balanced`: what the law of balanced factors says, -L σ_i^{2-2/L} u_iᵀ G v_i.
    """

    values: Float[Array, " k"]
    speeds: Float[Array, " k"]
    balanced: Float[Array, " k"]


def singular_dynamics(problem: EmpiricalRisk, w: Params) -> SingularDynamics:
    """Singular values of W_L ... W_1 and how fast gradient flow moves them at w.

    Depth makes large singular values move faster than small ones, which is how it
    leads to low rank: the law for balanced factors has σ^{2-2/L} in it. The two speeds
    differ by as much as the factors are out of balance.

    **Arguments:** `problem`: of a `DeepLinear` or a `MatrixCompletion`; `w`: the
    factors.

    **Raises:** `TypeError` for a problem of another model; `ValueError` for one with
    rates or a penalty, for which the law is another.

    **Cost:** a gradient, a product of the factors and a singular value decomposition.

    **References:** Arora, Cohen, Hu, Luo 2019 (arXiv 1905.13655), theorem 3.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import singular_dynamics
    >>> from gflow.models import DeepLinear
    >>> net = DeepLinear([1, 1, 1])
    >>> problem = net.problem(jnp.eye(1), 3 * jnp.eye(1))
    >>> found = singular_dynamics(problem, net.init_balanced(jnp.eye(1)))
    >>> print(found.speeds, found.balanced)  # 2 a (s - a) = 2 (3 - 1)
    [4.] [4.]

    ```
    """
    model = problem.model
    if not isinstance(model, DeepLinear | MatrixCompletion):
        raise TypeError(f"expected a problem of a deep linear net, not of {model!r}")
    if problem.metric is not None or problem.penalty is not None:
        raise ValueError("the law of balanced factors knows no rates and no penalty")
    net = model.net if isinstance(model, MatrixCompletion) else model
    matrix, dw_dt = jax.jvp(net.end_to_end, (w,), (problem.velocity(w),))
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)

    def loss(matrix: Array) -> Array:
        return problem.criterion(model.read(matrix, problem.inputs), problem.targets)

    along = jnp.einsum("mk,mn,kn->k", left, jax.grad(loss)(matrix), right)
    power = 2 - 2 / net.depth
    return SingularDynamics(
        values=values,
        speeds=jnp.einsum("mk,mn,kn->k", left, dw_dt, right),
        balanced=-net.depth * values**power * along,
    )
