"""What the study of conservation laws can be asked."""

import dataclasses

from .._config import Config, option


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """Settings; the defaults are the smoke scale."""

    digits_samples: int = option(
        60, help="digits of 8 x 8 pixels", at_least=20, at_most=1400
    )
    digits_width: int = option(8, help="ReLU units", at_least=2, at_most=32)
    digits_t1: float = option(100.0, help="horizon, in units of flow time", above=0)
    digits_rtols: tuple[float, ...] = option(
        (1e-4, 1e-6), help="tolerances of the flow", above=1e-12, at_most=1e-3
    )
    digits_etas: tuple[float, ...] = option(
        (0.02, 0.01), help="step sizes eta of gradient descent", above=0, at_most=0.1
    )
    digits_steps_t1: float = option(2.0, help="horizon of gradient descent", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("digits_rtols", "digits_etas"):
            if len(getattr(self, name)) < 2:
                raise ValueError(f"{name} must have two values: a slope is fitted")


SMOKE = Settings()
FULL = Settings(
    digits_samples=300,
    digits_width=32,
    digits_t1=300.0,
    digits_rtols=(1e-4, 1e-6, 1e-8),
    digits_etas=(0.04, 0.02, 0.01, 0.005),
    digits_steps_t1=10.0,
)
