"""PipeDesk: leads, their contacts, tags and statuses, out of the CRM's own PostgreSQL at Supabase.

No time in it can be trusted. Half of the tables have none; where there is an ``updated_at`` it is the application that
sets it, so the SQL editor, bulk updates and the product's own ``qualify_lead`` leave it as it is, it is NULL in some
rows, and a late commit carries an early one. Hard deletes leave no trace. So no cursor is used, and there is one way of
reading for all tables: **the sweep**. PipeDesk's server computes ``sync_hash`` of each row as the warehouse did when it
loaded it (both are PostgreSQL, and ``Entity.seed`` is told), the two lists of key and hash are compared in order of the
key, rows that differ are asked for by key, and keys that are no longer there are ``gone``. Nothing that changed can
hide from it, whoever wrote it. What it costs is in the metrics of each run: ``swept_rows``, ``swept_bytes`` and
``sweep_ms``. For 100,000 leads it is half the time and a thirteenth of the bytes of reading them, 5.5 MB
(``benchmarks/sweep.py``).

Everything is read instead, in order of the key, when a sweep would not be cheaper or cannot be: the first time, with
``--full`` or ``--force``, after the table or the rows of ``LEADS`` and the like were declared otherwise (then every
hash differs), when over ``MOST`` rows differ, when a key is not written as the warehouse writes it, and when the table
shows no row at all, which the loader then judges.

A run is one snapshot, REPEATABLE READ and READ ONLY, on one connection. Nothing is set for longer than the transaction
and nothing is prepared, so that poolers in either mode will do. After a lost connection it goes on behind the last row,
in a new snapshot; what was deleted meanwhile the next run finds.

**Row-level security** is on in the product's migrations and shows a role without BYPASSRLS no lead at all and no
deleted one, without an error. ``row_security = off`` makes PostgreSQL refuse instead of filter, and the run then says
what to do. A permissive policy does not help: nobody could tell it from one that filters.

A record is the row as PostgreSQL writes it in JSON, so no digit and no microsecond is lost; columns that nobody
declared are in it, and named in ``undeclared_columns``. ``deleted_at`` is the vendor's: a company or a deal was
deleted, a lead was deleted **or qualified**. Links, tags and the rest vanish without a word (``delete_reason`` is then
``missing``).

Unconfirmed, and how a wrong guess would show:

- That the tables are in ``public`` and named as here, but for ``users``, which may be ``profiles``: ``check`` and the
  run name a table that is not there.
- That ids are UUIDs, native or as text: any other is a dead letter.
- ``cnpj``, ``company_id`` of a contact, ``deleted_at`` of companies and deals, and ``updated_at`` of companies,
  contacts and deals are from the product's migrations and not from its models: a column that is not there is null, and
  named in ``absent_columns``.
- That hashes of the two servers agree, which they do for all of PostgreSQL 11 to 18: else every run would read what it
  swept (``total_records`` near ``swept_rows``, nothing updated).

**Folders of Google Drive** carry whose they are in properties that only PipeDesk's own program can see. Its table of
them is mirrored as ``drive_folder_links``, beside ``pipedesk.google_drive_folders``, which Drive itself fills; the view
``pipedesk.google_drive_folders_v`` joins the two.

Left out: ``entity_tags``, ``lead_members`` and what else the specification does not have.

Settings: ``Settings``. Verified against: the simulator only; no live account has been read yet.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import SecretStr

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    WarehouseError,
    masked,
)
from warehouse_pipelines.model.entity import DAY, Entity, columns
from warehouse_pipelines.model.reading import Extraction, Page, Portal, Window
from warehouse_pipelines.model.rules import one_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import POSTGRESQL, FromEnvironment, postgresql_url, url_of
from warehouse_pipelines.sources._http import ATTEMPTS, backoff
from warehouse_pipelines.sources._sql import is_secret, missing_place, note_absent

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

PAGE = 5_000
SWEPT_AT_ONCE = 10_000
MOST = 50_000
"""Rows that differ, beyond which reading all is no dearer than asking for them by key."""

STATEMENT_SECONDS = 300
QUARTER = timedelta(minutes=15)

TEXTS = ("text", "character varying", "character")
INTEGERS = ("smallint", "integer", "bigint")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

UNSURE = frozenset({
    "pipedesk.companies.cnpj", "pipedesk.companies.updated_at", "pipedesk.companies.deleted_at",
    "pipedesk.contacts.company_id", "pipedesk.contacts.updated_at", "pipedesk.master_deals.updated_at",
    "pipedesk.master_deals.deleted_at", "pipedesk.users.email",
})  # fmt: skip
"""Columns that only some versions of the product have: no reason to warn where they are absent."""

LOCAL = {
    "row_security": "off",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
    # What a row looks like in JSON depends on these, and so does its hash.
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""Settings of the one transaction."""

