"""The best values of each person: what stands in ``identity.person``, and where it came from.

``origins`` has for each of ``FIELDS`` the record that its value is of, the record's time, and the rule that decided:

    {"email": {"source_table": "hubspot_contact", "source_key": "7", "at": "2026-01-02T…", "rule": "trusted"}}

``name`` is the origin of display_name, first_name and last_name, ``address`` that of street, unit, city, state and zip.
A rule is one of ``identity.survivorship``, or: ``only`` (no other value), ``live`` (the others are of deleted records),
``complete`` (a whole name or address), ``usable`` (no placeholder), ``unshared`` (see below), ``first`` (all is equal).

Decided:

- The rules are rows that users edit, in ``identity.survivorship`` and ``identity.source_trust``; migrate adds the
  defaults of ``sql/defaults/identity.sql`` where a field or a table has none. A table without a row has rank 100.
- A name and an address are taken whole, from one record, so that no mixture of two people's lives comes about.
- ``emails`` and ``phones`` are all that are known, the best first, those of deleted records last: an opt-out holds for
  every number. Otherwise a deleted record gives a value only to a person whose records are all deleted.
- A phone that persons at two properties have comes after those that they do not share: it is another household's, too,
  or was. So the best phone of a person may change with another person, who has the phone or had it; ``refresh`` finds
  them by what stands in ``identity.person`` and by ``keys_before``.
- A row is written only when something of it changes, so ``updated_at`` says what the feed has to read again.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

FIELDS = ("name", "business", "email", "phone", "address")

MOST_SHARING = 100
"""A phone of more persons than this is nobody's: a company's, or a placeholder."""

_SAMPLED = {
    "person_candidate": "person_id, field, value, record_id",
    "person_value": "person_id, field, value, record_id, is_best",
    "person_best": "person_id",
}
"""Columns by which these are joined: of wide tables the others take longer to look at than the joins gain by it."""

_TABLES = {
    "person_asked": "person_id uuid PRIMARY KEY",
    "person_summary": """
        person_id uuid, kind text, has_live boolean, record_count integer, source_tables text[],
        first_seen_at timestamptz, last_seen_at timestamptz
        """,
    "person_candidate": """
        person_id uuid, field text COLLATE "C", value text COLLATE "C", record_id bigint, source_table text COLLATE "C",
        source_key text COLLATE "C", eligible boolean, good integer, neat boolean, ordinal bigint, length integer,
        rank integer, at timestamptz
        """,
    "person_shared_phone": 'phone text COLLATE "C" PRIMARY KEY',
    "person_value": """
        person_id uuid, field text COLLATE "C", value text COLLATE "C", record_id bigint, source_table text,
        source_key text, at timestamptz, is_best boolean, position bigint, rule text
        """,
    "person_best": "",
    "person_property": "property_id uuid PRIMARY KEY",
}
"""The temporary tables of a refresh, in the order in which they are filled."""


def refresh(
    session: "Session", person_ids: Collection[UUID] | None = None, *, keys_before: Collection[str] = ()
) -> int:
    """Compute the best values of these persons, or of all, and write what differs; return the number of rows written.

    The persons are there with their members. ``keys_before`` are the block keys that records had before they
    changed: others who have the phone may have it for themselves now. Raises ``psycopg.Error``.
    """
    if person_ids is not None and not person_ids and not keys_before:
        return 0
    many = person_ids is None or len(person_ids) >= bulk.MANY
    with bulk.step(session, memory="128MB" if many else None):
        for name, columns in _TABLES.items():
            if columns:
                bulk.temporary(session, name, columns)
        if person_ids is None:
            # What this transaction has written of the others, ``records`` and ``resolve`` have told the planner.
            session.execute("ANALYZE identity.property (property_id, zip, street)")
            session.execute("INSERT INTO person_asked SELECT person_id FROM identity.person")
        else:
            bulk.fill(session, "person_asked", ((one,) for one in set(person_ids)))
            bulk.analyze(session, "person_asked")
            sharing = {"keys": list(keys_before), "most": MOST_SHARING}
            session.execute(f"INSERT INTO person_asked {query('persons_sharing')}", sharing)
        bulk.analyze(session, "person_asked")
        _rank(session, everybody=person_ids is None)
        written = _write(session, everybody=person_ids is None)
        for name in reversed(_TABLES):
            session.execute(f"DROP TABLE pg_temp.{name}")
    return written


def _rank(session: "Session", *, everybody: bool) -> None:
    """Fill person_value: addresses before phones, because whose a phone is depends on where its owners live."""
    _insert(session, "person_summary", query("persons_summaries"))
    _insert(session, "person_candidate", query("persons_candidates"))
    ranked = query("persons_ranked")
    _insert(session, "person_value", ranked, {"fields": [field for field in FIELDS if field != "phone"]})
    sharing = {"all": everybody, "most": MOST_SHARING}
    _insert(session, "person_shared_phone", query("persons_shared_phones"), sharing)
    _insert(session, "person_value", ranked, {"fields": ["phone"]})


def _write(session: "Session", *, everybody: bool) -> int:
    session.execute(query("properties_new"))
    session.execute("CREATE TEMP TABLE person_best (LIKE identity.person) ON COMMIT DROP")
    session.execute("ALTER TABLE person_best DROP household_id, DROP created_at, DROP updated_at")
    _insert(session, "person_best", query("persons_best"))
    persons = warehouse.value(session, "SELECT count(*) FROM person_best")
    with bulk.bare(session, "identity.person", rows=persons):
        session.execute(query("properties_lost"))
        written = session.execute(query("persons_update")).rowcount
    # Two rows that came and went since it was last analysed, and the planner would read all properties for them.
    session.execute("ANALYZE identity.left_property")
    named = "SELECT property_id FROM identity.property" if everybody else query("properties_named")
    _insert(session, "person_property", named)
    session.execute(query("properties_places"))
    return written


def _insert(session: "Session", table: str, select: str, parameters: Mapping[str, object] | None = None) -> None:
    session.execute(f"INSERT INTO {table} {select}", parameters)
    bulk.analyze(session, table, _SAMPLED.get(table, ""))
