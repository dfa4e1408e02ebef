"""How the Genius database is read: which statements, in which order, and what an error of it means.

MySQL or MariaDB, as an account that needs SELECT on the tables and nothing else; the session is read-only besides.

The server's catalogue is read first. A declared column that is not there, or that the account may not see, is left
out; so is a value of another table (``EXPRESSIONS``) when a table or a column that it is made of is not there.
``_sql.note_absent`` reports them. Only the columns of the key cost the table.

A **full read** walks the primary key, ``key > :last ORDER BY key LIMIT :page``. A **delta** walks (cursor, key) from
the window's begin, inclusive, and has no end: a row whose ``updated_at`` lies in the future (9999-12-31) is read by
every delta, and one that is edited meanwhile is welcome; a backfill ends with its window. Then it asks for the rows
whose ``updated_at`` is NULL or zero, by when they were added: ``modified=updated_at|add_date`` says so in the row, and
both the statement and the column are made of it. Rows of one second, however many, are told apart by the key. Neither
walk has an offset or a limit of pages, so nothing is cut off at any size. A table whose cursor is not there any more is
read in full each time.

Each page is a statement of its own and comes through PyMySQL's server-side cursor, so no result is ever held whole
and none stays open while PostgreSQL is busy: a page of ordinary rows is read to its end before it is handed on; of
rows that are megabytes long, 8 MB at a time. A statement that failed, or broke off, is asked again from the last row
that was handed on.

Why not dlt's ``sql_database``: it decodes every value (a zero date becomes an error or None, a decimal an object),
knows one cursor column and no second place for it, keeps its own state, and yields dictionaries or frames, where this
project wants the record itself beside its columns. What it would save is the statement.

A record is the row as JSON: every column that the account may read but those that may hold a secret
(``_sql.is_secret``), and a few values of other tables (``EXPRESSIONS``). Whole numbers and decimals are written digit
by digit as the server wrote them; a TIME is its text, since it may exceed a day; binary is base64. A DATETIME has no
zone: it gets the offset of ``GENIUS_TIME_ZONE`` at that time appended, a TIMESTAMP that of UTC. A zero date stays as it
is in ``raw_data``, and its column becomes null with a warning.

In the hour that is lived twice in autumn the first one is taken. ``OVERLAP`` is longer than that hour, so nothing of
it is missed, and longer than any transaction should last, which is what a late commit needs.
"""

import contextlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Extraction, Page, Portal
from warehouse_pipelines.settings import FromEnvironment, url_of
from warehouse_pipelines.sources._http import ATTEMPTS, backoff
from warehouse_pipelines.sources._sql import is_secret, missing_place, note_absent

if TYPE_CHECKING:
    import pymysql

log = logging.getLogger("warehouse.ingestion")

PAGE = 5_000
HANDED_ON_BYTES = 8 * 2**20
STATEMENT_SECONDS = 300
FIRST_DATE = "1000-01-01"
"""What MySQL promises to hold; an older date is a zero date or a part of one, ``0000-00-00`` or ``0001-00-00``."""
OVERLAP = timedelta(minutes=75)

_HUBSPOT_ID = """(
    SELECT s.{third_party_source.third_party_id}
    FROM `third_party_source` s JOIN `third_party_source_type` y
        ON y.{third_party_source_type.id} = s.{third_party_source.third_party_source_type_id|type_id}
    WHERE s.{third_party_source.id indexed} = t.{OWN.third_party_source_id}
        AND y.{third_party_source_type.label} = 'hubspot' LIMIT 1)"""

