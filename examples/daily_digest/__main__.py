"""`python -m examples.daily_digest` plays the demo."""

import sys

from .demo import main

sys.exit(main())
