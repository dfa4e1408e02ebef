"""How the Genius database is read: which statements, in which order, and what an error of it means.

MySQL or MariaDB, as an account that needs SELECT on the tables and nothing else; the session is read-only besides.

A **whole read** walks the primary key, ``key > :last ORDER BY key LIMIT :page``. A **delta** walks (cursor, key) from
the window's begin, inclusive, to ``:upper``, which is the database's own clock, asked once. Then it asks for the rows
whose ``updated_at`` is NULL, by when they were added: ``modified=updated_at|add_date`` says so in the row, and both
the statement and the column are made of it. Rows of one second, however many, are told apart by the key. Neither walk
has an offset or a limit of pages, so nothing is cut off at any size.

Each page is a statement of its own and comes through PyMySQL's server-side cursor, so no result is ever held whole
and none stays open while PostgreSQL is busy: a page of ordinary rows is read to its end before it is handed on; of
rows that are megabytes long, 8 MB at a time. A statement that failed, or broke off, is asked again from the last row
that was handed on.

Why not dlt's ``sql_database``: it decodes every value (a zero date becomes an error or None, a decimal an object),
knows one cursor column and no second place for it, keeps its own state, and yields dictionaries or frames, where this
project wants the record itself beside its columns. What it would save is the statement.

A record is the row as JSON: every column that the account may read but those that may hold a secret (``SECRET``),
and a few expressions (``EXPRESSIONS``). Whole numbers and decimals are written digit by digit as the server wrote
them; a TIME is its text, since it may exceed a day; binary is base64. A DATETIME has no zone: it gets the offset of
``GENIUS_TIME_ZONE`` at that time appended, a TIMESTAMP that of UTC. A zero date stays as it is in ``raw_data``, and
its column becomes null with a warning.

In the hour that is lived twice in autumn the first one is taken. ``OVERLAP`` is longer than that hour, so nothing of
it is missed, and longer than any transaction should last, which is what a late commit needs.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
from pydantic import SecretStr, field_validator

from warehouse_pipelines.entity import Entity, Extraction, Page
from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.settings import FromEnvironment, database_url_problem
from warehouse_pipelines.sources._http import ATTEMPTS, backoff

if TYPE_CHECKING:
    import pymysql

PAGE = 5_000
HANDED_ON_BYTES = 8 * 2**20
STATEMENT_SECONDS = 300
OVERLAP = timedelta(minutes=75)

SECRET = re.compile(
    r"secret|passw|pwd|token|credential|(^|_)key$|(^|_)(hash|salt|ssn|cvv|pin)$|^cc_|card_number|routing_number"
    r"|account_number",
    re.IGNORECASE,
)
"""Columns of such a name are never asked for, whatever table they are in."""

_HUBSPOT_ID = """(
    SELECT s.third_party_id FROM third_party_source s
    JOIN third_party_source_type y ON y.id = s.third_party_source_type_id
    WHERE s.id = t.third_party_source_id AND y.label = 'hubspot')"""

EXPRESSIONS: dict[str, dict[str, str]] = {
    "prospect": {"hubspot_contact_id": _HUBSPOT_ID},
    "appointment": {"hubspot_appointment_id": _HUBSPOT_ID},
    "user_data": {
        "is_active": "t.is_inactive = 0",
        "primary_user_id": """(
            SELECT a.primary_user_id FROM users_userassociations a WHERE a.id = t.user_associations_id)""",
    },
    # Its values are what users typed into fields of other programs; some of these fields are passwords.
    "integration_field": {
        "field_value": """CASE WHEN t.definition_id IN (
            SELECT d.id FROM integration_field_definition d
            WHERE d.input_type = 'password' OR LOWER(d.key_name) REGEXP '{SECRET}')
        THEN NULL ELSE t.field_value END""".replace("{SECRET}", SECRET.pattern)
    },
}
"""What a record has beside the columns of its table, or instead of one; ``t`` is the row."""

MAY_BE_ABSENT = frozenset({"contact"})
"""Tables that no installation is known to have."""

REFUSED = {
    1044: PermissionMissing, 1045: CredentialRefused, 1130: PermissionMissing, 1142: PermissionMissing,
    1143: PermissionMissing, 1227: PermissionMissing, 1370: PermissionMissing, 1698: CredentialRefused,
    1820: CredentialRefused, 1862: CredentialRefused, 1054: AnswerChanged, 1146: AnswerChanged,
}  # fmt: skip
"""Errors of the server that a person must remove."""

TRANSIENT = frozenset({
    0,     # the driver: the connection is closed
    1040,  # too many connections
    1053,  # the server is being shut down
    1158, 1159, 1160, 1161,  # network
    1203, 1226,  # the account's connections, or its queries of this hour, are used up
    1205,  # a lock was waited for in vain
    1213,  # a deadlock
    1317,  # the query was killed
    1927, 4031,  # the connection was killed, or closed for idleness
    1969, 3024,  # the statement took too long: MariaDB, MySQL
    2002, 2003, 2005, 2006, 2013, 2014,  # no connection, gone away, lost during a query, out of step
})  # fmt: skip
"""Errors after which another attempt may help."""


class Settings(FromEnvironment, env_prefix="GENIUS_"):
    """A SQLAlchemy URL, and the zone of the times in the database; see the docstring of ``entities``."""

    database_url: SecretStr
    time_zone: ZoneInfo = ZoneInfo("America/Los_Angeles")

    @field_validator("database_url")
    @classmethod
    def _is_mysql(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value().strip()
        example = "mysql+pymysql://user:password@host:3306/database"
        if problem := database_url_problem(url, r"(mysql|mariadb)\+pymysql", example):
            raise ValueError(problem)
        if not re.match(r"[^/]+//[^/]+/\w", url):
            raise ValueError(f"names no database; write {example}")
        return SecretStr(url)


class Offsets(dict[str, str]):
    """The offset of a zone by hour, ``2024-01-31 10``: offsets change on the hour. Empty for what is no time."""

    def __init__(self, zone: tzinfo) -> None:
        super().__init__()
        self.zone = zone

    def __missing__(self, hour: str) -> str:
        try:
            offset = datetime.fromisoformat(hour).replace(tzinfo=self.zone).strftime("%z")
        except ValueError:
            offset = ""
        if len(self) >= 5_000:
            self.clear()
        self[hour] = found = f"{offset[:3]}:{offset[3:5]}" if offset else ""
        return found


class Database:
    """One read-only session of one extraction; it is opened when it is needed, and again after it was lost."""

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.settings = Settings()
        self.version = ""
        self._connection: pymysql.Connection[Any] | None = None

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Ask, and yield the rows as they come. Raises what ``sorted_error`` makes of an error."""
        import pymysql

        self.extraction.calls += 1
        began = time.monotonic()
        try:
            connection = self._connected()
            with connection.cursor() as cursor:
                cursor.execute(statement, list(values))
                self.extraction.waited_seconds += time.monotonic() - began
                while some := cursor.fetchmany(500):
                    yield from some
        except (pymysql.MySQLError, OSError) as error:
            self.close()
            raise sorted_error(error) from error
        except UnicodeDecodeError as error:
            self.close()
            raise AnswerChanged(
                "Genius holds text that is not of the character set its column says; have that column converted."
            ) from error

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows; asked again when the vendor could not answer."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return list(self.rows(statement, values))
            except VendorUnavailable as error:
                self.wait(attempt, error)
        raise AssertionError("the last attempt raises")

    def wait(self, attempt: int, error: VendorUnavailable) -> None:
        """Wait before the next attempt; raises ``error`` when there is none, or when the run was stopped."""
        if attempt == ATTEMPTS:
            raise error
        began = time.monotonic()
        stopped = self.extraction.cancelled.wait(backoff(attempt))
        self.extraction.waited_seconds += time.monotonic() - began
        if stopped:
            raise VendorUnavailable("Genius: the run was stopped while waiting for the database") from error

    def clocks(self) -> tuple[datetime, datetime]:
        """Return what the database's clock shows, in its own zone and in UTC, both without a zone."""
        ((own, utc),) = self.all("SELECT @warehouse_now, UTC_TIMESTAMP(6)")
        return datetime.fromisoformat(own), datetime.fromisoformat(utc)

    def close(self) -> None:
        """End the session; the rest of an answer is not waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            import pymysql

            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection.close()

    def _connected(self) -> "pymysql.Connection[Any]":
        if self._connection is None:
            import pymysql
            from pymysql.cursors import SSCursor
            from sqlalchemy.engine import make_url

            url = make_url(self.settings.database_url.get_secret_value())
            _, given = url.get_dialect()().create_connect_args(url)  # understands ssl_ca and its like
            options = {"connect_timeout": 10, "charset": "utf8mb4", **given}
            try:
                connection = pymysql.connect(
                    **options, read_timeout=STATEMENT_SECONDS + 60, autocommit=True, conv=_converters()
                )
            except RuntimeError as error:  # MySQL 8's way of logging in wants RSA, or TLS, which needs no more packages
                raise CredentialRefused(
                    "Genius: this account logs in over an encrypted connection only; add ?ssl_ca=/path/ca.pem to "
                    "GENIUS_DATABASE_URL, or have the account changed to mysql_native_password."
                ) from error
            self.version = connection.get_server_info()
            if "MariaDB" in self.version:
                limit = f"max_statement_time = {STATEMENT_SECONDS}"
            else:
                limit = f"max_execution_time = {STATEMENT_SECONDS * 1000}"
            with connection.cursor() as cursor:
                cursor.execute("SET @warehouse_now = NOW(6)")  # before the session's clock becomes UTC
                cursor.execute(f"SET SESSION {limit}, time_zone = '+00:00', net_write_timeout = 600")
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
            connection.cursorclass = SSCursor
            self._connection = connection
        return self._connection


def _converters() -> dict[Any, Any]:
    """Return how PyMySQL reads each type: whole numbers as such, other numbers digit by digit, the rest as text."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import encoders

    def verbatim(text: str) -> msgspec.Raw:
        return msgspec.Raw(text.encode())

    def bits(value: bytes) -> int:
        return int.from_bytes(value, "big")

    types = FIELD_TYPE
    whole = (types.TINY, types.SHORT, types.LONG, types.LONGLONG, types.INT24, types.YEAR)
    exact = (types.DECIMAL, types.NEWDECIMAL, types.FLOAT, types.DOUBLE)
    return {**encoders, **dict.fromkeys(whole, int), **dict.fromkeys(exact, verbatim), types.BIT: bits}


