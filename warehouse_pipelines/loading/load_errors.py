"""What an error of the loading session means: bad data, a database that is away, or one that does not fit.

ADBC raises one class for all of them; the SQLSTATE tells them apart. An error about the data costs the records that
cause it (``loader``). Any other ends the run, and ``translate_error`` says what to do about it.
"""

import re

import adbc_driver_manager

from warehouse_pipelines.errors import ActionNeeded, DatabaseUnavailable, masked

DATA_ERRORS = ("22", "23", "54")
"""SQLSTATE classes that say something about the data: data exception, constraint, a limit of PostgreSQL."""


def sqlstate(error: adbc_driver_manager.Error) -> str | None:
    """Return the SQLSTATE, which ADBC has in a member or, for an error while reading a result, only in the text."""
    found = re.search(r"SQLSTATE: (\w{5})", str(error))
    return error.sqlstate or (found[1] if found else None)


def translate_error(error: adbc_driver_manager.Error, table: str) -> Exception:
    """Return our error for one of the driver that says nothing about the data of ``table``."""
    code = sqlstate(error)
    message = f"PostgreSQL refused to load {table} ({code or 'no answer'}): {masked(str(error))}"
    if code and code[:2] == "42":
        return ActionNeeded(f"{message}. The database does not fit this version: run `warehouse migrate`.")
    return DatabaseUnavailable(f"{message}. Nothing was committed; look at the server, then run again.")
