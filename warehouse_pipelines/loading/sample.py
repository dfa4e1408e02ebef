"""A few rows for the UI, of a run or of the table, with ``***`` for what may say something about a person.

The declaration decides. Shown are ids (the key, ``refs``, columns of that kind or named so), figures, flags and times,
and texts whose name says that they are one word of a list: a status, a type. Every other text is masked, also one that
nobody has thought of yet; so are e-mail addresses, phone numbers, links and documents, whatever they are called; and
whatever does not look like an id, or like one word of a list, because somebody typed it into the wrong field.
"""

import re
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import MASK
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 5
SHOWN, MASKED = 9, 3
"""Columns of each sort. Some of the masked ones are there to say that the record has them."""

_LIST_WORD = re.compile(
    r"(^|_)(status|stage|dealstage|lifecyclestage|type|dealtype|category|mode|medium|channel|direction|currency|"
    r"currency_code|pipeline|priority|time_?zone|tier|visibility|transparency|disposition|color)$"
)
_ID = re.compile(r"\d{1,40}|(?=.*[A-Za-z])[A-Za-z0-9][\w.:-]{0,99}")
_CODE = re.compile(r"(?=.*[A-Za-z])([a-z0-9_./-]{1,40}|[A-Z0-9_./-]{1,40})")
"""A word out of a list, as programs write it; a name begins with a capital and goes on without."""
_LONG_NUMBER = re.compile(r"\d{9}")
"""It may be a phone number that stands in a wrong column."""
_PERSONAL_FIGURE = re.compile(r"(^|_)(age|dob|gender|sex|lat|lng)(_|$)|income|credit|salary|wage|marital")


def columns(entity: Entity) -> list[str]:
    """Return the columns of a sample: the key, then in declared order."""
    names = dict.fromkeys((*entity.keys, *entity.columns))
    open_ = [name for name in names if harmless(entity, name)][:SHOWN]
    hidden = [name for name in names if not harmless(entity, name)][:MASKED]
    return [name for name in names if name in {*open_, *hidden}]


def rows(entity: Entity, table: "pa.Table", limit: int = ROWS) -> list[dict[str, Any]]:
    """Return the first rows of a batch, masked."""
    names = [name for name in columns(entity) if name in table.column_names]
    return [
        {name: value(entity, name, found) for name, found in row.items()}
        for row in table.select(names).slice(0, limit).to_pylist()
    ]


def stored(url: str, entity: Entity, limit: int = ROWS) -> list[dict[str, Any]]:
    """Return the living rows with the greatest keys, masked: what an empty delta shows. The index finds them."""
    names = columns(entity)
    order = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(key)) for key in entity.keys)
    statement = sql.SQL("SELECT {} FROM {} WHERE NOT archived ORDER BY {} LIMIT {}").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        entity.identifier,
        order,
        sql.Literal(limit),
    )
    with warehouse.session(url) as connection:
        found = connection.execute(statement).fetchall()
    return [{name: value(entity, name, row[name]) for name in names} for row in found]


def harmless(entity: Entity, name: str) -> bool:
    """Return whether the values of a column may be shown."""
    kind = entity.columns[name].kind
    if kind in {"email", "phone", "url", "jsonb"}:
        return False
    if kind in {"id", "uuid"} or name in entity.keys or name in entity.refs or name == "id" or name.endswith("_id"):
        return True
    if redaction.is_personal(name, kind) or _PERSONAL_FIGURE.search(name):
        return False
    return kind != "text" or bool(_LIST_WORD.search(name))


def value(entity: Entity, name: str, found: Any) -> str | None:
    """Return what is shown of one value: nothing that does not look like what its column is said to hold."""
    if found is None:
        return None
    text = str(found)
    if not harmless(entity, name):
        return MASK
    kind = entity.columns[name].kind
    if kind in {"id", "uuid"} or name in entity.keys or name in entity.refs or name.endswith("id"):
        return text if _ID.fullmatch(text) else MASK
    if kind == "text":
        return text if _CODE.fullmatch(text) else MASK
    return MASK if kind in {"integer", "numeric"} and _LONG_NUMBER.search(text) else text
