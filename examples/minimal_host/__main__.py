"""`python -m examples.minimal_host smoke`, `resilience` or `soak`; unless told, the first two."""

import logging
import sys

from .commands import main

logging.getLogger("squid_mesh").setLevel(logging.ERROR)  # a kill is no news here
sys.exit(main())
