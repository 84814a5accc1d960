"""Invariants by name, with what is known of those that are missing."""

from collections.abc import Mapping

from ._invariant import Invariant


class Laws(dict[str, Invariant]):
    """Name -> invariant, and in `notes` place -> why a law that one may expect is not.

    To be given to `simulate` or `drift` as it is. Printed, a table of formulas with the
    notes below.
    """

    notes: dict[str, str]

    def __init__(
        self,
        laws: Mapping[str, Invariant] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(laws or {})
        self.notes = dict(notes or {})

    def include(self, other: "Laws") -> None:
        """Add the laws and notes of another."""
        self.update(other)
        self.notes.update(other.notes)

    def __repr__(self) -> str:
        """Names and formulas, then the notes."""
        width = max((len(name) for name in self), default=0)
        lines = [f"{name:<{width}}  {law.formula}" for name, law in self.items()]
        lines += [f"left out at {place}: {note}" for place, note in self.notes.items()]
        return "\n".join(lines) or "no laws"
