"""Whether this program knows all accounts of the warehouse, which are rows of ``orchestration.account``.

A program that was started without ``config/accounts.toml`` would leave an account out where people of all accounts are
resolved, exported or erased, and would take its records for those of a table that holds no people any more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.accounts import accounts_file
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

KNOWN = "SELECT source, crm FROM orchestration.account WHERE removed_at IS NULL AND name <> '' ORDER BY source"
REMOVED = "SELECT source FROM orchestration.account WHERE removed_at IS NOT NULL"


def known_accounts(session: "Session") -> dict[str, str]:
    """Return the accounts of the warehouse by the name of the source, each with its CRM."""
    return {row["source"]: row["crm"] for row in session.execute(KNOWN)}


def require_declared(session: "Session") -> None:
    """Raise ``NotConfigured`` when the warehouse has an account that this program does not know."""
    require([*known_accounts(session)], SOURCES)


def require(known: Sequence[str], sources: Sequence[Source]) -> None:
    """Raise ``NotConfigured`` for the accounts that are ``known`` to the warehouse and none of the sources."""
    declared = {source.name for source in sources if source.account}
    if lacking := [name for name in known if name not in declared]:
        raise NotConfigured(
            f"{accounts_file()} does not declare {', '.join(lacking)}, which this warehouse has, so their people would "
            "be left out. Declare them again and restart what runs; or delete their tables for good: "
            f"`warehouse accounts remove {' '.join(lacking)}`."
        )


def require_new(removed: Sequence[str], sources: Sequence[Source]) -> None:
    """Raise ``NotConfigured`` for a source with the name of an account that was ``removed``.

    What was decided about records, sent to the vendor or erased is kept by table and key, and would be taken for what
    another account's records of the same keys are.
    """
    if again := [source for source in sources if source.account and source.name in removed]:
        raise NotConfigured(
            f"{accounts_file()} declares {', '.join(source.name for source in again)}, and the account of this name "
            "was removed. What is kept of its people would be taken for what is known of others, so choose another "
            f"name than {' and '.join(source.account for source in again)}."
        )