def sorted_error(error: Exception) -> Exception:
    """Return what the reader can do about an error of the driver."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = f"error {number}: {masked(str(error.args[1]), 200)}" if len(error.args) > 1 else type(error).__name__
    if number in TRANSIENT:
        return VendorUnavailable(f"Genius: the database could not answer ({said}); the next run starts at this place.")
    if form := REFUSED.get(number):
        what = "The tables are not as they were" if form is AnswerChanged else "Ask the vendor to grant it"
        return form(f"Genius: the database refused ({said}). {what}; nothing was loaded.")
    return RequestRefused(f"Genius: the database did not accept the statement ({said}); nothing was loaded.")


class Table:
    """One table as it is today: the columns that may be asked for, and their types."""

    def __init__(self, database: Database, entity: Entity) -> None:
        self.entity = entity
        self.name = entity.path
        found = database.all(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
            [self.name],
        )
        self.types = {str(name): str(type_).lower() for name, type_ in found if not SECRET.search(str(name))}
        self.expressions = EXPRESSIONS.get(self.name, {})
        if not found:
            return
        self.keys = [self._real(key) for key in entity.keys]
        self.cursor, self.added = None, None
        if entity.cursor:
            first, *others = entity.columns[entity.cursor].paths
            self.cursor = self._named(entity.cursor, (first,))
            self.added = next((name for name in others if name in self.types), None)

    def _real(self, column: str) -> str:
        return self._named(column, self.entity.columns[column].paths)

    def _named(self, column: str, paths: Sequence[str]) -> str:
        name = next((path for path in paths if path in self.types), None)
        if name is None:
            raise AnswerChanged(
                f"Genius: table {self.name} has no column {' or '.join(paths)}, which {self.entity.table}.{column} is "
                "read from, or the account may not see it. Ask the vendor what became of it; nothing was loaded."
            )
        return name

    @property
    def absent_columns(self) -> list[str]:
        """The declared columns that have no place in the table."""
        there = self.types.keys() | self.expressions.keys()
        return sorted(name for name, column in self.entity.columns.items() if not there & set(column.paths))

    @property
    def names(self) -> list[str]:
        """What a record has, in the order in which it is selected."""
        return [*self.types, *(name for name in self.expressions if name not in self.types)]

    def statement(self, condition: str, order: Sequence[str]) -> str:
        """Compose the statement of one page; the last value is its size."""
        selected = ", ".join(
            f"{self.expressions[name]} AS `{name}`" if name in self.expressions else f"t.`{name}`"
            for name in self.names
        )
        return (
            f"SELECT {selected} FROM `{self.name}` t"  # noqa: S608  (names are the database's own or ours)
            f" WHERE {condition} ORDER BY {', '.join(f't.`{name}`' for name in order)} LIMIT %s"
        )


def after(order: Sequence[str], values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return the condition of what follows ``values`` in this order.

    Nested ORs and not ``(a, b) > (…)``, which older servers do not answer from an index.
    """
    first, *rest = order
    if not rest:
        return f"t.`{first}` > %s", [values[0]]
    condition, more = after(rest, values[1:])
    nested = f"t.`{first}` >= %s AND (t.`{first}` > %s OR (t.`{first}` = %s AND {condition}))"
    return nested, [values[0]] * 3 + more


