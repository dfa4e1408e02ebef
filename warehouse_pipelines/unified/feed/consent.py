"""How people may be reached: flags of all sources into ``crm.consent_fact``, the do-not-call list, ``leads.consent``.

Decided:

- Silence changes nothing. Only a flag that expressly says the contrary withdraws a consent, and a withdrawn flag
  lifts no opt-out: ``crm.end_dnc_entry`` does, by a person with a reason.
- A consent counts from the time that the source gives for it, or when the feed saw the flag set again. Where there is
  none, any opt-out and any consent taken back ends it: that a record is newer, or was edited, does not say that the
  person agreed since.
- A consent that a CRM tells of holds in the organization that the CRM feeds, and ends in that of before when another
  one is set. An opt-out, and what was taken back, stay there too.
- An opt-out holds for all numbers of the person, whichever CRM has them, for the channels that it names. A flag about
  calls is one about text messages too. Numbers that are the business's or its reps' now are not listed: of a person who
  has no other, the lead is.
- Who ends an entry of the list decides for its person, and for what was said until then: not for others who have the
  number and said it too, and not when the person says it again, by another STOP, a flag, or a status that comes again.
- A text message that says STOP is an opt-out, and so is a status that ``crm.status_mapping`` gives channels for, and a
  do-not-call that a person set where the warehouse writes it too (``marks``). The message stops the number that it came
  from, whoever that is, and all numbers of the person whose it surely is.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.accounts import tables_of
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import RAW, Joined
from warehouse_pipelines.unified.feed import marks, own
from warehouse_pipelines.unified.feed.signals import concerned_tables, read_until
from warehouse_pipelines.unified.lead_rows import CONTACTED, MORE_CONSENT, SIGNALS, Contacted
from warehouse_pipelines.unified.people import (
    Consent,
)
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

CRM_OF = {signal.table: signal.crm for signal in SIGNALS}

_STAGE = """
    INSERT INTO feed_consent (organization_id, source_table, source_key, flag, crm, says, channels, proof, given_at,
                              until, value, edited_at, is_dated)
    SELECT coalesce(f.organization_id, %(organization)s), {table_name}, m.source_key, v.flag, {crm}, v.says,
        v.channels, v.proof, coalesce(v.given_at, CASE v.says WHEN 'consent' THEN {created} ELSE {edited} END), v.until,
        v.value, {edited}, v.given_at IS NOT NULL
    FROM {table} AS t
        JOIN feed_member AS m ON m.source_table = {table_name} AND {key} = m.source_key::{type}
        LEFT JOIN crm.feed_source AS f ON f.crm = {crm},
        LATERAL (VALUES {flags}) AS v (flag, says, channels, value, given_at, until, proof)
    WHERE v.value OR NOT v.value AND EXISTS (
        SELECT FROM crm.consent_fact AS k
        WHERE k.organization_id = coalesce(f.organization_id, %(organization)s) AND k.source_table = {table_name}
            AND k.source_key = m.source_key AND k.flag = v.flag)
