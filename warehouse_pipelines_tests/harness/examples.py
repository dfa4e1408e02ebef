"""How many examples a property test tries, and how many cases of a test are run."""

import os

ALL = "WAREHOUSE_TESTS_ALL"
"""``./run test --all`` sets it."""
ONCE = "WAREHOUSE_TESTS_ONCE"
"""Set where each test is run with one of its parameters, because the others send a server the same statements."""


def examples(quick: int, *, of: int) -> int:
    """Return ``quick``, which finds what breaks every time, or ``of`` of them when all tests are asked for."""
    return of if ALL in os.environ else quick
