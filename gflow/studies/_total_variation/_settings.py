"""What the total-variation study can be asked."""

import dataclasses

from .._config import Config, option

TARGETS = ("line", "parabola", "cubic")
ACTIVATIONS = ("tanh", "gelu", "softplus")
NUM_CARS = 392


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """Settings; the defaults are the smoke scale."""

    targets: tuple[str, ...] = option(
        ("parabola",), help="target functions", choices=TARGETS
    )
    num_seeds: int = option(1, help="instances of each target", at_least=1)
    num_data: int = option(100, help="N, data of an instance", at_least=10)
    noise: float = option(0.1, help="standard deviation of the noise", at_least=0)
    width: int = option(200, help="tanh units of the shallow net", at_least=1)
    few: int = option(20, help="units of the small net, unpenalized", at_least=1)
    strength1: float = option(1e-1, help="eta_1, of 1-TV", at_least=0)
    strength2: float = option(1e-3, help="eta_2, of 2-TV", at_least=0)
    strength3: float = option(1e-5, help="eta_3, of 3-TV", at_least=0)
    ridges: tuple[float, ...] = option(
        (1e-1,), help="ridge strengths lambda", at_least=0
    )
    eta: float = option(1e-3, help="largest step size of SGD", above=0)
    decay: float = option(0.9, help="factor of the step size", above=0, at_most=1)
    decay_every: int = option(25, help="steps between factors", at_least=1)
    cycle: int = option(1000, help="steps after which it starts anew", at_least=1)
    num_steps: int = option(20_000, help="steps of SGD", at_least=1)
    batch: int = option(5, help="data in a batch, without replacement", at_least=1)
    points: int = option(5, help="uniform points in a batch", at_least=1)
    quadrature: int = option(64, help="Gauss-Legendre points", at_least=2)
    rtol: float = option(1e-4, help="relative tolerance of the flows", above=0)
    draws: int = option(
        4000, help="estimates averaged against quadrature", at_least=100
    )
    modified_eta: float = option(
        0.02, help="step size against the modified equation", above=0
    )
    modified_seeds: int = option(4000, help="runs of SGD averaged there", at_least=10)
    modified_t1: float = option(1.0, help="time at which they are compared", above=0)
    cost_orders: tuple[int, ...] = option(
        (1, 2, 4, 6), help="orders k whose cost is counted", at_least=1
    )
    cost_compiled: int = option(
        2,
        help="highest order at which nested derivatives and gradients are compiled",
        at_least=0,
    )
    cost_width: int = option(32, help="units of each of three layers", at_least=1)
    compare_target: str = option(
        "parabola", help="target on which methods are compared", choices=TARGETS
    )
    compare_seeds: int = option(1, help="instances there", at_least=1)
    compare_strengths: tuple[float, ...] = option(
        (1.0, 10.0), help="penalties tried, times the paper's", above=0
    )
    compare_ridges: tuple[float, ...] = option(
        (1e-1, 1.0), help="ridge strengths tried", above=0
    )
    outlier_share: float = option(
        0.1, help="share of the data spoiled", at_least=0, below=1
    )
    outlier_size: float = option(1.0, help="by how much, up or down", at_least=0)
    cars_folds: int = option(
        2, help="folds of cross-validation, each the test cars once", at_least=2
    )
    cars_repeats: int = option(1, help="divisions into folds, at random", at_least=1)
    cars_train: int = option(
        100, help="cars of the other folds trained on; the rest choose", at_least=10
    )
    physics_t1: float = option(1e4, help="flow time of physics-informed nets", above=0)
    physics_width: int = option(30, help="tanh units there", at_least=1)
    physics_seeds: int = option(1, help="starts there", at_least=1)
    plane_seeds: int = option(1, help="instances in two dimensions", at_least=1)
    plane_directions: tuple[str, ...] = option(
        ("axes",), help="kinds of directions there", choices=("axes", "sphere")
    )
    plane_strength: float = option(1e-3, help="eta_2 there", at_least=0)
    plane_data: int = option(100, help="data in two dimensions", at_least=10)
    deep_activations: tuple[str, ...] = option(
        ("gelu",), help="activations of deep nets", choices=ACTIVATIONS
    )
    deep_widths: tuple[int, ...] = option(
        (32, 24), help="units of each hidden layer of deep nets", at_least=1
    )
    deep_order: int = option(2, help="order k of their penalty", at_least=1)
    deep_strengths: tuple[float, ...] = option(
        (1e-5, 1e-4, 1e-3), help="strengths eta_k of it, rising", above=0
    )
    deep_scale: float = option(
        2.0, help="spread of their first weights, times 1/sd(x)", above=0
    )
    deep_t1: float = option(25.0, help="flow time of deep nets", above=0)
    deep_eta: float = option(2.5e-4, help="step size of SGD there", above=0)
    deep_seeds: int = option(1, help="instances there", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch > self.num_data:
            raise ValueError(
                f"batch must be at most num_data = {self.num_data}, not {self.batch}"
            )
        rest = NUM_CARS - -(-NUM_CARS // self.cars_folds)
        if self.cars_train > rest - 10:
            raise ValueError(
                f"cars_train must leave 10 of the {rest} cars outside of a fold (of "
                f"cars_folds = {self.cars_folds}) to choose strengths, not "
                f"{self.cars_train}"
            )
        if self.few > self.width:
            raise ValueError(f"few must be at most width = {self.width}")
        if self.deep_strengths != tuple(sorted(self.deep_strengths)):
            raise ValueError(f"deep_strengths must rise, not {self.deep_strengths}")
        if self.deep_eta > self.deep_t1:
            raise ValueError(f"deep_eta must be at most deep_t1 = {self.deep_t1}")
        if self.cost_orders != tuple(sorted(self.cost_orders)):
            raise ValueError(f"cost_orders must rise, not {self.cost_orders}")
        if len(self.cost_orders) < 3:
            raise ValueError("cost_orders must be three or more: a power is fitted")


SMOKE = Settings()
FULL = Settings(
    targets=TARGETS,
    num_seeds=5,
    ridges=(1e-1, 1e-2, 1e-3),
    draws=20_000,
    modified_seeds=20_000,
    cost_orders=(1, 2, 3, 4, 5, 6, 7, 8),
    cost_compiled=6,
    compare_seeds=15,
    compare_strengths=(0.01, 0.1, 1.0, 10.0, 100.0),
    # Evenly spaced in the logarithm.
    compare_ridges=(1e-3, 6.3e-3, 4e-2, 0.25, 1.6, 10.0),
    cars_folds=5,
    cars_repeats=2,
    cars_train=235,
    physics_t1=1e5,
    physics_seeds=3,
    plane_seeds=5,
    plane_directions=("axes", "sphere"),
    deep_activations=ACTIVATIONS,
    deep_seeds=10,
)
