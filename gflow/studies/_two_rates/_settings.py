"""What the two-rates study can be asked."""

import dataclasses

from ...models import RELU_INITIALIZATIONS, TWO_LAYER_LABELS
from .._config import Config, option


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """Settings; the defaults are the smoke scale."""

    samples: tuple[int, ...] = option(
        (50,), help="numbers of examples n of the maps", at_least=2, at_most=400
    )
    dim: int = option(10, help="input dimension d", at_least=1)
    widths: tuple[int, ...] = option((4, 8, 16), help="widths m of the maps, rising")
    wide_widths: tuple[int, ...] = option(
        (64,),
        help="widths at ratio 1 (or the first) alone, that tell where the kernel rests",
        at_least=1,
    )
    ratios: tuple[float, ...] = option(
        (1.0,),
        help="rate ratios eta_2/eta_1 of the maps, with eta_1 = 1",
        at_least=0,
    )
    frozen_first: bool = option(
        True, help="also the ratio infinity: the first layer frozen, eta_2 = 1"
    )
    num_seeds: int = option(4, help="instances a cell, from seed 0 on", at_least=2)
    labels: str = option(
        "gaussian", help="labels of the maps", choices=TWO_LAYER_LABELS
    )
    initialization: str = option(
        "lecun", help="initialization of the maps", choices=RELU_INITIALIZATIONS
    )
    compared_widths: tuple[int, ...] = option(
        (16,), help="widths at which initializations are compared", at_least=1
    )
    compared_labels: tuple[str, ...] = option(
        ("gaussian", "least"),
        help="labels under which initializations are compared",
        choices=TWO_LAYER_LABELS,
    )
    compared_samples: int = option(
        50,
        help="number of examples at which initializations are compared",
        at_least=2,
        at_most=400,
    )
    num_compared: int = option(1, help="instances for each initialization", at_least=1)
    digits_samples: int = option(
        60, help="digits with random labels", at_least=10, at_most=400
    )
    digits_widths: tuple[int, ...] = option((16,), help="widths on the digits, rising")
    num_digits_seeds: int = option(2, help="random labelings of the digits", at_least=1)
    descent_etas: tuple[float, ...] = option(
        (0.005, 0.0025, 0.00125, 0.000625),
        help="step sizes of gradient descent, each a divisor of the time 0.5",
        above=0,
        at_most=0.5,
    )
    descent_ratio: float = option(
        0.5, help="rate ratio of gradient descent beside the flow", above=0
    )
    explicit_steps: int = option(
        0,
        help="steps of a plain explicit method at the kinks, 0 to leave that out",
        at_least=0,
    )
    explicit_eta: float = option(
        2e-5, help="small fixed step under which pairs zigzag", above=0, at_most=1e-3
    )
    zero: float = option(
        1e-6, help="loss that counts as zero, relative to |y|^2/2", above=0, below=1
    )
    t1: float = option(1e4, help="horizon of the maps, in units of flow time", above=0)
    num_saved: int = option(
        16, help="times of a flow at which its kernel is looked at", at_least=2
    )
    max_steps: int = option(6000, help="steps a flow of the maps may take", at_least=1)
    rtol: float = option(1e-4, help="relative tolerance of the maps", above=0)
    law_rtol: float = option(
        1e-8, help="relative tolerance of the reference runs", above=0
    )
    num_resamples: int = option(
        2000, help="bootstrap resamples of an interval", at_least=100
    )

    @property
    def beside(self) -> tuple[int, ...]:
        """Those of the wide widths that the maps do not have themselves."""
        return tuple(sorted(set(self.wide_widths) - set(self.widths)))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("widths", "digits_widths"):
            widths = getattr(self, name)
            if min(widths) < 1 or list(widths) != sorted(widths):
                raise ValueError(f"{name} must rise and be >= 1, not {widths}")
        for eta in self.descent_etas:
            if abs(0.5 / eta - round(0.5 / eta)) > 1e-9 * 0.5 / eta:
                raise ValueError(f"descent_etas must divide 0.5, not {eta:g}")
        if self.initialization == "zero_output" and 0.0 in self.ratios:
            raise ValueError(
                "ratio 0 freezes output weights that begin at zero: nothing moves; "
                "leave 0 out of ratios, or take another initialization"
            )


SMOKE = Settings()
FULL = Settings(
    # With the first layer alone trained, a flow takes a minute at 75 examples.
    samples=(25, 35, 50),
    widths=(2, 3, 4, 6, 8, 11, 16, 32, 128),
    wide_widths=(64, 256, 512),
    ratios=(0.0, 1.0, 10.0),
    num_seeds=8,
    compared_widths=(8, 16, 32),
    compared_labels=("gaussian", "signs", "least"),
    num_compared=8,
    digits_samples=100,
    digits_widths=(1, 2, 4, 8, 16, 32),
    num_digits_seeds=4,
    descent_etas=(0.005, 0.0025, 0.00125, 0.000625, 0.0003125),
    explicit_steps=20_000,
    max_steps=10_000,
)
