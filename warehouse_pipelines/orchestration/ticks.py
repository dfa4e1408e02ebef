"""What a sensor or a schedule raises when its tick fails.

A tick that fails must be a FAILURE of Dagster's: one that is skipped with the error as its reason looks like one that
had nothing to do, and nobody hears of it. What is raised has the message without credentials, because a tick keeps it
with its trace.
"""

import contextlib
from collections.abc import Iterator

from warehouse_pipelines.errors import masked


class TickFailed(Exception):
    """A tick could not do its work. A sensor's next one tries again; a schedule's is itself tried again each minute."""


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Raise ``TickFailed`` for whatever is raised in the block, with its name and its masked message and no trace."""
    try:
        yield
    except TickFailed:
        raise
    except Exception as error:
        import psycopg

        message = f"{type(error).__name__}: {masked(str(error))}"
        if isinstance(error, psycopg.errors.UndefinedTable):
            message = "the database is not migrated, or no further than an older version; run `warehouse migrate`"
        raise TickFailed(message) from None