EXPRESSIONS: dict[str, dict[str, str]] = {
    "prospect": {
        "hubspot_contact_id": _HUBSPOT_ID.replace("OWN", "prospect"),
        "source": """(
            SELECT m.{marketing_source.label}
            FROM `prospect_source` p JOIN `marketing_source` m
                ON m.{marketing_source.id} = p.{prospect_source.marketing_source_id}
            WHERE p.{prospect_source.prospect_id indexed} = t.{prospect.id}
            ORDER BY p.{prospect_source.id} DESC LIMIT 1)""",
    },
    "appointment": {
        "hubspot_appointment_id": _HUBSPOT_ID.replace("OWN", "appointment"),
        "lead_id": """(
            SELECT max(l.{lead.lead_id}) FROM `lead` l
            WHERE l.{lead.prospect_id indexed} = t.{appointment.prospect_id}
                AND (l.{lead.added_on} > t.{appointment.add_date} AND t.{appointment.add_date} >= '1000-01-01')
                    IS NOT TRUE)""",
        "status": """(
            SELECT o.{appointment_outcome.label} FROM `appointment_outcome` o
            WHERE o.{appointment_outcome.id indexed} = t.{appointment.complete_outcome_id} LIMIT 1)""",
    },
    "user_data": {
        "is_active": "t.{user_data.is_inactive} = 0",
        "primary_user_id": """(
            SELECT a.{users_userassociations.primary_user_id} FROM `users_userassociations` a
            WHERE a.{users_userassociations.id indexed} = t.{user_data.user_associations_id} LIMIT 1)""",
    },
}
"""What a record has of other tables, or computed, where the table has no column of that name; ``t`` is the row.

``{table.column}`` is a column that must be there, ``{table.one|other}`` either; ``indexed`` says that one of its own
indexes must begin with it, since it is looked up for every row. Every name is quoted: ``lead`` is a reserved word of
MySQL 8.
"""

NEEDED = re.compile(r"\{(\w+)\.([\w|]+)( indexed)?\}")

MAY_BE_ABSENT = frozenset({"contact"})
"""Tables that no installation is known to have."""

UNSEEN = frozenset({
    "genius_prospect.status", "genius_user_association.definition_id", "genius_user_association.division_id",
    "genius_user_association.field_value", "genius_user_association.user_id",
})  # fmt: skip
"""Columns that the specification names and no installation is known to have."""

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

    database_url: Annotated[
        SecretStr, url_of(r"(mysql|mariadb)\+pymysql", "mysql+pymysql://user:password@host:3306/database")
    ]
    time_zone: ZoneInfo = ZoneInfo("America/Los_Angeles")


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
        began, seconds = time.monotonic(), backoff(attempt)
        log.warning(
            "Genius: the database could not answer, attempt %d of %d, next in %.1f s", attempt, ATTEMPTS, seconds
        )
        stopped = self.extraction.cancelled.wait(seconds)
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


def said_by(error: BaseException) -> str:
    """Return the number and the words of an error of the driver, without what may be somebody's."""
    return f"error {error.args[0]}: {masked(str(error.args[1]), 200)}" if len(error.args) > 1 else type(error).__name__