class Walk:
    """One walk through a table, in an order in which each row has a place of its own."""

    def __init__(self, database: Database, table: Table, order: Sequence[str]) -> None:
        self.database, self.table, self.order = database, table, list(order)
        self.last: tuple[Any, ...] | None = None
        self._encode = msgspec.json.Encoder().encode
        names = table.names
        self._places = [names.index(name) for name in order]
        zone = Offsets(database.settings.time_zone)
        utc = Offsets(UTC)
        kinds = {"datetime": zone, "timestamp": utc}
        self._times = [(n, kinds[type_]) for n, type_ in enumerate(table.types.values()) if type_ in kinds]
        texts = {"char", "varchar", "text", "binary", "varbinary", "enum"}
        # How text is ordered is the database's own affair; of such keys, which few rows have, all are remembered.
        self._met: set[Any] | None = set() if any(table.types[name] in texts for name in order) else None

    def pages(self, condition: str, values: Sequence[Any]) -> Iterator[Page]:
        """Yield the rows that satisfy ``condition``, each once."""
        size = self.database.extraction.page_size
        met, attempt = size, 1
        while met >= size:
            where, bound = condition, list(values)
            if self.last is not None:
                follows, more = after(self.order, self.last)
                where, bound = f"{where} AND {follows}", [*bound, *more]
            statement, met = self.table.statement(where, self.order), 0
            try:
                for records in self._handed(statement, [*bound, size]):
                    met += len(records)
                    attempt = 1
                    yield Page(records)
            except VendorUnavailable as error:
                self.database.wait(attempt, error)
                met, attempt = size, attempt + 1

    def _handed(self, statement: str, values: Sequence[Any]) -> Iterator[list[bytes]]:
        """Yield the records of one statement, in parts of ``HANDED_ON_BYTES``, and move on behind each part."""
        names = self.table.names
        records: list[bytes] = []
        places: list[tuple[Any, ...]] = []
        length = 0
        last = self.last
        for row in self.database.rows(statement, values):
            place = tuple(row[n] for n in self._places)
            if place in self._met if self._met is not None else last is not None and place <= last:
                raise CursorStuck(
                    f"Genius: {self.table.name} gives rows again that were read before; something between here and "
                    "the database answers for it. Nothing was loaded."
                )
            last = place
            places.append(place)
            members = dict(zip(names, row, strict=True))
            for n, offsets in self._times:
                if (text := row[n]) is not None:
                    members[names[n]] = text + offsets[text[:13]]
            record = self._encode(members)
            records.append(record)
            length += len(record)
            if length >= HANDED_ON_BYTES:
                self._move_on(places)
                yield records
                records, places, length = [], [], 0
        if records:
            self._move_on(places)
            yield records

    def _move_on(self, places: list[Any]) -> None:
        self.last = places[-1]
        if self._met is not None:
            self._met.update(places)


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the rows of one table."""
    entity = extraction.entity
    database = Database(extraction)
    try:
        table = Table(database, entity)
        if not table.types:
            _require(database, table)
            return
        if absent := table.absent_columns:
            extraction.noticed["absent_columns"] = absent
        if extraction.whole or table.cursor is None:
            yield from Walk(database, table, table.keys).pages("TRUE", ())
        else:
            yield from _delta(database, table)
    finally:
        database.close()


def _delta(database: Database, table: Table) -> Iterator[Page]:
    """Yield what changed in the window, and what was added in it and never changed."""
    extraction, cursor, added = database.extraction, table.cursor, table.added
    own, utc = database.clocks()
    ends = {}
    for name in filter(None, (cursor, added)):
        zone = UTC if table.types[name] == "timestamp" else database.settings.time_zone
        low = extraction.since.astimezone(zone).replace(tzinfo=None)
        # Whichever of the clocks the application writes by, its newest rows are not beyond the latest of them.
        upper = max(own, utc, utc.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None))
        if extraction.options.get("backfill"):
            upper = min(upper, extraction.window.until.astimezone(zone).replace(tzinfo=None))
        ends[name] = [low.isoformat(" "), upper.isoformat(" ")]
    assert cursor is not None  # noqa: S101  (asked by the caller)
    window = f"t.`{cursor}` >= %s AND t.`{cursor}` <= %s"
    yield from Walk(database, table, [cursor, *table.keys]).pages(window, ends[cursor])
    never = f"t.`{cursor}` IS NULL"
    if added is not None:
        never += f" AND (t.`{added}` IS NULL OR (t.`{added}` >= %s AND t.`{added}` <= %s))"
    yield from Walk(database, table, table.keys).pages(never, ends[added] if added else ())


def _require(database: Database, table: Table) -> None:
    """Say why a table shows no columns; return when it is one that need not be there."""
    try:
        database.all(f"SELECT 1 FROM `{table.name}` LIMIT 0")  # noqa: S608
    except (AnswerChanged, PermissionMissing):
        # Without a right to a table, MySQL does not tell whether it exists.
        if table.name not in MAY_BE_ABSENT:
            raise
        database.extraction.noticed["absent_table"] = table.name
        return
    raise AnswerChanged(f"Genius: table {table.name} shows none of its columns to this account; nothing was loaded.")
