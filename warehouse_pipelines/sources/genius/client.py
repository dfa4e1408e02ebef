"""The MySQL or MariaDB conversation with Genius: a read-only session, and the meaning of its errors.

The account needs SELECT on the tables and nothing else; the session is read-only besides. Results come through
PyMySQL's server-side cursor, so none is held in memory as a whole. Whole numbers and decimals are kept digit by digit
as the server wrote them, and times as text.

Text that is not of the character set its column says costs neither its row nor its table: the session is opened again
with an encoding that keeps its bytes (``_LENIENT``), and the loader mends such a record and counts it, as it does those
of other vendors. That encoding decodes ten times as slowly, which is noticed where every row is read with it.
"""

import codecs
import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._sql import SqlClient
from warehouse_pipelines.sources.genius.settings import Settings

if TYPE_CHECKING:
    import pymysql

STATEMENT_SECONDS = 300

_LENIENT = "warehouse_lenient_"
"""Begins the name of an encoding in which each byte that is not valid stands for itself; PyMySQL decodes by a name."""

REFUSED = {
    1044: PermissionMissing, 1045: CredentialRefused, 1130: PermissionMissing, 1142: PermissionMissing,
    1143: PermissionMissing, 1227: PermissionMissing, 1370: PermissionMissing, 1698: CredentialRefused,
    1820: CredentialRefused, 1862: CredentialRefused, 1054: AnswerChanged, 1146: AnswerChanged,
}  # fmt: skip
"""Errors of the server that need a person."""

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


class GeniusClient(SqlClient):
    """One read-only session with the database, for one read."""

    title = "Genius"

    def __init__(self, context: ReadContext) -> None:
        super().__init__(context)
        self.settings = Settings()
        self.version = ""
        self._connection: pymysql.Connection[Any] | None = None
        self._lenient = False

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Ask once, and yield the rows as they come. Raises the translated error."""
        with self.context.pace.timed(statement, VendorUnavailable), self._translated():
            with self.context.waiting(calls=1):
                cursor = self._connected().cursor()
                cursor.execute(statement, list(values))
            with cursor:
                while some := cursor.fetchmany(500):
                    yield from some

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """End the session on an error of the driver, and raise the project's error for it."""
        import pymysql

        try:
            yield
        except (pymysql.MySQLError, OSError) as error:
            self.close()
            raise translate_error(error) from error
        except UnicodeDecodeError as error:
            self.close()
            self._lenient = True
            raise VendorUnavailable(
                "Genius holds text that is not of the character set its column says; it is read again without those "
                "characters."
            ) from error

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement, which is repeated after an error that may pass."""
        return self.retried(lambda: list(self.rows(statement, values)))

    def clocks(self) -> tuple[datetime, datetime]:
        """Return the time of the database's clock in its own zone and in UTC, both without a zone."""
        ((own, utc),) = self.all("SELECT @warehouse_now, UTC_TIMESTAMP(6)")
        return datetime.fromisoformat(own), datetime.fromisoformat(utc)

    def open(self) -> None:
        """Open the session if there is none."""
        with self._translated():
            self._connected()

    def close(self) -> None:
        """End the session without waiting for the rest of an answer."""
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
            if self._lenient:
                connection.encoding = f"{_LENIENT}{connection.encoding}"
            self._connection = connection
        return self._connection


def _lenient(name: str) -> codecs.CodecInfo | None:
    """Return the codec of this name: that of the encoding behind ``_LENIENT``."""
    if not name.startswith(_LENIENT):
        return None
    encoding = name.removeprefix(_LENIENT)

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        return text.encode(encoding, "surrogateescape"), len(text)

    def decode(data: Any, errors: str = "strict") -> tuple[str, int]:
        return str(data, encoding, "surrogateescape"), len(data)

    return codecs.CodecInfo(encode, decode, name=name)


codecs.register(_lenient)


def _converters() -> dict[Any, Any]:
    """Return PyMySQL's converters by type: whole numbers as such, other numbers digit by digit, the rest as text."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import encoders

    def verbatim(text: str) -> msgspec.Raw:
        if text[:1] == "0" and text[1:2].isdigit():  # ZEROFILL, whose zeros are no JSON
            text = text.lstrip("0")
            text = text if text[:1].isdigit() else f"0{text}"
        return msgspec.Raw(text.encode())

    def bits(value: bytes) -> int:
        return int.from_bytes(value, "big")

    types = FIELD_TYPE
    whole = (types.TINY, types.SHORT, types.LONG, types.LONGLONG, types.INT24, types.YEAR)
    exact = (types.DECIMAL, types.NEWDECIMAL, types.FLOAT, types.DOUBLE)
    return {**encoders, **dict.fromkeys(whole, int), **dict.fromkeys(exact, verbatim), types.BIT: bits}


def describe_error(error: BaseException) -> str:
    """Return number and message of an error of the driver, values masked."""
    return f"error {error.args[0]}: {masked(str(error.args[1]), 200)}" if len(error.args) > 1 else type(error).__name__


def translate_error(error: Exception) -> Exception:
    """Return the project's error for one of the driver."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = describe_error(error)
    if number in TRANSIENT:
        return VendorUnavailable(
            f"Genius: the database could not answer ({message}); the next run starts at this place."
        )
    if form := REFUSED.get(number):
        what = "The tables are not as they were" if form is AnswerChanged else "Ask the vendor to grant it"
        if form is CredentialRefused:
            what = "Set GENIUS_DATABASE_URL again, with the login that is valid now"
        return form(f"Genius: the database refused ({message}). {what}; nothing was loaded.")
    return RequestRefused(f"Genius: the database did not accept the statement ({message}); nothing was loaded.")