def sorted_error(error: Exception) -> Exception:
    """Return what the reader can do about an error of the driver."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = said_by(error)
    if number in TRANSIENT:
        return VendorUnavailable(f"Genius: the database could not answer ({said}); the next run starts at this place.")
    if form := REFUSED.get(number):
        what = "The tables are not as they were" if form is AnswerChanged else "Ask the vendor to grant it"
        if form is CredentialRefused:
            what = "Set GENIUS_DATABASE_URL again, with the login that is valid now"
        return form(f"Genius: the database refused ({said}). {what}; nothing was loaded.")
    return RequestRefused(f"Genius: the database did not accept the statement ({said}); nothing was loaded.")


class Catalogue(NamedTuple):
    """What the account may see of some tables: the type of each column, and the columns that an index begins with."""

    types: dict[str, dict[str, str]]
    indexed: set[tuple[str, str]]

    @classmethod
    def read(cls, database: Database, tables: Sequence[str], *, indexes: bool) -> "Catalogue":
        """Ask the server."""
        types: dict[str, dict[str, str]] = {}
        for table, name, type_ in database.all(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s ORDER BY ORDINAL_POSITION",
            [tables],
        ):
            types.setdefault(str(table), {})[str(name)] = str(type_).lower()
        if not indexes:
            return cls(types, set())
        found = database.all(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s AND SEQ_IN_INDEX = 1",
            [tables],
        )
        return cls(types, {(str(table), str(name)) for table, name in found})

    def composed(self, expression: str) -> tuple[str, str]:
        """Return the expression in SQL, or an empty text and what it lacks."""
        lacking = ""

        def column(match: re.Match[str]) -> str:
            nonlocal lacking
            table, paths, indexed = match[1], match[2].split("|"), match[3]
            there = self.types.get(table, {})
            name = next((path for path in paths if path in there), None)
            if lacking:
                return ""
            if not there:
                lacking = f"there is no table {table} that the account may see"
            elif name is None:
                lacking = missing_place(table, paths, there)
            elif indexed and (table, name) not in self.indexed:
                lacking = f"{table} has no index on {name}, by which every row would be looked up"
            return f"`{name}`"

        sql = NEEDED.sub(column, expression)
        return ("", lacking) if lacking else (sql, "")


class Table:
    """One table as it is today: the columns that may be asked for, and their types."""

    def __init__(self, database: Database, entity: Entity) -> None:
        self.entity = entity
        self.name = entity.path
        expressions = EXPRESSIONS.get(self.name, {})
        others = {match[1] for one in expressions.values() for match in NEEDED.finditer(one)}
        catalogue = Catalogue.read(database, [self.name, *sorted(others - {self.name})], indexes=bool(others))
        found = catalogue.types.get(self.name, {})
        self.types = {name: type_ for name, type_ in found.items() if not is_secret(name)}
        self.expressions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        """The columns that have no place, and what is missing."""
        self.keys: list[str] = []
        self.cursor: str | None = None
        self.added: str | None = None
        if not found:
            return
        lacking: dict[str, str] = {}
        for name, expression in expressions.items():
            if name not in self.types:
                sql, lacks = catalogue.composed(expression)
                self.expressions |= {name: sql} if sql else {}
                lacking |= {name: lacks} if lacks else {}
        if self.name == "integration_field":
            lacking |= self._mask_fields(database)
        self.keys = [self._key(key) for key in entity.keys]
        if entity.cursor:
            first, *rest = entity.columns[entity.cursor].paths
            self.cursor = first if first in self.types else None
            self.added = next((name for name in rest if name in self.types), None)
        there = self.types.keys() | self.expressions.keys()
        declared = {path for column in entity.columns.values() for path in column.paths}
        for column, (_, path) in entity.columns.items():
            paths = path.split("|")
            if column == entity.cursor:
                paths = paths[:1]  # when a row was added does not stand for when it was changed
            if not there & set(paths):
                own = missing_place(self.name, paths, [name for name in self.types if name not in declared])
                self.absent[column] = next((lacking[one] for one in paths if one in lacking), own)

    def _key(self, column: str) -> str:
        paths = self.entity.columns[column].paths
        name = next((path for path in paths if path in self.types), None)
        if name is None:
            raise AnswerChanged(
                f"Genius: {missing_place(self.name, paths, self.types)}, and {self.entity.table}.{column} is the key. "
                "Ask the vendor what became of it; nothing was loaded."
            )
        return name

    def _mask_fields(self, database: Database) -> dict[str, str]:
        """Ask for the values of those fields only that are known and hold no secret: users type passwords into some."""
        masked_type = self.types.pop("field_value", None)
        found = Catalogue.read(database, ["integration_field_definition"], indexes=False)
        listed = found.types.get("integration_field_definition", {})
        needed = {"id", "key_name", "input_type"}
        if masked_type is None or "definition_id" not in self.types or not needed <= listed.keys():
            return {"field_value": "which of them are passwords cannot be read in integration_field_definition"}
        named = ", ".join(
            f"`{name}`" if name in listed else "NULL" for name in ("id", "key_name", "label", "input_type")
        )
        harmless = [
            int(number)
            for number, key, label, kind in database.all(f"SELECT {named} FROM `integration_field_definition`")  # noqa: S608
            if str(kind).lower() != "password" and not is_secret(str(key)) and not is_secret(str(label))
        ]
        among = ", ".join(map(str, harmless)) or "NULL"
        self.expressions["field_value"] = f"CASE WHEN t.`definition_id` IN ({among}) THEN t.`field_value` END"
        return {}

    def leave_out(self, name: str, reason: str) -> None:
        """Do without a value of another table."""
        del self.expressions[name]
        there = self.types.keys() | self.expressions.keys()
        self.absent |= {
            column: f"the database does not accept how it is looked up: {reason}"
            for column, (_, path) in self.entity.columns.items()
            if name in path.split("|") and not there & set(path.split("|"))
        }

    @property
    def names(self) -> list[str]:
        """What a record has, in the order in which it is selected."""
        return [*self.types, *self.expressions]

    def statement(self, condition: str, order: Sequence[str]) -> str:
        """Compose the statement of one page; the last value is its size."""
        selected = ", ".join(
            [f"t.`{name}`" for name in self.types] + [f"{sql} AS `{name}`" for name, sql in self.expressions.items()]
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
        prove(database, table)
        expected = {name for name in table.absent if f"{entity.table}.{name}" in UNSEEN}
        note_absent(extraction, "Genius", table.absent, expected, all_read=extraction.whole)
        if extraction.whole:
            yield from Walk(database, table, table.keys).pages("TRUE", ())
        elif table.cursor is None:
            for page in Walk(database, table, table.keys).pages("TRUE", ()):
                yield page._replace(in_window=False)
        else:
            yield from _delta(database, table)
    finally:
        database.close()


def inspect(extraction: Extraction) -> Portal:
    """Return the columns of a table that may be asked for, and its first rows; ``check`` names what is not there."""
    database = Database(extraction)
    try:
        table = Table(database, extraction.entity)
        if not table.types:
            _require(database, table)
            return Portal({}, told=True)
        prove(database, table)
        pages = Walk(database, table, table.keys).pages("TRUE", ())
        records = next(pages, Page(())).records
        return Portal(
            {**table.types, **dict.fromkeys(table.expressions, "text")}, records, reasons=table.absent, told=True
        )
    finally:
        database.close()


def prove(database: Database, table: Table) -> None:
    """Do without each value of another table that the database does not accept: it costs its own column only."""
    looked_up = sorted(table.expressions.keys() - {"field_value"})
    if not looked_up or _refusal(database, table.statement("FALSE", table.keys), [0]) is None:
        return
    for name in looked_up:
        one = f"SELECT {table.expressions[name]} FROM `{table.name}` t WHERE FALSE"  # noqa: S608  (as in `statement`)
        if (reason := _refusal(database, one)) is not None:
            table.leave_out(name, reason)


def _refusal(database: Database, statement: str, values: Sequence[Any] = ()) -> str | None:
    """Return what the server says against a statement that yields no row; None if it accepts it."""
    try:
        database.all(statement, values)
    except (RequestRefused, AnswerChanged, PermissionMissing) as error:
        return said_by(error.__cause__ or error)
    return None


def _delta(database: Database, table: Table) -> Iterator[Page]:
    """Yield what changed in the window, and what was added in it and never changed.

    Only a backfill has an end: what is written as changed in the future must not be left out for ever.
    """
    extraction, cursor, added = database.extraction, table.cursor, table.added
    assert cursor is not None  # noqa: S101  (asked by the caller)
    backfill = bool(extraction.options.get("backfill"))

    def within(name: str) -> tuple[str, list[str]]:
        zone = UTC if table.types[name] == "timestamp" else database.settings.time_zone
        ends = [extraction.since, extraction.window.until] if backfill else [extraction.since]
        local = [moment.astimezone(zone).replace(tzinfo=None).isoformat(" ") for moment in ends]
        return f"t.`{name}` >= %s" + (f" AND t.`{name}` < %s" if backfill else ""), local

    yield from Walk(database, table, [cursor, *table.keys]).pages(*within(cursor))
    values: list[str] = []
    never = f"(t.`{cursor}` IS NULL OR t.`{cursor}` < '{FIRST_DATE}')"
    if added is not None:
        condition, values = within(added)
        never += f" AND (t.`{added}` IS NULL OR t.`{added}` < '{FIRST_DATE}' OR ({condition}))"
    yield from Walk(database, table, table.keys).pages(never, values)


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
