"""Polynomials modulo a prime, from functions written in jax.

A function is traced once, and its program is run again over arrays whose entries are
polynomials. Its numbers are taken as the rationals that they are: 0.1 in float64 is
3602879701896397/2^55, whose inverse powers of two exist modulo an odd prime.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

_DIGITS = 20

# The largest prime of its kind below 2^63: residues fit into machine words, and a
# polynomial of degree d that is not zero vanishes at a random point with probability
# at most d / 2^61.
PRIME = 2**61 - 1


class NotPolynomial(TypeError):
    """A function does something else than add, multiply and move numbers about."""


class Ring:
    """Polynomials over the integers modulo `PRIME` in a given number of variables."""

    def __init__(self, num_variables: int) -> None:
        names = [f"x{i}" for i in range(num_variables)]
        self.context = flint.nmod_mpoly_ctx.get(
            names, modulus=PRIME, ordering=flint.Ordering.degrevlex
        )
        self.variables = polynomials(self.context.gens())
        # Whether a number was met that looks rounded: of more than 20 binary digits.
        self.is_rounded = False

    def number(self, value: Any) -> Any:
        """A real number as a constant polynomial."""
        if np.iscomplexobj(value) or not math.isfinite(value):
            raise NotPolynomial(f"the constant {value} is no finite real number")
        ratio = Fraction(float(value))
        digits = abs(ratio.numerator).bit_length(), ratio.denominator.bit_length()
        self.is_rounded |= max(digits) > _DIGITS
        residue = ratio.numerator * pow(ratio.denominator, -1, PRIME) % PRIME
        return self.context.constant(residue)

    def constants(self, values: Any) -> np.ndarray:
        """An array of numbers as an array of constant polynomials."""
        values = np.asarray(values)
        flat = [self.number(value) for value in values.ravel()]
        return polynomials(flat).reshape(values.shape)

    def run(
        self, function: Callable[..., Any], *arguments: np.ndarray
    ) -> list[np.ndarray]:
        """The outputs of `function`, an array of polynomials for each leaf of them.

        **Arguments:** `arguments`: arrays of polynomials, each in the place of an array
        of floats.

        **Raises:** `NotPolynomial`, naming the operation that is none.
        """
        shapes = [jax.ShapeDtypeStruct(a.shape, jnp.zeros(0).dtype) for a in arguments]
        program = jax.make_jaxpr(function)(*shapes)
        outputs = self._evaluate(program.jaxpr, program.consts, list(arguments))
        return [self._lifted(output) for output in outputs]

    def _lifted(self, value: Any) -> np.ndarray:
        return value if _is_polynomial(value) else self.constants(value)

    def _evaluate(self, program: Any, consts: Any, arguments: list[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(program.constvars, consts, strict=True))
        known.update(zip(program.invars, arguments, strict=True))

        def value(variable: Any) -> Any:
            literal = isinstance(variable, Literal)
            return variable.val if literal else known[variable]

        for equation in program.eqns:
            outputs = self._apply(equation, [value(v) for v in equation.invars])
            known.update(zip(equation.outvars, outputs, strict=True))
        return [value(v) for v in program.outvars]

    def _apply(self, equation: Any, operands: list[Any]) -> list[Any]:
        """The outputs of one operation of the program."""
        name, params = equation.primitive.name, equation.params
        is_constant = not any(map(_is_polynomial, operands))
        if name in _CALLS or (is_constant and name in _CUSTOM):
            program = next(params[k] for k in _PROGRAMS if k in params)
            closed = hasattr(program, "consts")
            inner, consts = (program.jaxpr, program.consts) if closed else (program, [])
            return self._evaluate(inner, consts, operands)
        if is_constant:
            outputs = equation.primitive.bind(*operands, **params)
            return outputs if equation.primitive.multiple_results else [outputs]
        if name == "cond" and not _is_polynomial(operands[0]):
            branch = params["branches"][int(operands[0])]
            return self._evaluate(branch.jaxpr, branch.consts, operands[1:])
        if name in _MOVES:
            return self._move(equation, operands)
        if name not in _ARITHMETIC:
            raise NotPolynomial(f"{name} is not an operation on polynomials")
        lifted = [self._lifted(operand) for operand in operands]
        return [_array(_ARITHMETIC[name](lifted, params))]

    def _move(self, equation: Any, operands: list[Any]) -> list[Any]:
        """Operations that only place entries: they are run on the entries' numbers."""
        first, last = _MOVES[equation.primitive.name]
        data = [self._lifted(operand) for operand in operands[first:last]]
        others = operands[:first], operands[len(operands[:first]) + len(data) :]
        if any(_is_polynomial(x) for side in others for x in side):
            raise NotPolynomial(f"{equation.primitive.name} by the parameters")
        entries = np.concatenate([x.ravel() for x in data])
        starts = np.cumsum([0] + [x.size for x in data])
        places = [
            jnp.arange(start, start + x.size).reshape(x.shape)
            for start, x in zip(starts, data, strict=False)
        ]
        params = dict(equation.params)
        if equation.primitive.name == "gather":
            params["fill_value"] = -1  # no place
        moved = equation.primitive.bind(*others[0], *places, *others[1], **params)
        moved = moved if equation.primitive.multiple_results else [moved]
        if any(np.any(np.asarray(m) < 0) for m in moved):
            raise NotPolynomial("gather beyond the end of an array")
        return [_array(entries[np.asarray(m)]) for m in moved]


