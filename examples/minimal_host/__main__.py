"""`python -m examples.minimal_host smoke`, `resilience` or `soak`; unless told, the first two."""

import sys

from .commands import main

sys.exit(main())
