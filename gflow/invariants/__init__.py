"""What should not change along a flow."""

from ._invariant import Invariant as Invariant