# Operations that stand for a program, and where they keep it. What has a derivative of
# its own is entered for constants only: its program would be differentiated otherwise.
_CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "remat2")
_CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
_PROGRAMS = ("jaxpr", "call_jaxpr", "fun_jaxpr")

# Which operands of an operation that moves data hold data.
_MOVES: dict[str, tuple[int, int | None]] = {
    "broadcast_in_dim": (0, 1),
    "concatenate": (0, None),
    "dynamic_slice": (0, 1),
    "expand_dims": (0, 1),
    "gather": (0, 1),
    "pad": (0, 2),
    "reshape": (0, 1),
    "rev": (0, 1),
    "select_n": (1, None),
    "slice": (0, 1),
    "split": (0, 1),
    "squeeze": (0, 1),
    "stack": (0, None),
    "transpose": (0, 1),
}


def polynomials(entries: Any) -> np.ndarray:
    """A flat array of polynomials, which numpy would take for sequences."""
    out = np.empty(len(entries), dtype=object)
    for place, entry in enumerate(entries):
        out[place] = entry
    return out


def _array(value: Any) -> np.ndarray:
    """An array; numpy gives the entry itself where a result has no axes."""
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def _is_polynomial(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _dot_general(operands: list[np.ndarray], params: dict[str, Any]) -> Any:
    (left_sum, right_sum), (left_batch, right_batch) = params["dimension_numbers"]
    left, left_free = _matrices(operands[0], left_batch, left_sum)
    right, right_free = _matrices(operands[1], right_batch, right_sum)
    batch = tuple(operands[0].shape[axis] for axis in left_batch)
    return (left @ right.swapaxes(-1, -2)).reshape((*batch, *left_free, *right_free))


def _matrices(
    x: np.ndarray, batch: Any, summed: Any
) -> tuple[np.ndarray, tuple[int, ...]]:
    """An array as matrices (batch, free axes, summed axes), with its free axes."""
    free = [axis for axis in range(x.ndim) if axis not in (*batch, *summed)]
    shape, sizes = np.array(x.shape, dtype=int), (batch, free, summed)
    moved = x.transpose(*batch, *free, *summed)
    flat = [int(np.prod(shape[list(axes)])) for axes in sizes]
    return moved.reshape(flat), tuple(x.shape[axis] for axis in free)


def _convolution(operands: list[np.ndarray], params: dict[str, Any]) -> np.ndarray:
    """By the array T of zeros and ones with out = Σ T x y, made by differentiation."""

    def convolve(x: Any, y: Any) -> Any:
        return jax.lax.conv_general_dilated_p.bind(x, y, **params)

    zeros = [jnp.zeros(operand.shape) for operand in operands]
    tensor = np.asarray(jax.jacfwd(jax.jacfwd(convolve, 0), 1)(*zeros))
    shape = tensor.shape[: operands[0].ndim]
    flat = tensor.reshape(-1, operands[0].size, operands[1].size)
    x, y = (operand.ravel() for operand in operands)
    out = polynomials([0 * x[0] for _ in range(len(flat))])
    for place, left, right in np.argwhere(flat):
        out[place] = out[place] + x[left] * y[right]
    return out.reshape(shape)


def _quotient(dividends: np.ndarray, divisors: np.ndarray) -> Any:
    if not all(divisor.is_constant() for divisor in divisors.ravel()):
        raise NotPolynomial("a quotient by parameters is no polynomial")
    return dividends / divisors


def _converted(x: np.ndarray, dtype: Any) -> np.ndarray:
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise NotPolynomial(f"rounding to {np.dtype(dtype).name} is no polynomial")
    return x


def _power(bases: np.ndarray, exponent: int) -> Any:
    if exponent < 0:
        raise NotPolynomial(f"the power {exponent} is no polynomial")
    return bases**exponent


_ARITHMETIC: dict[str, Callable[[list[np.ndarray], dict[str, Any]], Any]] = {
    "add": lambda x, params: x[0] + x[1],
    "add_any": lambda x, params: x[0] + x[1],
    "sub": lambda x, params: x[0] - x[1],
    "mul": lambda x, params: x[0] * x[1],
    "div": lambda x, params: _quotient(x[0], x[1]),
    "neg": lambda x, params: -x[0],
    "square": lambda x, params: x[0] * x[0],
    "integer_pow": lambda x, params: _power(x[0], params["y"]),
    "copy": lambda x, params: x[0],
    "convert_element_type": lambda x, params: _converted(x[0], params["new_dtype"]),
    "reduce_sum": lambda x, params: x[0].sum(axis=params["axes"]),
    "reduce_prod": lambda x, params: x[0].prod(axis=params["axes"]),
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
}
