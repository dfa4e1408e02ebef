"""SELECTs of ``sql/marts`` for all accounts of the CRMs that they name, as text.

    -- each account          what stands between the two is repeated for each account of the CRM whose tables it names,
    SELECT … FROM callrail_call AS c WHERE c.id = …
    -- all accounts          with their names in place of these, in literals too, and UNION ALL between the copies

In a copy ``{account}`` is what tells its ids from another account's: ``'callrail_north '``; for the account without a
name it is empty. A list of tables after IN has those of all accounts. Without further accounts a SELECT is as it stands
there.
"""

import re

from warehouse_pipelines.model.accounts import sql_for_account, tables_of
from warehouse_pipelines.sources import SOURCES

EACH = "-- each account"
"""The line after which a part is repeated."""

_EACH = re.compile(rf"^ *{EACH}\n(.*?)^ *-- all accounts\n", re.MULTILINE | re.DOTALL)
_LIST = re.compile(r"IN \(\s*('[\w.]+'(?:,\s*'[\w.]+')*)\)")


def for_all(select: str) -> str:
    """Return the SELECT for all accounts."""
    return _LIST.sub(_listed, _EACH.sub(_each, select))


def all_rows(table: str) -> str:
    """Return what has the rows of a table in all accounts: the view of all, or the table itself where there is one."""
    return f"accounts.{table.rpartition('.')[2]}" if len(tables_of(table, SOURCES)) > 1 else table


def _each(found: re.Match[str]) -> str:
    part = found[1]
    copies = [part.replace("{account}", "''")]
    for source in SOURCES:
        own = {entity.table for entity in source.entities}
        if source.account and own & {source.tables.get(word) for word in _words(part)}:
            copies.append(sql_for_account(part, source).replace("{account}", f"'{source.name} '"))
    return "    UNION ALL\n".join(copies)


def _words(part: str) -> set[str]:
    return set(re.findall(r"\b[a-z][\w.]*\b", part))


def _listed(found: re.Match[str]) -> str:
    names = re.findall(r"'([\w.]+)'", found[1])
    more = [table for name in names for table in tables_of(name, SOURCES) if table not in names]
    return found[0] if not more else f"IN ({found[1]}, {', '.join(repr(name) for name in more)})"
