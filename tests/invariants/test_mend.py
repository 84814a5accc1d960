"""The law that a quantity which is not conserved was meant to be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.invariants import Discovery, discover

RNG = np.random.default_rng(2)
LIKE = {
    "w": RNG.standard_normal((2, 2)),
    "b": 0.3 * RNG.standard_normal(2),
    "a": RNG.standard_normal((3, 2)),
}


@pytest.fixture(scope="module")
def found() -> Discovery:
    def phi(w: Any, x: Any) -> Any:
        return jax.nn.relu(x @ w["w"].T + w["b"]) @ w["a"].T

    return discover(phi, LIKE, inputs=2 * RNG.standard_normal((200, 2)))


def test_the_forgotten_bias(found: Discovery) -> None:
    """‖w_j‖² - ‖a_j‖² is not conserved; with b_j² it is."""
    entries = found.mend(lambda w: jnp.sum(w["w"] ** 2, 1) - jnp.sum(w["a"] ** 2, 0))
    assert [entry.is_conserved for entry in entries] == [False, False]
    assert [entry.lacks for entry in entries] == ["b[0]^2", "b[1]^2"]
    law = entries[1].law
    assert law is not None
    assert set(law.formula.replace("- ", "-").split(" + ")) <= {
        "b[1]^2 -|a[:, 1]|^2",
        "|w[1, :]|^2",
        "-|a[:, 1]|^2",
        "b[1]^2",
    }
    # The law keeps the quantity's own sign and size.
    w, b, a = LIKE["w"][1], LIKE["b"][1], LIKE["a"][:, 1]
    np.testing.assert_allclose(law.invariant()(LIKE), w @ w + b * b - a @ a)
    assert "it lacks b[1]^2" in repr(entries[1])


def test_a_wrong_sign_and_factor(found: Discovery) -> None:
    """-2 ‖w‖² - 2 b² - 2 ‖a‖²: most terms agree on -2, ‖a‖² has the wrong sign."""
    [entry] = found.mend(
        lambda w: (
            -2 * (w["w"][0] @ w["w"][0]) - 2 * w["b"][0] ** 2 - 2 * w["a"][0, 0] ** 2
        )
    )
    assert entry.law is not None
    assert entry.lacks == "4 a[0, 0]^2 + 2 a[1, 0]^2 + 2 a[2, 0]^2"


def test_a_law_and_functions_of_laws_are_conserved(found: Discovery) -> None:
    """The rate is round-off, whatever the function."""
    law = found.laws[0].invariant()
    for h in (law, lambda w: jnp.sin(law(w)) * found.laws[1].invariant()(w)):
        [entry] = found.mend(h)
        assert entry.is_conserved
        assert entry.law is None
        assert "conserved (rate" in repr(entry)


def test_a_constant_is_conserved(found: Discovery) -> None:
    """0 over 0 is no rate of change."""
    [entry] = found.mend(lambda w: 3.0)
    assert entry.is_conserved


@pytest.mark.parametrize("h", [lambda w: jnp.sum(w["a"] ** 4), lambda w: w["b"][0]])
def test_a_quantity_like_no_law(found: Discovery, h: Any) -> None:
    """No law is offered where none shares its terms."""
    [entry] = found.mend(h)
    assert not entry.is_conserved
    assert entry.law is None
    assert "no law" in repr(entry)


@pytest.mark.parametrize("size", [0.00123456789, 1e-9, 1e7])
def test_the_mended_quantity_is_conserved_at_any_size(
    found: Discovery, size: float
) -> None:
    """The law has the multiple of the quantity to round-off, not to six digits."""
    [entry] = found.mend(
        lambda w: size * (jnp.sum(w["w"][0] ** 2) - jnp.sum(w["a"][:, 0] ** 2))
    )
    w, b, a = LIKE["w"][0], LIKE["b"][0], LIKE["a"][:, 0]
    assert entry.law is not None
    value = entry.law.invariant()(LIKE)
    np.testing.assert_allclose(value, size * (w @ w + b * b - a @ a), rtol=1e-9)


def test_a_quantity_that_is_not_finite_is_refused(found: Discovery) -> None:
    """Nan is no rate of zero."""
    with pytest.raises(ValueError, match="not finite"):
        found.mend(lambda w: jnp.sqrt(-(w["b"][0] ** 2) - 1))
