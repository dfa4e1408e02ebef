"""How many examples a property test tries."""

import os

ALL = "WAREHOUSE_TESTS_ALL"
"""``./run test --all`` sets it."""


def examples(quick: int, *, of: int) -> int:
    """Return ``quick``, which finds what breaks every time, or ``of`` of them when all tests are asked for."""
    return of if ALL in os.environ else quick
