"""Touches: calls, texts and forms without a name. Each belongs to the person whose number it was at that time.

Who has the number is known from the records that have it, with the time from the first to the last of them. The
certainty of ``identity.touch``, with its reason in words:

- ``certain``: one person has the number, or had it at that time, as the only household;
- ``likely``: of several people the caller's name fits one; or the household had the number before, or later, not then;
- ``household``: several people of one household have it;
- ``unknown``: nobody has it, or several households had it at that time.

Decided:

- An e-mail address tells more than a phone: a form that has both is its owner's.
- A number is a household's from ``LEAD`` before its first record with the number: people call, and then somebody
  writes them down. Where households overlap nothing is guessed.
- Records that are deleted still tell whose number it was. A customer goes before staff with the same number.
- A number of more than ``MOST_SHARING`` people is nobody's.
- Most records that change get another time and nothing else (a status moved). Times decide between households; so the
  touches of a number that one household has are not looked at then.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import tuple_row

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.identity.persons import MOST_SHARING

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

LEAD = timedelta(days=30)

Held = tuple[UUID, str, UUID | None, list[str], list[str]]
"""A person's id, kind, household, phones and e-mail addresses."""

_TABLES = {
    "touch_before": "person_id uuid PRIMARY KEY, kind text, household_id uuid, phones text[], emails text[]",
    "touch_asked": "record_id bigint PRIMARY KEY",
    "touch_holding": "rule text, value text, record_id bigint, created_at timestamptz, updated_at timestamptz",
    "touch_holder": """
        rule text, value text, person_id uuid, household_id uuid, unit uuid, since timestamptz, until timestamptz,
        is_mass boolean
        """,
    "touch_made": """
        record_id bigint PRIMARY KEY, source_table text, source_key text, person_id uuid, household_id uuid,
        certainty text, rule text, reason text, touched_at timestamptz
        """,
}
"""The temporary tables of a refresh, in the order in which they are filled."""


def held(session: "Session", edited: Collection[int], others: Collection[int]) -> list[Held]:
    """Return what the persons of ``edited`` have, records of which only times or the shown name changed.

    Those of ``others`` are left out. To be asked before ``persons.refresh``. Raises ``psycopg.Error``.
    """
    with session.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query("touches_held"), {"edited": list(edited), "others": list(others)}).fetchall()


def refresh(
    session: "Session",
    record_ids: Collection[int] | None = None,
    *,
    keys_before: Collection[str] = (),
    held_before: Collection[Held] = (),
) -> int:
    """Attach the touches that these records reach, or all, and write what differs; return the number of rows written.

    ``persons.refresh`` and ``households.refresh`` ran before, in the same transaction: who was written there counts as
    changed. ``keys_before`` are the block keys that records had before they changed, ``held_before`` what ``held``
    returned: who still has that reaches few touches. Raises ``psycopg.Error``.
    """
    everything = record_ids is None
    with bulk.step(session, memory="128MB" if everything or len(record_ids or ()) >= bulk.MANY else None):
        for name, columns in _TABLES.items():
            bulk.temporary(session, name, columns)
        records = list(record_ids or ())
        session.execute(query("touches_left"), {"all": everything, "records": records})
        if everything:
            session.execute("INSERT INTO touch_asked SELECT record_id FROM identity.record WHERE kind = 'touch'")
        else:
            bulk.fill(session, "touch_before", held_before)
            bulk.analyze(session, "touch_before")
            asked = query("touches_asked")
            session.execute(f"INSERT INTO touch_asked {asked}", {"records": records, "keys": list(keys_before)})
        bulk.analyze(session, "touch_asked")
        holding = query("touches_holding_all") if everything else query("touches_holding")
        session.execute(f"INSERT INTO touch_holding {holding}")
        bulk.analyze(session, "touch_holding")
        session.execute(f"INSERT INTO touch_holder {query('touches_holders')}", {"most": MOST_SHARING})
        bulk.analyze(session, "touch_holder")
        made = session.execute(
            f"INSERT INTO touch_made {query('touches_made')}", {"lead": LEAD, "most": MOST_SHARING}
        ).rowcount
        bulk.analyze(session, "touch_made")
        with bulk.bare(session, "identity.touch", rows=made):
            written = session.execute(query("touches_write")).rowcount
        for name in reversed(_TABLES):
            session.execute(f"DROP TABLE pg_temp.{name}")
    return written
