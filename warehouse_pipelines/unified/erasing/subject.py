"""Whom an erasure or an export is about: the persons that are meant, and by what else they are recognised.

``persons`` finds who is meant by an e-mail address (at Gmail in any spelling of the mailbox), a phone number or a
person's id; ``subject`` says what is theirs.
An address or a number that somebody else has too, such as the number of a couple or of the business itself, is
``shared``: it stays with the others, and proves nothing of a row by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model import phones
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines.unified.identity.normalise import gmail_box
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    OWN_NUMBERS,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

By = Literal["email", "phone", "person", "record"]
"""A record is written ``table:key``."""

Rows = Mapping[str, frozenset[str]]
"""Records by their table: the keys, whose parts have blanks between them."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom it is about. ``person_ids`` includes the ids that were theirs before (``identity.alias``).

    ``emails``, ``phones``  what is theirs alone, in lower case and in E.164
    ``mailboxes``           mailboxes at Gmail that are theirs alone, of which ``emails`` are spellings
    ``shared``              addresses and numbers that somebody else has too
    ``names``               given name and surname, in each spelling that is known
    ``streets``             streets with their number, in each spelling that is known
    ``records``             what identity says is theirs: records and touches
    """

    person_ids: tuple[UUID, ...] = ()
    staff: bool = False
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    streets: tuple[str, ...] = ()
    records: Rows = field(default_factory=dict)


def normal(by: By, value: str) -> str:
    """Return what was asked for as it is stored. Raises ``WrongUse`` for what is none."""
    value = value.strip()
    if by == "email":
        if "@" not in value:
            raise WrongUse("--email: that is no e-mail address.")
        return value.lower()
    if by == "phone":
        number = phones.e164(value)
        if number is None:
            raise WrongUse("--phone: that is no valid phone number; write it with its area code.")
        return number
    if by == "record":
        if value.partition(":")[0] not in {*BY_TABLE, ENTERED.table}:
            raise WrongUse("that is no record of a person; it is written table:key, such as hubspot_contact:123.")
        return value
    try:
        return str(UUID(value))
    except ValueError:
        raise WrongUse("--person: that is no id of a person; identity.person has them.") from None


def persons(session: "Session", by: By, value: str) -> list[dict[str, Any]]:
    """Return the persons that are meant, with what tells them apart; an id that was merged leads to who has it now.

    Raises ``WrongUse`` for a value that cannot be one.
    """
    given = normal(by, value)
    conditions = {
        "email": "p.emails && ARRAY[%(v)s] OR EXISTS (SELECT FROM identity.member AS m JOIN identity.record AS r"
        " USING (record_id) WHERE m.person_id = p.person_id"
        " AND (r.emails && ARRAY[%(v)s] OR r.block_keys && %(keys)s::text[]))",
        "phone": "p.phones && ARRAY[%(v)s] OR EXISTS (SELECT FROM identity.member AS m JOIN identity.record AS r"
        " USING (record_id) WHERE m.person_id = p.person_id AND r.phones && ARRAY[%(v)s])",
        "person": "p.person_id = coalesce((SELECT person_id FROM identity.alias WHERE alias_id = %(v)s::uuid),"
        " %(v)s::uuid)",
        "record": "p.person_id = (SELECT person_id FROM identity.member"
        " WHERE source_table || ':' || source_key = %(v)s)",
    }
    statement = f"""
        SELECT p.person_id, p.kind, p.display_name, p.city, p.record_count, p.source_tables FROM identity.person AS p
        WHERE {conditions[by]} ORDER BY p.created_at, p.person_id
    """  # noqa: S608
    box = gmail_box(given) if by == "email" else None
    return session.execute(statement, {"v": given, "keys": _keys(box) if box else []}).fetchall()


def _keys(mailbox: str) -> list[str]:
    """Return the block keys of a mailbox at Gmail, of customers and of staff."""
    return [f"e:{mailbox}", f"staff:e:{mailbox}"]


def subject(session: "Session", person_ids: Sequence[UUID], by: By, value: str) -> Subject:
    """Return what is known of these persons and of what was asked for."""
    given = normal(by, value)
    # Who was merged meanwhile has the id of the other now.
    followed = session.execute("SELECT alias_id, person_id FROM identity.alias WHERE alias_id = ANY(%s)",
                               [list(person_ids)]).fetchall()  # fmt: skip
    merged = {row["alias_id"]: row["person_id"] for row in followed}
    ids = list(dict.fromkeys(merged.get(one, one) for one in person_ids))
    aliases = session.execute("SELECT alias_id FROM identity.alias WHERE person_id = ANY(%s)", [ids]).fetchall()
    kinds = session.execute("SELECT kind FROM identity.person WHERE person_id = ANY(%s)", [ids]).fetchall()
    found = session.execute(
        """
        SELECT r.source_table, r.source_key, r.display_name, r.first_name, r.last_name, r.emails, r.phones, r.street,
            r.kind
        FROM identity.record AS r LEFT JOIN identity.member AS m USING (record_id)
            LEFT JOIN identity.touch AS t USING (record_id)
        WHERE m.person_id = ANY(%(ids)s) OR t.person_id = ANY(%(ids)s)
        UNION ALL
        SELECT NULL, NULL, display_name, first_name, last_name, emails, phones, street, kind
        FROM identity.person WHERE person_id = ANY(%(ids)s)
        """,
        {"ids": ids},
    ).fetchall()
    emails = {one for row in found if row["kind"] != "touch" for one in row["emails"]}
    numbers = {one for row in found if row["kind"] != "touch" for one in row["phones"]}
    if by == "email":
        emails.add(given)
    elif by == "phone":
        numbers.add(given)
    shared = _of_others(session, ids, emails, numbers)
    boxes = {box for one in emails - shared if (box := gmail_box(one))}
    records: dict[str, set[str]] = {}
    for row in found:
        if row["source_table"]:
            records.setdefault(row["source_table"], set()).add(row["source_key"])
    if by == "record":
        table, _, key = given.partition(":")
        records.setdefault(table, set()).add(key)
    return Subject(
        person_ids=(*ids, *(row["alias_id"] for row in aliases)),
        staff=any(row["kind"] == "staff" for row in kinds),
        emails=tuple(sorted(emails - shared)),
        phones=tuple(sorted(numbers - shared)),
        mailboxes=tuple(sorted(boxes - _boxes_of_others(session, ids, boxes))),
        shared=tuple(sorted(shared)),
        names=tuple(sorted(filter(None, map(_name, found)))),
        streets=tuple(sorted({row["street"] for row in found if row["street"] and row["kind"] != "touch"})),
        records={table: frozenset(keys) for table, keys in records.items()},
    )


def _name(row: Mapping[str, Any]) -> tuple[str, str] | None:
    if row["kind"] == "touch" or not (row["first_name"] and row["last_name"]):
        return None
    return row["first_name"], row["last_name"]


def _boxes_of_others(session: "Session", ids: list[UUID], boxes: set[str]) -> set[str]:
    """Return the mailboxes that another person has too, in whatever spelling."""
    keys = {key: box for box in boxes for key in _keys(box)}
    rows = session.execute(
        """
        SELECT DISTINCT k AS key FROM identity.record AS r JOIN identity.member AS m USING (record_id),
            unnest(r.block_keys) AS k
        WHERE r.block_keys && %(keys)s AND k = ANY(%(keys)s) AND m.person_id <> ALL(%(ids)s)
        """,
        {"keys": list(keys), "ids": ids},
    )
    return {keys[row["key"]] for row in rows} if keys else set()


def _of_others(session: "Session", ids: list[UUID], emails: set[str], numbers: set[str]) -> set[str]:
    """Return those that another person has too, or the business itself."""
    values = warehouse.value(
        session,
        """
        SELECT array_agg(DISTINCT v) FROM (
            SELECT v FROM identity.record AS r JOIN identity.member AS m USING (record_id), unnest(r.emails) AS v
            WHERE r.emails && %(emails)s AND v = ANY(%(emails)s) AND m.person_id <> ALL(%(ids)s)
            UNION ALL
            SELECT v FROM identity.record AS r JOIN identity.member AS m USING (record_id), unnest(r.phones) AS v
            WHERE r.phones && %(phones)s AND v = ANY(%(phones)s) AND m.person_id <> ALL(%(ids)s)
        ) AS others
        """,
        {"emails": list(emails), "phones": list(numbers), "ids": ids},
    )
    shared = set(values or ())
    for table, column in OWN_NUMBERS:
        statement = sql.SQL("SELECT DISTINCT {column} AS v FROM {table} WHERE {column} = ANY(%s)").format(
            column=sql.Identifier(f"{column}_e164"), table=sql.Identifier(*table.split("."))
        )
        shared |= {one["v"] for one in session.execute(statement, [list(numbers)])}
    return shared
