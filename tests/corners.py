"""A family of losses with kinks whose flows have closed forms."""

from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np

from gflow.problem import KinkedObjective
from gflow.solvers import Filippov

SOLVER = Filippov()


class Corner(eqx.Module):
    """L = (c + C w)·|B w| + p·w + ½ wᵀQ w in four parameters, with three kinks.

    All tests with a closed form are of this shape: one program serves them all.
    """

    c: Any
    C: Any
    B: Any
    p: Any
    Q: Any

    def __call__(self, w: Any, activate: Any) -> Any:
        folded = (self.c + self.C @ w) @ activate(self.B @ w)
        return folded + self.p @ w + 0.5 * w @ self.Q @ w


def corner(B: Any, c: Any, p: Any = (), Q: Any = ((),), C: Any = ((),)) -> Any:
    """A problem of this shape, filled up with zeros; a zero row of B is no kink."""

    def full(x: Any, *shape: int) -> Any:
        x = np.asarray(x, float)
        return jnp.asarray(
            np.pad(x, [(0, n - m) for n, m in zip(shape, x.shape, strict=True)])
        )

    loss = Corner(full(c, 3), full(C, 3, 4), full(B, 3, 4), full(p, 4), full(Q, 4, 4))
    return KinkedObjective(loss, slopes=(-1.0, 1.0))


NUM_TIMES = 13


def solve(problem: Any, w0: Any, ts: Any, rtol: float = 1e-8) -> Any:
    """A bare diffeqsolve from w0, with the saved states at `ts`."""
    w0 = np.pad(np.asarray(w0, float), (0, 4 - len(w0)))
    ts = np.asarray(ts, float)
    early = np.linspace(0, ts[0] if ts[0] > 0 else 0, NUM_TIMES - len(ts))
    every = jnp.asarray(np.concatenate([early, ts]))
    run = compiled(problem, jnp.asarray(w0), every, jnp.asarray(rtol))
    return eqx.tree_at(lambda r: r.ys, run, run.ys[-len(ts) :])


@eqx.filter_jit
def compiled(problem: Any, w0: Any, ts: Any, rtol: Any) -> Any:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)),
        SOLVER,
        0.0,
        ts[-1],
        0.1,
        w0,
        problem,
        saveat=diffrax.SaveAt(ts=ts, solver_state=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol),
        max_steps=2000,
    )


def report(run: Any) -> dict[str, int]:
    state = getattr(run, "solver_state", None)
    if state is None:
        state = run.checkpoint.checkpoint.solver_state
    return {name: int(value) for name, value in SOLVER.report(state).items()}