TRANSIENT = re.compile(
    "08...|53...|"  # the connection; too many connections, no memory
    "40001|40P01|"  # a conflict with recovery on a replica, a deadlock
    "57014|57P0.|25P03|"  # the statement took too long; shut down, starting up, or idle for too long
    "55P03"  # a lock was waited for in vain
)
"""SQLSTATEs after which another attempt may help."""

REFUSED = {
    "28000": CredentialRefused, "28P01": CredentialRefused, "42501": PermissionMissing,
    "42P01": AnswerChanged, "42703": AnswerChanged, "3D000": AnswerChanged, "3F000": AnswerChanged,
}  # fmt: skip
"""SQLSTATEs of what a person must do something about."""

AT_THE_DOOR = (
    (r"password authentication failed|role .* does not exist|tenant or user not found|no password", CredentialRefused),
    (r"no pg_hba|not permitted to log in|permission denied", PermissionMissing),
    (r"database .* does not exist", AnswerChanged),
    (r"does not support SSL|certificate|SSL error", NotConfigured),
)
"""What libpq says of a connection that failed, which has no SQLSTATE; anything else may pass by itself."""


class Settings(FromEnvironment, env_prefix="PIPEDESK_"):
    """A SQLAlchemy URL of PostgreSQL, of the server itself or of a pooler, and the schema of the tables.

    TLS is required unless the host is this machine; ``sslmode=verify-full`` asks for more.
    """

    database_url: Annotated[SecretStr, url_of(POSTGRESQL, "postgresql://user:password@host:5432/database")]
    schema_name: str = "public"


Place = tuple[str | int, ...]
"""A key, in the order in which both databases have it."""


