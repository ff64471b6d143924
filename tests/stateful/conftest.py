"""What this directory's helpers assert is explained as in a test."""

import pytest

pytest.register_assert_rewrite("tests.stateful.stage", "tests.stateful.model")
