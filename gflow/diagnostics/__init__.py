"""What a theorist measures on a trajectory."""

from ._lojasiewicz import (
    Lojasiewicz as Lojasiewicz,
    Rate as Rate,
    lojasiewicz as lojasiewicz,
    rate as rate,
)