class Database:
    """One read-only snapshot of one extraction; it is taken when it is needed, and again after it was lost."""

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.settings = Settings()
        self.snapshots = 0
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def ask(self, statement: "sql.SQL | sql.Composed", values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask, again after what may pass, and return the rows."""
        attempt = 1
        while True:
            try:
                with self._waiting():
                    return list(self._connected().execute(statement, values or None))
            except VendorUnavailable as error:
                self.wait(attempt, error)
                attempt += 1

    def rows(
        self, statement: "sql.SQL | sql.Composed", values: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Ask once, and yield the rows as they come, ``size`` at a time."""
        import psycopg

        with self._waiting():
            cursor = self._connected().cursor(name="rows")
            cursor.execute(statement, values or None)
        try:
            while True:
                with self._waiting():
                    found = cursor.fetchmany(size)
                if not found:
                    break
                yield found
        finally:
            with contextlib.suppress(psycopg.Error):
                cursor.close()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count a request and the time it takes; raise what ``sorted_error`` makes of an error."""
        import psycopg

        began = time.monotonic()
        self.extraction.calls += 1
        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise sorted_error(error, self.settings) from error
        finally:
            self.extraction.waited_seconds += time.monotonic() - began

    def wait(self, attempt: int, error: VendorUnavailable) -> None:
        """Wait before another attempt; raise ``error`` when there were enough, or the run is stopped."""
        if attempt >= ATTEMPTS or self.extraction.cancelled.wait(backoff(attempt)):
            raise error

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection is not None and not self._connection.closed:
            return self._connection
        import psycopg
        from psycopg import sql

        usual: dict[str, Any] = {"connect_timeout": 20, "application_name": "warehouse", "keepalives_idle": 30}
        own: dict[str, Any] = {"client_encoding": "UTF8", "prepare_threshold": None}
        connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(**(usual | parameters(self.settings) | own))
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        self._connection = connection
        self.snapshots += 1
        told = [sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in LOCAL.items()]
        connection.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(told)))
        return connection


def parameters(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the URL, with TLS unless the server is this machine."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    url = postgresql_url("PIPEDESK_DATABASE_URL", settings.database_url)
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # it quotes what it does not understand
        raise NotConfigured(
            "PipeDesk: PIPEDESK_DATABASE_URL has an option behind its question mark that libpq does not know."
        ) from None
    hosts = str(found.get("host", "")).split(",")
    here = all(host in ("", "localhost", "::1") or host.startswith(("127.", "/")) for host in hosts)
    if not here and found.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        found["sslmode"] = "require"
    return dict(found)


def sorted_error(error: "psycopg.Error", settings: Settings) -> WarehouseError:
    """Return what an error of the database, or of the way to it, means for a run."""
    said = masked(" ".join(str(error).split()))
    state = error.sqlstate or ""
    if not state:
        for pattern, kind in AT_THE_DOOR:
            if re.search(pattern, said, re.IGNORECASE):
                return kind(f"PipeDesk: the database does not let us in: {said}. Check PIPEDESK_DATABASE_URL.")
        return VendorUnavailable(f"PipeDesk: the database does not answer, or broke off: {said}")
    if "row-level security" in said:
        user = str(parameters(settings).get("user")).partition(".")[0]  # a pooler wants role.project
        return PermissionMissing(
            f"PipeDesk: row-level security would hide rows from us ({said}). As a privileged role run "
            f"ALTER ROLE {user} BYPASSRLS on PipeDesk's database. Nothing was loaded."
        )
    if TRANSIENT.fullmatch(state):
        return VendorUnavailable(f"PipeDesk: the database says {state}: {said}")
    if state == "42501":
        said += ". It needs USAGE on the schema and SELECT on the tables"
    if REFUSED.get(state) is CredentialRefused:
        said += ". Set PIPEDESK_DATABASE_URL again, with the login that is valid now"
    return REFUSED.get(state, RequestRefused)(f"PipeDesk: the database says {state}: {said}. Nothing was loaded.")


class Columns(NamedTuple):
    """A table as it is at this moment: the type of each column."""

    name: str
    types: dict[str, str]


class Table:
    """One table, and the statements that read it."""

    def __init__(self, database: Database, entity: Entity) -> None:
        from psycopg import sql

        self.database, self.entity = database, entity
        found = _reflected(database, entity)
        if found is None:
            raise AnswerChanged(
                f"PipeDesk: schema {database.settings.schema_name} has no table {entity.path.replace('|', ' or ')}; "
                "nothing was loaded. If the tables are in another schema, set PIPEDESK_SCHEMA_NAME."
            )
        self.name, types = found
        if lacking := [key for key in entity.keys if entity.columns[key].path not in types]:
            said = missing_place(self.name, lacking, types)
            raise AnswerChanged(f"PipeDesk: {said}, and that is the key of {entity.table}; nothing was loaded.")
        wanted = {"integer": INTEGERS, "uuid": ("uuid", *TEXTS)}
        for key in entity.keys:
            if (type_ := types[entity.columns[key].path]) not in wanted[entity.columns[key].kind]:
                raise AnswerChanged(f"PipeDesk: {self.name}.{key} is {type_} now; nothing was loaded.")
        dropped = {one.path for one in entity.local.dropped.values()} - {one.path for one in entity.columns.values()}
        self.types = {name: type_ for name, type_ in types.items() if not is_secret(name) and name not in dropped}
        declared = {column.path for column in entity.columns.values()} | {entity.archived_at} - {None}
        if undeclared := sorted(types.keys() - declared):
            database.extraction.noticed["undeclared_columns"] = undeclared
        self.absent = {
            name: missing_place(self.name, column.paths, undeclared)
            for name, column in entity.columns.items()
            if column.path not in types
        }
        """The declared columns that the table lacks, and what may be meant."""
        if entity.archived_at and entity.archived_at not in types:
            self.absent["deleted_at"] = missing_place(self.name, [entity.archived_at], undeclared)
        self.state = {"read_as": hashlib.sha256(repr((entity.seed, self.types)).encode()).hexdigest()[:16]}
        self._from = sql.SQL("FROM {} t").format(sql.Identifier(database.settings.schema_name, self.name))
        listed = sql.SQL(", ").join(sql.Identifier("t", name) for name in self.types)
        self.record = sql.SQL("(SELECT row_to_json(r) FROM (SELECT {}) r)::text").format(listed)
        self.digest = sql.SQL("hashtextextended({}, {})").format(self.record, entity.seed)
        self._keys = [sql.Identifier("t", entity.columns[key].path) for key in entity.keys]
        # A text is compared by its bytes, which for UUIDs is the order that their own type has.
        self._types = [types[entity.columns[key].path] for key in entity.keys]
        self._order = [
            sql.SQL('{} COLLATE "C"' if type_ in TEXTS else "{}").format(key)
            for key, type_ in zip(self._keys, self._types, strict=True)
        ]

    def walk(self, what: "sql.Composable", size: int) -> Generator[list[tuple[Place, Any]]]:
        """Yield the place of each row, and ``what`` of it, in order; a broken walk goes on where it was."""
        from psycopg import sql

        last: Place | None = None
        attempt = 1
        while True:
            condition, values = sql.SQL("").format(), list(last or ())
            if last is not None:
                condition = sql.SQL("WHERE ({}) > ({})").format(_listed(self._order), self._given())
            statement = sql.SQL("SELECT {}, {} {} {} ORDER BY {}").format(
                _listed(self._keys, "{}::text"), what, self._from, condition, _listed(self._order)
            )
            try:
                for rows in self.database.rows(statement, values, size):
                    placed = []
                    for row in rows:
                        place = self.place(row)
                        if last is not None and place <= last:
                            raise CursorStuck(
                                f"PipeDesk: {self.name} gives rows again that were read before; something between here "
                                "and the database answers for it. Nothing was loaded."
                            )
                        last = place
                        placed.append((place, row[-1]))
                    attempt = 1
                    yield placed
                return
            except VendorUnavailable as error:
                self.database.wait(attempt, error)
                attempt += 1

    def records(self, places: Sequence[Place]) -> list[bytes]:
        """Return the rows of these keys. One may be missing that was deleted since the sweep, in a later snapshot."""
        from psycopg import sql

        snapshot = self.database.snapshots
        given = [sql.SQL("%s::{}[]").format(sql.SQL(type_)) for type_ in self._types]
        statement = sql.SQL("SELECT {}, {} {} WHERE ({}) IN (SELECT * FROM unnest({}))").format(
            _listed(self._keys, "{}::text"), self.record, self._from, _listed(self._keys), sql.SQL(", ").join(given)
        )
        rows = {
            self.place(row): row[-1]
            for row in self.database.ask(statement, [list(part) for part in zip(*places, strict=True)])
        }
        if rows.keys() - set(places) or (len(rows) < len(places) and snapshot == self.database.snapshots):
            raise AnswerChanged(f"PipeDesk: {self.name} does not answer with the rows that it was asked for.")
        return [rows[place].encode() for place in places if place in rows]

    def place(self, row: Sequence[Any]) -> Place:
        """Return the key of a row."""
        return tuple(
            int(part) if self.entity.columns[key].kind == "integer" else part
            for key, part in zip(self.entity.keys, row, strict=False)
        )

    def _given(self) -> "sql.Composed":
        from psycopg import sql

        return sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(type_)) for type_ in self._types)


def _listed(parts: "Sequence[sql.Composable]", form: str = "{}") -> "sql.Composed":
    from psycopg import sql

    return sql.SQL(", ").join(sql.SQL(form).format(part) for part in parts)


def _reflected(database: Database, entity: Entity) -> Columns | None:
    """Return the first of the entity's tables that is there."""
    from psycopg import sql

    statement = sql.SQL("""
        SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    """)
    names = entity.path.split("|")
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in database.ask(statement, [database.settings.schema_name, names]):
        found.setdefault(table, {})[column] = type_
    return next((Columns(name, found[name]) for name in names if name in found), None)


class NotComparable(Exception):
    """A sweep would not be cheaper than reading all, or tell nothing."""


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the rows that differ from the warehouse's, or all."""
    database = Database(extraction)
    try:
        table = Table(database, extraction.entity)
        expected = {name for name in table.absent if f"{extraction.entity.table}.{name}" in UNSURE}
        # Its server has no key to hash with, so of a table with hashed columns every row would differ.
        comparable = dict(extraction.state) == table.state and not extraction.entity.local.hashed
        note_absent(extraction, "PipeDesk", table.absent, expected, all_read=not comparable)
        extraction.next_state = table.state
        if comparable:
            with contextlib.suppress(NotComparable):
                changed = _sweep(table, extraction)
                extraction.changes_only = True
                for start in range(0, len(changed), extraction.page_size):
                    yield Page(table.records(changed[start : start + extraction.page_size]))
                return
        for rows in table.walk(table.record, extraction.page_size):
            yield Page([record.encode() for _, record in rows])
    finally:
        database.close()


def inspect(extraction: Extraction) -> Portal:
    """Return the columns of a table that may be asked for, and its first rows; ``check`` names what is not there."""
    database = Database(extraction)
    try:
        table = Table(database, extraction.entity)
        rows = next(table.walk(table.record, extraction.limit), [])
        return Portal(table.types, [record.encode() for _, record in rows], reasons=table.absent, told=True)
    finally:
        database.close()


def _sweep(table: Table, extraction: Extraction) -> list[Place]:
    """Return the keys of the rows that are new or differ, and note those that are gone."""
    began = time.monotonic()
    kinds = [extraction.entity.columns[key].kind for key in extraction.entity.keys]
    ours = ((table.place(key), digest) for key, digest in extraction.known.hashes(extraction.entity))
    held = next(ours, None)
    changed: list[Place] = []
    gone: list[Place] = []
    swept = 0
    with contextlib.closing(table.walk(table.digest, SWEPT_AT_ONCE)) as walk:
        for rows in walk:
            swept += len(rows)
            extraction.measured["swept_bytes"] += len(rows) * len("".join(map(str, (*rows[0][0], rows[0][1]))))
            for place, digest in rows:
                while held is not None and held[0] < place:
                    gone.append(held[0])
                    held = next(ours, None)
                if held is not None and held[0] == place:
                    if held[1] != digest:
                        changed.append(place)
                    held = next(ours, None)
                else:
                    changed.append(place)
                    if not all(
                        kind != "uuid" or UUID.fullmatch(str(part)) for kind, part in zip(kinds, place, strict=True)
                    ):
                        raise NotComparable
            if len(changed) > MOST:
                raise NotComparable
    while held is not None:
        gone.append(held[0])
        held = next(ours, None)
    if not swept:
        raise NotComparable
    extraction.gone = [" ".join(map(str, place)) for place in gone]
    extraction.measured["swept_rows"] += swept
    extraction.measured["sweep_ms"] += round(1000 * (time.monotonic() - began))
    return changed


COMPANIES = Entity(
    name="companies",
    table="pipedesk.companies",
    about="Companies, which leads become when they qualify.",
    path="companies",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="deleted_at",
    columns=columns(uuid="id", text="name cnpj", timestamptz="updated_at"),
)

USERS = Entity(
    name="users",
    table="pipedesk.users",
    about="Who uses PipeDesk.",
    path="users|profiles",
    key="id",
    by_state=True,
    columns=columns(uuid="id", text="name", email="email"),
)

CONTACTS = Entity(
    name="contacts",
    table="pipedesk.contacts",
    about="People at leads and companies.",
    path="contacts",
    key="id",
    by_state=True,
    index="company_id email phone_e164",
    refs={"company_id": "pipedesk.companies"},
    columns=columns(uuid="id company_id", text="name role", email="email", phone="phone", timestamptz="updated_at"),
)

LEAD_CONTACTS = Entity(
    name="lead_contacts",
    table="pipedesk.lead_contacts",
    about="Which contacts a lead has, and which of them is the primary one.",
    path="lead_contacts",
    key="lead_id contact_id",
    by_state=True,
    index="contact_id",
    refs={"lead_id": "pipedesk.leads", "contact_id": "pipedesk.contacts"},
    every=QUARTER,
    columns=columns(uuid="lead_id contact_id", boolean="is_primary", timestamptz="added_at"),
)

LEADS = Entity(
    name="leads",
    table="pipedesk.leads",
    about="Sales leads. One with a deleted_at was deleted, or qualified if qualified_at says so.",
    path="leads",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="""
        lead_status_id lead_origin_id owner_user_id qualified_company_id qualified_master_deal_id last_interaction_at
        priority_score disqualified_at qualified_at deleted_at updated_at
    """,
    refs={
        "lead_status_id": "pipedesk.lead_statuses",
        "lead_origin_id": "pipedesk.lead_origins",
        "owner_user_id": "pipedesk.users",
        "qualified_company_id": "pipedesk.companies",
        "qualified_master_deal_id": "pipedesk.master_deals",
    },
    every=QUARTER,
    columns=columns(
        uuid="id lead_status_id lead_origin_id owner_user_id qualified_company_id qualified_master_deal_id",
        text="legal_name trade_name address_city address_state disqualification_reason",
        integer="priority_score",
        timestamptz="last_interaction_at disqualified_at qualified_at created_at updated_at",
    ),
)

MASTER_DEALS = Entity(
    name="master_deals",
    table="pipedesk.master_deals",
    about="Opportunities.",
    path="master_deals",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="company_id deleted_at",
    refs={"company_id": "pipedesk.companies"},
    columns=columns(uuid="id company_id", text="client_name", timestamptz="updated_at"),
)

TAGS = Entity(
    name="tags",
    table="pipedesk.tags",
    about="Tags that a lead may have.",
    path="tags",
    key="id",
    by_state=True,
    columns=columns(uuid="id", text="name color"),
)

LEAD_TAGS = Entity(
    name="lead_tags",
    table="pipedesk.lead_tags",
    about="Which tags a lead has.",
    path="lead_tags",
    key="lead_id tag_id",
    by_state=True,
    index="tag_id",
    refs={"lead_id": "pipedesk.leads", "tag_id": "pipedesk.tags"},
    every=QUARTER,
    columns=columns(uuid="lead_id tag_id"),
)

LEAD_STATUSES = Entity(
    name="lead_statuses",
    table="pipedesk.lead_statuses",
    about="What a lead's status may be.",
    path="lead_statuses",
    key="id",
    by_state=True,
    every=DAY,
    columns=columns(
        uuid="id", text="code label description", boolean="is_active", integer="sort_order", timestamptz="created_at"
    ),
)

LEAD_ORIGINS = Entity(
    name="lead_origins",
    table="pipedesk.lead_origins",
    about="Where a lead may have come from.",
    path="lead_origins",
    key="id",
    by_state=True,
    every=DAY,
    columns=columns(
        uuid="id", text="code label description", boolean="is_active", integer="sort_order", timestamptz="created_at"
    ),
)

LEAD_ACTIVITY_STATS = Entity(
    name="lead_activity_stats",
    table="pipedesk.lead_activity_stats",
    about="How much was said and written with a lead, one row for each.",
    path="lead_activity_stats",
    key="lead_id",
    by_state=True,
    index="last_interaction_at updated_at",
    refs={"lead_id": "pipedesk.leads"},
    columns=columns(
        uuid="lead_id",
        integer="engagement_score total_emails total_events total_interactions",
        timestamptz="last_interaction_at last_email_at last_event_at created_at updated_at",
    ),
)

USER_ROLES = Entity(
    name="user_roles",
    table="pipedesk.user_roles",
    about="What a user may do.",
    path="user_roles",
    key="id",
    by_state=True,
    index="user_id",
    refs={"user_id": "pipedesk.users"},
    rules=(one_of("role", "admin", "manager", "sales"),),
    every=DAY,
    columns=columns(integer="id", uuid="user_id", text="role"),
)

DRIVE_FOLDER_LINKS = Entity(
    name="drive_folder_links",
    table="pipedesk.drive_folder_links",
    about="Whose each folder of Google Drive is: a lead's, a company's, a deal's or a contact's.",
    path="google_drive_folders",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="folder_id entity_id",
    refs={"folder_id": "pipedesk.google_drive_folders"},
    columns=columns(
        integer="id", text="entity_id entity_type folder_id deleted_by", url="folder_url", timestamptz="created_at"
    ),
)


def check() -> str:
    """Ask for the tables, and whether any of them would be shown in part."""
    from psycopg import sql

    database = Database(Extraction(entity=LEADS, window=Window(None, datetime.now(UTC)), page_size=1))
    try:
        statement = sql.SQL("""
            SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid),
                current_setting('server_version'), current_user::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s AND c.relname = ANY(%s)
        """)
        paths = [entity.path.split("|") for entity in PIPEDESK.entities]
        found = database.ask(statement, [database.settings.schema_name, [name for names in paths for name in names]])
        there = {name for name, *_ in found}
        without, changed = [], []
        for entity in PIPEDESK.entities:
            if not there & set(entity.path.split("|")):
                continue
            try:
                absent = Table(database, entity).absent
            except AnswerChanged as error:
                changed.append(str(error))
                continue
            named = [
                f"{name} ({why})" for name, why in sorted(absent.items()) if f"{entity.table}.{name}" not in UNSURE
            ]
            without += [f"{entity.name} without {', '.join(named)}"] if named else []
    finally:
        database.close()
    if lacking := sorted(" or ".join(names) for names in paths if not there & set(names)):
        changed.insert(
            0,
            f"PipeDesk: schema {database.settings.schema_name} has no table {', '.join(lacking)}. If the tables are in "
            "another schema, set PIPEDESK_SCHEMA_NAME.",
        )
    if changed:
        raise AnswerChanged(" ".join(changed))
    _, _, _, version, user = found[0]
    if refused := sorted(name for name, may, *_ in found if not may):
        raise PermissionMissing(f"PipeDesk: {user} needs SELECT on {', '.join(refused)}, and USAGE on the schema.")
    if hidden := sorted(name for name, _, active, *_ in found if active):
        raise PermissionMissing(
            f"PipeDesk: row-level security would hide rows of {', '.join(hidden)}. As a privileged role run "
            f"ALTER ROLE {user} BYPASSRLS on PipeDesk's database."
        )
    said = f"PipeDesk answers (PostgreSQL {version}): all of {len(paths)} tables, and {user} sees all of their rows"
    return "; ".join([said, *without])


PIPEDESK = Source(
    name="pipedesk",
    title="PipeDesk",
    transport="database",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    page_size=PAGE,
    mirrored=True,
    measures=("swept_rows", "swept_bytes", "sweep_ms"),
    entities=(
        COMPANIES,
        USERS,
        CONTACTS,
        LEAD_STATUSES,
        LEAD_ORIGINS,
        MASTER_DEALS,
        TAGS,
        LEADS,
        LEAD_CONTACTS,
        LEAD_TAGS,
        LEAD_ACTIVITY_STATS,
        USER_ROLES,
        DRIVE_FOLDER_LINKS,
    ),
)