"""

_STOP = r"^\W*(stop|stopall|unsubscribe|cancel|end|quit|opt.?out|revoke)\W*$"
"""What carriers, and the rules of the trade, take for an opt-out when it is all that a message says."""


def read(session: "Session", organization: UUID, *, full: bool) -> None:
    """Read the flags of the people in ``feed_person``, and the opt-outs by word, into ``crm.consent_fact``."""
    session.execute(query("feed_consent_temp"))
    given = {"organization": organization}
    concerned = concerned_tables(session)
    for row in PEOPLE:
        consents = (*row.consent, *MORE_CONSENT.get(row.table, ()))
        if consents and row.kind != "staff" and row.table in concerned:
            session.execute(_stage(row.table, consents), given)
    session.execute(query("feed_consent_words"))
    _read_stops(session, organization, full=full)
    marks.read(session, organization, full=full)
    session.execute(query("feed_consent_kept"))
    if full:
        session.execute(query("feed_consent_moved"), given)
    own.find(session)


def _stage(table: str, consents: tuple[Consent, ...]) -> sql.Composed:
    joined = Joined(table)
    created = columns.time_of(table, "t", "source_created_at")
    loaded = sql.Identifier("t", "sync_created_at")
    return sql.SQL(_STAGE).format(
        table_name=sql.Literal(table),
        table=columns.table(table),
        crm=sql.Literal(CRM_OF[table]),
        key=columns.own_key(table),
        type=sql.SQL(columns.key_type(table)),
        edited=columns.edited("t", table, created, loaded),
        created=sql.SQL("coalesce({}, {})").format(created, columns.edited("t", table, loaded)),
        flags=sql.SQL(", ").join(_flag(joined, consent) for consent in consents),
    )


def _flag(joined: Joined, consent: Consent) -> sql.Composed:
    column = joined.column(consent.column)
    value: sql.Composable = sql.SQL("{}::boolean").format(column)
    until: sql.Composable = sql.SQL("NULL::timestamptz")
    if consent.says == "not_before":
        value, until = sql.SQL("{}::timestamptz > now()").format(column), sql.SQL("{}::timestamptz").format(column)
    elif consent.column.startswith(RAW):
        value = sql.SQL(
            "CASE WHEN lower(btrim({0})) IN ('1', 'true', 'yes', 'y', 't', 'on') THEN true"
            " WHEN lower(btrim({0})) IN ('0', 'false', 'no', 'n', 'f', 'off') THEN false END"
        ).format(column)
    if not consent.when:
        value = sql.SQL("NOT {}").format(value)
    if consent.email:
        value = sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(joined.value(consent.email), value)
    proof = [joined.value(name) for name in consent.proof.split()]
    return sql.SQL("({}, {}, {}::text[], {}, {}, {}, {})").format(
        sql.Literal(consent.column.removeprefix(RAW)),
        sql.Literal(consent.says),
        sql.Literal(list(consent.channels)),
        value,
        joined.value(consent.at, "timestamptz"),
        until,
        sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(proof)) if proof else sql.SQL("NULL::text"),
    )


def _read_stops(session: "Session", organization: UUID, *, full: bool) -> None:
    """Add the opt-outs of text messages: all, or those of conversations that changed since the position."""
    for table, crm in tables_of("callrail_text_message", SOURCES).items():
        _read_stops_of(session, organization, table, crm, full=full)


def _read_stops_of(session: "Session", organization: UUID, table: str, crm: str, *, full: bool) -> None:
    known = read_until(session, table)
    messages = columns.one("t", table, "recent_messages")
    session.execute(
        sql.SQL(query("feed_consent_stops")).format(
            table=columns.table(table),
            key=columns.key("t", table),
            phone=columns.e164("t", table, "customer_phone_number"),
            last=columns.one("t", table, "last_message_at"),
            messages=messages,
            table_name=sql.Literal(table),
            crm=sql.Literal(crm),
        ),
        {"organization": organization, "since": "-infinity" if full else known, "known": known, "stop": _STOP},
    )


def compute(session: "Session", organization: UUID) -> None:
    """Fill ``feed_fact`` and ``feed_computed`` for the organization, before its leads are written."""
    session.execute("DROP TABLE IF EXISTS feed_fact, feed_revoked, feed_computed")
    run_script(session, query("feed_facts"), {"organization": organization})


def write(session: "Session", organization: UUID, default: UUID) -> dict[str, int]:
    """Write the do-not-call list and the consent of the organization's leads; return the rows of each.

    ``default`` is the organization of CRMs without a row in ``crm.feed_source``.
    """
    given = {"organization": organization, "default": default}
    session.execute("DROP TABLE IF EXISTS feed_live, feed_number, feed_wish, feed_whose, feed_evidence, feed_entry")
    listed = run_script(session, query("feed_dnc"), given)
    return {
        "listed": listed + int(warehouse.value(session, query("feed_dnc_entered"), given)),
        "consent": run_script(session, query("feed_consent"), given),
    }


def find_conflicts(session: "Session", organization: UUID, default: UUID) -> int:
    """Write ``marts.dnc_conflicts``: calls and messages of the organization after its listing; return how many.

    ``default`` is the organization of CRMs without a row in ``crm.feed_source``.
    """
    session.execute("DROP TABLE IF EXISTS feed_contacted, feed_conflict")
    session.execute(
        "CREATE TEMP TABLE feed_contacted (channel text, source_table text, source_key text, phone text,"
        " contacted_at timestamptz) ON COMMIT DROP"
    )
    for row in CONTACTED:
        session.execute(_contacts(row), {"organization": organization, "default": default})
    run_script(session, query("feed_conflicts"), {"organization": organization})
    counting = "SELECT count(*) FROM marts.dnc_conflicts WHERE organization_id = %s"
    return int(warehouse.value(session, counting, [organization]))


def _contacts(row: Contacted) -> sql.Composed:
    """Return what puts the organization's contacts with its listed numbers into ``feed_contacted``."""
    number = columns.e164("t", row.table, row.phone)
    at: sql.Composable = columns.one("t", row.table, row.at)
    source: sql.Composable = sql.SQL("")
    outbound: sql.Composable = sql.SQL("true")
    if row.outbound[0]:
        outbound = sql.SQL("{} = {}").format(columns.one("t", row.table, row.outbound[0]), sql.Literal(row.outbound[1]))
    if row.counted:
        outbound = sql.SQL("{} > 0").format(columns.one("t", row.table, row.counted))
    if row.messages:
        messages = columns.one("t", row.table, row.messages)
        source = sql.SQL(
            ", LATERAL (SELECT max((g ->> 'created_at')::timestamptz) AS at FROM jsonb_array_elements("
            "CASE jsonb_typeof({0}) WHEN 'array' THEN {0} ELSE '[]' END) AS g"
            " WHERE g ->> 'direction' IN ('outgoing', 'outbound') AND g ->> 'created_at' ~ '^[0-9]{{4}}-') AS sent"
        ).format(messages)
        at = sql.SQL("sent.at")
    return sql.SQL(
        """
        INSERT INTO feed_contacted
        SELECT {channel}, {table_name}, {key}, {number}, {at}
        FROM {table} AS t LEFT JOIN crm.feed_source AS f ON f.crm = {crm} {source}
        WHERE {outbound} AND {at} IS NOT NULL AND coalesce(f.organization_id, %(default)s) = %(organization)s
            AND {number} IN (
                SELECT d.phone FROM crm.dnc_list AS d
                WHERE d.organization_id = %(organization)s AND d.phone IS NOT NULL)
        """
    ).format(
        channel=sql.Literal(row.channel),
        table_name=sql.Literal(row.table),
        key=columns.key("t", row.table),
        number=number,
        at=at,
        table=columns.table(row.table),
        crm=sql.Literal(row.crm),
        source=source,
        outbound=outbound,
    )


def people_with_flags() -> list[str]:
    """Return the tables whose flags are read."""
    return [table for table, row in BY_TABLE.items() if row.consent or table in MORE_CONSENT]
