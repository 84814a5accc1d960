"""Steps that raise the loss are refused."""

from typing import Any, ClassVar

import numpy as np
import pytest
from closed_forms import closed_form, flow, regression

import gflow as gf
from gflow.trajectory import Trajectory


class _Unguarded(gf.Flow):
    """Gradient flow that does not say that its loss cannot rise."""

    monotone: ClassVar[bool] = False

    def init(self, w0: Any) -> Any:
        return gf.GradientFlow().init(w0)

    def terms(self, static: Any) -> Any:
        return gf.GradientFlow().terms(static)

    def params(self, state: Any) -> Any:
        return state.w

    def energy(self, state: Any) -> Any:
        return state.energy

    def velocity(self, problem: gf.Problem, w: Any) -> Any:
        return problem.velocity(w)


def _unguarded(form: Any, **options: Any) -> Trajectory:
    return gf.simulate(form.problem, _Unguarded(), form.w0, form.t1, **options)


def test_guard_holds_a_loose_solve_on_the_flow() -> None:
    """At rtol 1e-2 Tsit5 leaves a stiff flow and calls it success; not when guarded."""
    # From u = v = 3 the flow comes to rest at u² + v² = √(y² + 4 u²v²) = 18.03, where
    # the Hessian's eigenvalue is 4 (u² + v²) = 72: the stability limit of the step is
    # 3.3/72, and the tolerance alone does not hold it there.
    form = regression(3.0, 3.0)
    tolerances = {"rtol": 1e-2, "atol": 1e-4}
    guarded, loose = form.simulate(**tolerances), _unguarded(form, **tolerances)
    assert loose.result.ok
    assert loose.stats["num_rejected_by_guard"] == 0
    assert form.error(loose) > 0.1
    assert guarded.result.ok
    assert guarded.stats["num_rejected_by_guard"] > 0
    assert form.error(guarded) < 0.01
    assert loose.energy_defect is not None
    assert guarded.energy_defect is not None
    assert guarded.energy_defect < loose.energy_defect / 10
    counts = guarded.stats
    assert counts["num_rejected"] >= counts["num_rejected_by_guard"]
    assert f"({counts['num_rejected_by_guard']} for raising the loss)" in repr(guarded)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-9])
def test_guard_costs_no_step_where_it_is_not_needed(rtol: float) -> None:
    """A flow that never needs it takes the same steps, to the bit."""
    form, guarded = closed_form("regression"), flow("regression", rtol)
    free = _unguarded(form, rtol=rtol, atol=1e-3 * rtol)
    assert guarded.stats["num_rejected_by_guard"] == 0
    assert guarded.stats["num_steps"] == free.stats["num_steps"]
    np.testing.assert_array_equal(guarded.ws["u"], free.ws["u"])


def test_step_at_the_size_that_failed_is_not_tried_again() -> None:
    """Every rejection is followed by a shorter step: no run is stuck at one."""
    # t0 + dt is rounded, and so the step made may be shorter than the step wished for,
    # as if it had been cut to the end of a stretch; it is rejected all the same.
    for rtol in (1e-3, 1e-5, 1e-7):
        run = regression(0.01, 0.02).simulate(rtol=rtol)
        assert run.stats["num_rejected"] < run.stats["num_accepted"] / 4
