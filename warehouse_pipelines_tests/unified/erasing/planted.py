"""People whose every column holds a token of their own, in every table of sources that holds people, and around it.

``plant`` fills a warehouse; ``dump`` returns every row of every table as a text; ``tokens`` what must be erased.
"""

import re
from typing import Any

import psycopg
from psycopg import sql

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.schema.personal import PERSONAL_NUMBERS
from warehouse_pipelines.unified.erasing.holdings import SCHEMAS, entities, reachable
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)

Connection = psycopg.Connection[Any]
ORGANIZATION = "00000000-0000-0000-0000-00000000000a"

CUSTOMERS = tuple(row.table for row in PEOPLE if row.kind != "staff")


def token(number: int) -> str:
    """What stands in each text of a person."""
    return f"zq{number:05d}zq"


def email(number: int) -> str:
    return f"zq{number:05d}zq@planted.example"


def phone(number: int) -> str:
    """The number of a person, ten digits of which no other has the first seven."""
    return f"+1206{2000000 + number:07d}"


def person_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def tokens(number: int) -> list[str]:
    """What must be nowhere once the person is erased, in lower case."""
    return [token(number), phone(number)[2:]]


def tables() -> list[Entity]:
    """The tables that get a row of each person: those of customers, and what points at them."""
    staff = {row.table for row in PEOPLE if row.kind == "staff"}
    return [entities()[table] for table in sorted(reachable() - staff)]


def key(entity: Entity, number: int) -> str:
    """The key of a person's row, as identity has it."""
    return " ".join(_part(entity, name, number) for name in entity.keys)


def _part(entity: Entity, name: str, number: int) -> str:
    if entity.columns[name].kind == "uuid":
        return person_id(number)
    return str(number)


