"""Papers, each with its claims as executable checks.

Importing this package imports no study, and neither jax nor matplotlib.
"""

from ._claim import Claim as Claim
from ._conduct import Conducted as Conducted, conduct as conduct
from ._config import (
    Config as Config,
    describe as describe,
    option as option,
    with_settings as with_settings,
)
from ._record import (
    Record as Record,
    claims_table as claims_table,
    read as read,
)
from ._registry import (
    WEIGHT_NORMALIZATION as WEIGHT_NORMALIZATION,
    Entry as Entry,
    catalog as catalog,
    entry_of as entry_of,
    load as load,
    require_extras as require_extras,
)
from ._run_directory import (
    prepare as prepare,
    report as report,
    report_path as report_path,
    write as write,
)
from ._study import (
    Figure as Figure,
    ReportProgress as ReportProgress,
    Study as Study,
    StudyResult as StudyResult,
    merge as merge,
)
