"""Discrete methods on the same problems, and how far they stray from the flow."""

from ._compare import Comparison as Comparison, compare as compare
from ._iterate import iterate as iterate
from ._lbfgs import lbfgs as lbfgs
from ._minibatch import Minibatch as Minibatch
from ._search import Search as Search, search as search
from ._stepper import (
    GradientDescent as GradientDescent,
    Stepper as Stepper,
    from_optax as from_optax,
    gradient_descent as gradient_descent,
)