def plant(connection: Connection, people: int) -> None:
    """Plant people 1 to ``people``: their rows at the sources, in identity and in crm, and their dead letters."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # as the loader of a mirrored source does
        for entity in tables():
            _plant_table(connection, entity, people)
    _plant_identity(connection, people)
    _plant_crm(connection, people)
    connection.execute(
        """
        INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,
            error_message, payload, payload_hash)
        SELECT 1, 'hubspot', 'contacts', CASE WHEN i %% 2 = 0 THEN i::text END, 'coerce', 'planted', 'planted',
            jsonb_build_object('note', 'mail zq' || lpad(i::text, 5, '0') || 'zq@planted.example'), i
        FROM generate_series(1, %s) AS i
        """,
        [people],
    )


def _plant_table(connection: Connection, entity: Entity, people: int) -> None:
    values: dict[str, sql.Composable] = {}
    for name, type_ in entity.pg_types.items():
        if "GENERATED" in type_ or name in ("archived", "deleted_at", "delete_reason", "sync_created_at"):
            continue
        values[name] = _value(entity, name, type_.split(" ")[0])
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {}) AS i").format(
            sql.Identifier(entity.schema, entity.table_name),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(values.values()),
            people,
        )
    )


_TOKEN = sql.SQL("format('zq%szq', lpad(i::text, 5, '0'))")


def _value(entity: Entity, name: str, type_: str) -> sql.Composable:
    kind = entity.columns[name].kind if name in entity.columns else None
    points = name in entity.keys or (name in entity.refs and "(" not in entity.refs[name])
    if type_ == "uuid":
        return sql.SQL("('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid")
    if points and type_ in ("text", "bigint"):
        return sql.SQL("i::{}").format(sql.SQL(type_))
    if kind == "email":
        return sql.SQL("{} || '@planted.example'").format(_TOKEN)
    if kind == "phone":
        return sql.SQL("'(206) ' || left((2000000 + i)::text, 3) || '-' || right((2000000 + i)::text, 4)")
    if name in entity.e164:
        return sql.SQL("'+1206' || (2000000 + i)")
    if name == "sync_hash":
        return sql.SQL("i")
    if type_ == "jsonb":
        return sql.SQL(
            "jsonb_build_object('said', {t} || ' ' || {n}, 'list', jsonb_build_array({t}, 206{z}::bigint + i),"
            " 'url', 'https://x.example/?e=' || {t} || '%40planted.example')"
        ).format(t=_TOKEN, n=sql.Literal(name), z=sql.SQL("2000000"))
    if type_ == "boolean":
        return sql.SQL("true")
    if type_ in ("bigint", "numeric"):
        # A place or an age is somebody's too.
        return sql.SQL("206{}::{} + i").format(sql.SQL("2000000"), sql.SQL(type_)) if _personal(name) else sql.SQL("7")
    if type_ in ("timestamptz", "date"):
        return sql.SQL("'2024-05-06'::{}").format(sql.SQL(type_))
    return sql.SQL("{} || {}").format(_TOKEN, sql.Literal(f" {name}"))


def _personal(name: str) -> bool:
    return PERSONAL_NUMBERS.search(name) is not None


def _plant_identity(connection: Connection, people: int) -> None:
    connection.execute(
        """
        INSERT INTO identity.property (property_id, street, zip)
            SELECT ('00000000-0000-4000-9000-' || lpad(i::text, 12, '0'))::uuid,
                i || ' zq' || lpad(i::text, 5, '0') || 'zq st', '98101' FROM generate_series(1, %s) AS i
        """,
        [people],
    )
    connection.execute(
        """
        INSERT INTO identity.household (household_id, property_id, last_name, phones, person_count)
            SELECT property_id, property_id, street, '{}', 1 FROM identity.property
        """
    )
    connection.execute(
        """
        INSERT INTO identity.person (person_id, household_id, property_id, kind, display_name, first_name, last_name,
            email, phone, emails, phones, street, zip, origins, record_count, source_tables)
        SELECT ('00000000-0000-4000-8000-' || n)::uuid, h, h, 'customer', t, t || 'a', t || 'b', e, p, ARRAY[e],
            ARRAY[p], i || ' ' || t || ' st', '98101', jsonb_build_object('email', t), 1, '{hubspot_contact}'
        FROM generate_series(1, %s) AS i, lpad(i::text, 12, '0') AS n,
            LATERAL (SELECT 'zq' || lpad(i::text, 5, '0') || 'zq' AS t) AS t,
            LATERAL (SELECT t || '@planted.example' AS e, '+1206' || (2000000 + i) AS p,
                ('00000000-0000-4000-9000-' || n)::uuid AS h) AS v
        """,
        [people],
    )
    for table in CUSTOMERS:
        entity, kind = entities()[table], BY_TABLE[table].kind
        parts = sql.SQL(" || ' ' || ").join(
            sql.SQL("'00000000-0000-4000-8000-' || lpad(i::text, 12, '0')")
            if entity.columns[name].kind == "uuid"
            else sql.SQL("i::text")
            for name in entity.keys
        )
        connection.execute(
            sql.SQL("""
                INSERT INTO identity.record (source_table, source_key, kind, display_name, first_name, last_name,
                    emails, phones, street, block_keys, fingerprint)
                SELECT {table}, {key}, {kind}, {t}, {t} || 'a', {t} || 'b', ARRAY[{t} || '@planted.example'],
                    ARRAY['+1206' || (2000000 + i)], i || ' ' || {t} || ' st',
                    ARRAY['e:' || {t} || '@planted.example', 'p:+1206' || (2000000 + i)], ''
                FROM generate_series(1, {people}) AS i
            """).format(table=table, key=parts, kind=kind, t=_TOKEN, people=people)
        )
    connection.execute(
        """
        INSERT INTO identity.member (record_id, person_id, source_table, source_key, evidence)
        SELECT r.record_id, p.person_id, r.source_table, r.source_key, jsonb_build_object('name', r.display_name)
        FROM identity.record AS r JOIN identity.person AS p ON p.email = r.emails[1] WHERE r.kind = 'customer'
        """
    )
    connection.execute(
        """
        INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)
        SELECT r.record_id, r.source_table, r.source_key, p.person_id, 'certain', 'phone', r.display_name
        FROM identity.record AS r JOIN identity.person AS p ON p.email = r.emails[1] WHERE r.kind = 'touch'
        """
    )
    connection.execute(
        """
        INSERT INTO identity.edge (a_id, b_id, relation, score, rules, evidence, version)
        SELECT least(a.record_id, b.record_id), greatest(a.record_id, b.record_id), 'person', 1,
            '{email}', jsonb_build_object('name', a.display_name), 1
        FROM identity.record AS a JOIN identity.record AS b ON b.source_key = a.source_key
        WHERE a.source_table = 'hubspot_contact' AND b.source_table = 'five9_contact'
        """
    )
    connection.execute(
        "INSERT INTO identity.review (a_id, b_id, score, reason, evidence)"
        " SELECT a_id, b_id, 1, 'x', evidence ->> 'name' FROM identity.edge"
    )
    connection.execute(
        """
        INSERT INTO identity.decision (verdict, a_table, a_key, b_table, b_key, command, reason, decided_by)
        SELECT 'same', 'five9_contact', r.source_key, 'hubspot_contact', r.source_key, 'confirm', display_name, 'x'
        FROM identity.record AS r WHERE source_table = 'five9_contact'
        """
    )


def _plant_crm(connection: Connection, people: int) -> None:
    connection.execute("SELECT set_config('app.organization_id', %s, false)", [ORGANIZATION])
    connection.execute(
        """
        INSERT INTO crm.leads (organization_id, golden_id, first_name, last_name, email, phone, source, source_metadata,
            tags, value_usd, status)
        SELECT %s, person_id, first_name, last_name, email, phone, 'google', jsonb_build_object('note', display_name),
            ARRAY[display_name], 100, 'new'
        FROM identity.person
        """,
        [ORGANIZATION],
    )
    connection.execute("UPDATE crm.leads SET first_name = first_name || ' again', status = 'contacted'")
    connection.execute(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason, evidence)"
        " SELECT %s, phone, 'opt_out', display_name FROM identity.person",
        [ORGANIZATION],
    )


def plant_logs(connection: Connection, people: int) -> None:
    """Plant what programs note beside the rows and only a key finds: changes, what feed and imports wrote."""
    given = {"organization": ORGANIZATION, "people": people}
    connection.execute("SELECT set_config('app.organization_id', %s, false)", [ORGANIZATION])
    for statement in (
        "INSERT INTO orchestration.change_log (table_name, record_key, column_name, old_value, sync_history_id)"
        " SELECT 'genius_lead', i::text, 'note', 'was ill in June', 1 FROM generate_series(1, %(people)s) AS i",
        "INSERT INTO identity.erasure_proposal (source_table, source_key, reason)"
        " SELECT 'hubspot_contact', i::text, 'planted' FROM generate_series(1, %(people)s) AS i",
        "INSERT INTO crm.lead_feed (organization_id, lead_id, written)"
        " SELECT organization_id, id, jsonb_build_object('first_name', first_name) FROM crm.leads",
        "INSERT INTO crm.consent_fact (organization_id, source_table, source_key, flag, crm, says, channels, given_at)"
        " SELECT %(organization)s, 'genius_lead', i::text, 'planted', 'genius', 'consent', '{call}', now()"
        " FROM generate_series(1, %(people)s) AS i",
        "INSERT INTO crm.lead_import (organization_id, file_name, file_hash, started_by)"
        " VALUES (%(organization)s, 'planted.csv', '', 'test')",
        "INSERT INTO crm.lead_import_row (organization_id, import_id, row_number, outcome, lead_id, fingerprint)"
        " SELECT i.organization_id, i.id, row_number() OVER (ORDER BY l.id), 'created', l.id, ''"
        " FROM crm.lead_import AS i JOIN crm.leads AS l USING (organization_id)",
        "INSERT INTO crm.lead_assignments (organization_id, lead_id, to_user_id, context)"
        " SELECT organization_id, id, id, jsonb_build_object('said', first_name) FROM crm.leads",
        "INSERT INTO crm.lead_score_history (organization_id, lead_id, score, factors, model_version)"
        " SELECT organization_id, id, 1, '{\"planted\": 1}', 'weights-1' FROM crm.leads",
        "WITH s AS (INSERT INTO crm.nurture_sequences (organization_id, name) VALUES (%(organization)s, 'planted')"
        " RETURNING organization_id, id), e AS (INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id,"
        " sequence_id) SELECT l.organization_id, l.id, s.id FROM crm.leads AS l JOIN s USING (organization_id)"
        " RETURNING organization_id, id, lead_id) INSERT INTO crm.sequence_message (organization_id, enrollment_id,"
        " step, lead_id, channel, status, recipient, body) SELECT e.organization_id, e.id, 0, l.id, 'email', 'waiting',"
        " l.email, l.first_name FROM e JOIN crm.leads AS l ON l.id = e.lead_id",
        "INSERT INTO crm.segments (organization_id, name, filter_criteria) SELECT organization_id, first_name,"
        " jsonb_build_object('field', 'email', 'op', 'eq', 'value', email) FROM crm.leads",
    ):
        connection.execute(statement, given)


def dump(connection: Connection) -> dict[str, dict[str, str]]:
    """Return every row of every table as a text, by table and place, but what tells of erasures."""
    tables = connection.execute(
        """
        SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'm') ORDER BY 1, 2
        """
    ).fetchall()
    assert {schema for schema, _ in tables} <= set(SCHEMAS)
    found = {}
    for schema, name in tables:
        statement = sql.SQL("SELECT t.ctid::text, t::text FROM {} AS t").format(sql.Identifier(schema, name))
        found[f"{schema}.{name}"] = dict(connection.execute(statement).fetchall())
    return found


_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def planted_in(rows: dict[str, dict[str, str]]) -> dict[int, set[str]]:
    """Return of whom something is found, and in which tables."""
    found: dict[int, set[str]] = {}
    for table, texts in rows.items():
        for text in texts.values():
            numbers = set(re.findall(r"zq(\d{5})zq", text, re.IGNORECASE))
            # Ids of rows are random, and one in some thousand looks like a phone number.
            digits = re.sub(r"(?<=\d)[-. ()/]{1,3}(?=\d)", "", re.sub(_UUID, "", text))
            numbers |= set(re.findall(r"20620(\d{5})(?!\d)", digits))
            for number in numbers:
                found.setdefault(int(number), set()).add(table)
    return found
