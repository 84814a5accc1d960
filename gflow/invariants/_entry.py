"""What is known to be conserved: by which flows, where, and what becomes of it else.

h a conserved quantity, v = w' of gradient flow, λ the strength of weight decay
(λ/2)‖w‖², η a step, γ the friction of a flow with inertia.

1. Weight decay adds -λw to w' at rate 1, and so -λ⟨∇h, w⟩ to h'. Of h homogeneous of
   degree p that is -pλh.
2. A step of gradient descent: h(w + ηv) - h(w) = η⟨∇h, v⟩ + (η²/2)⟨v, ∇²h v⟩ + O(η³),
   of which the first is 0, for t/η steps.
3. With inertia h' = ⟨∇h, w'⟩, and as ⟨∇h, w'' + γ w'⟩ = 0, h'' + γ h' = ⟨w', ∇²h w'⟩.
"""

import dataclasses

from jaxtyping import Array

from ..flows import Flow
from ._example import Build, Example

_STEPS = "moves by (eta/2) int <v, (Hessian of h) v> dt + O(eta^2)"
_INERTIA = "is replaced by h'' + gamma h' = <w', (Hessian of h) w'>"
_ADAM = "lost: each entry of a step has a scale of its own"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A law: what is conserved, by which flows and where, and what becomes of it else.

    **Fields:**

    - `formula`, `where`: the quantity h, and the models or geometry that have it.
    - `conserved_by`: class names of flows. With inertia, of runs from rest.
    - `reference`: author, year.
    - `degree`: under weight decay (λ/2)‖w‖² at rate 1, h = h(0) exp(-degree λ t); None
        where it is broken.
    - `steps`, `inertia`, `adam`: what h does under gradient descent, under flows with
        inertia, and under Adam.

    ```python
    >>> import jax
    >>> from gflow.invariants import CATALOGUE
    >>> entry = CATALOGUE["softmax"]
    >>> print(entry.formula, "|", entry.decay, "|", entry.steps)
    sum_j W_jk, sum_j b_j | exp(-lambda t) | stays
    >>> example = entry.example(key=jax.random.key(0))
    >>> [law(example.w0).shape for law in example.invariants.values()]
    [(3,), ()]

    ```
    """

    formula: str
    where: str
    reference: str
    degree: int | None
    build: Build = dataclasses.field(repr=False)
    conserved_by: tuple[str, ...] = ("GradientFlow",)
    steps: str = _STEPS
    inertia: str = _INERTIA
    adam: str = _ADAM

    @property
    def decay(self) -> str:
        """What becomes of it under weight decay."""
        if self.degree is None:
            return "broken"
        if self.degree == 0:
            return "stays"
        factor = {1: "-", -1: ""}.get(self.degree, f"{-self.degree} ")
        return f"exp({factor}lambda t)"

    def example(self, *, key: Array, flow: Flow | None = None) -> Example:
        """A small random model that has the law.

        **Arguments:** `key`: of the model, the data and the start; `flow`: one that
        conserves it, by default gradient flow or heavy ball.
        """
        return self.build(key, flow)

    def __repr__(self) -> str:
        """In lines."""
        lines = {
            "conserved by": ", ".join(self.conserved_by),
            "where": self.where,
            "weight decay": self.decay,
            "gradient descent": self.steps,
            "inertia": self.inertia,
            "Adam": self.adam,
            "reference": self.reference,
        }
        return "\n".join([self.formula, *(f"  {k}: {v}" for k, v in lines.items())])


class Catalogue(dict[str, Entry]):
    """Name -> entry; printed, a table."""

    def __repr__(self) -> str:
        """A line each."""
        head = ("law", "formula", "where", "conserved by", "weight decay")
        rows = [head] + [
            (name, e.formula, e.where, ", ".join(e.conserved_by), e.decay)
            for name, e in self.items()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(f"{x:<{k}}" for x, k in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
