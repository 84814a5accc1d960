"""`python -m gflow` is `gflow`."""

import sys

from ._cli import main

sys.exit(main())
