"""Where a flow ends, to eleven digits if it is smooth, and by how much two ways differ.

The end and the sharpness on the way are kept in `.references/`, a file for each
problem and seed, found again by a hash of the traced right side, its data and w0.
"""

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from _cvode import cvode
from _host import flat_velocity
from _methods import descent, scipy_method
from _problems import Case
from jax.flatten_util import ravel_pytree

FOLDER = Path(__file__).parent / ".references"
# A dense Jacobian is factored up to here.
DENSE = 2_100
_RTOL, _NUM_LOOKS, _POWER_STEPS, _EULER = 1e-11, 13, 100, 4_000


@dataclasses.dataclass(frozen=True)
class Reference:
    """The end `w`, its distance to a second computation, and the path's sharpness.

    `spread` is relative; `sharpness` is the largest spectral radius of the flow's
    Jacobian met at log-spaced times.
    """

    w: np.ndarray
    spread: float
    sharpness: float


def reference(case: Case, folder: Path = FOLDER) -> Reference:
    """The reference of a case, computed once.

    **Raises:** `ImportError` where it takes CVODE (more parameters than a dense
    Jacobian is made for) and scikit-sundae is absent.
    """
    path = folder / f"{case.name}-{case.seed}-{digest(case)}.npz"
    if path.exists():
        kept = np.load(path)
        return Reference(kept["w"], float(kept["spread"]), float(kept["sharpness"]))
    made = _computed(case)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, **dataclasses.asdict(made))
    return made


def referenced(case: Case, folder: Path = FOLDER) -> Case:
    """The case with its reference filled in."""
    found = reference(case, folder)
    return dataclasses.replace(
        case,
        reference=found.w,
        reference_spread=found.spread,
        sharpness=found.sharpness,
    )


def digest(case: Case) -> str:
    """A hash of what the end depends on: the right side as traced, data, w0 and t1."""
    start, unravel = ravel_pytree(case.w0)
    flat = flat_velocity(case.problem.velocity, unravel)
    # Function objects in the trace are printed with their address.
    trace = re.sub(r"0x[0-9a-f]+", "", str(jax.make_jaxpr(flat)(start)))
    hashed = hashlib.sha256(f"{case.t1!r}{_RTOL}{trace}".encode())
    for leaf in (*jax.tree.leaves(case.problem), start):
        if isinstance(leaf, (jax.Array, np.ndarray, float)):
            hashed.update(np.asarray(leaf).tobytes())
    return hashed.hexdigest()[:16]


def _computed(case: Case) -> Reference:
    if case.exact is not None:
        w, other = case.exact(case.t1), _linear_end(case)
        path = w[None]
    elif case.smooth:
        path = explicit_path(case, _RTOL)
        w, other = path[-1], implicit_end(case)
    else:
        path = np.stack([euler_limit(case, num) for num in (_EULER, 2 * _EULER)])
        other, w = path
    sharpness = max(spectral_radius(case, y) for y in path)
    spread = np.linalg.norm(w - other) / np.linalg.norm(w)
    return Reference(w, float(spread), sharpness)


def explicit_path(case: Case, rtol: float) -> np.ndarray:
    """States at log-spaced times up to t1, by Dopri8 in a bare `diffeqsolve`."""
    start, unravel = ravel_pytree(case.w0)
    flat = flat_velocity(case.problem.velocity, unravel)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: flat(y)),  # pyright: ignore[reportArgumentType]
        diffrax.Dopri8(),
        0.0,
        case.t1,
        None,
        start,
        saveat=diffrax.SaveAt(
            ts=case.t1 * jnp.geomspace(1e-4, 1.0, _NUM_LOOKS)[:-1], t0=True, t1=True
        ),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol),
        max_steps=None,
    )
    return np.asarray(solution.ys)


def implicit_end(case: Case) -> np.ndarray:
    """The end by an implicit solver of other authors.

    LSODA with dense exact Jacobians, for many parameters CVODE with exact products; its
    error is 100 times its tolerance where that of Dopri8, held by stability, is not.
    """
    if case.start.size <= DENSE:
        solved = scipy_method(case, "LSODA", exact=True)(_RTOL)
    else:
        solved = cvode(case, exact=True, krylov_dim=20)(1e-2 * _RTOL)
    assert solved.status == "ok", solved.status
    return solved.w


def euler_limit(case: Case, num: int) -> np.ndarray:
    """The limit of Euler's method, extrapolated from num and 2 num steps.

    For kinked fields, where a solver of high order gains nothing and one with an error
    estimate is caught between kinks. Along kinks Euler's method still converges, with
    order 1, but the extrapolated value gains less than an order.
    """
    coarse, fine = (descent(case)(n).w for n in (num, 2 * num))
    return 2 * fine - coarse


def _linear_end(case: Case) -> np.ndarray:
    """w0 - (1 - exp(-H t))/H g0, for a loss with constant Hessian H."""
    grad: Any = jax.jit(lambda w: case.problem.grad(w))
    hessian = np.asarray(jax.jit(jax.jacfwd(lambda w: case.problem.grad(w)))(case.w0))
    values, vectors = np.linalg.eigh(hessian)
    weights = -np.expm1(-values * case.t1) / values
    start = np.asarray(case.w0)
    return start - vectors @ (weights * (vectors.T @ np.asarray(grad(case.w0))))


def spectral_radius(case: Case, y: np.ndarray) -> float:
    """Largest |eigenvalue| of the flow's Jacobian at y, by the power method."""
    _, unravel = ravel_pytree(case.w0)
    flat = flat_velocity(case.problem.velocity, unravel)
    return float(_power(flat, jnp.asarray(y), jax.random.key(0)))


def _power(flat: Any, y: Any, key: Any) -> Any:
    def step(_: Any, v: Any) -> Any:
        return jax.jvp(flat, (y,), (v / jnp.linalg.norm(v),))[1]

    v = jax.random.normal(key, y.shape, y.dtype)
    return jnp.linalg.norm(jax.lax.fori_loop(0, _POWER_STEPS, step, v))
