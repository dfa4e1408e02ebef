"""The simulated PipeDesk: its tables in a real PostgreSQL, and what happens behind the scenes there.

Written from the vendor notes. A client connects to a port and asks in SQL, as a role that may read the tables and
bypasses row-level security; `plain_url` is that of a role that does not. Row-level security is on as in the product's
own migrations, so the plain role is shown no lead at all, without an error. `updated_at` is the application's affair:
only deals have a trigger, some leads have none, and `qualify_lead` does not touch it.

What stands in the way between the two, the proxy, counts the queries as requests (path = `/<table>`, a connection
is `/connect`) and gives the faults of all vendors the form they have in a database:

    rate_limit    error 53300, too many connections; it ends the connection
    status        57014, the statement timeout, for any of HTTP's; on `/connect` 57P03, the server is starting up
    unauthorized  error 28P01, the password is wrong
    slow          a query that takes its time
    reset, truncated  the connection ends in the middle of the rows, or as soon as it began
    repeat_page   the rows of the query before, once more
    malformed     `bad_date`, `bad_number`: a column has become text, and one row holds words;
                  `non_object`: the key has another name

The rest has no counterpart and is refused. What the notes could not confirm is a setting.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.proxy import DatabaseSimulator, Proxy, Treatment
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.pipedesk import postgresql
from warehouse_pipelines.simulators.pipedesk.postgresql import CONNECT, PostgresProxyConnection, PostgresRefusal
from warehouse_pipelines.simulators.pipedesk.tables import KEYS, SCHEMA, TABLES, Rows

ASKED = re.compile(r'\bFROM\s+(?:"?\w+"?\.)?"?(\w+)"?', re.IGNORECASE)
LIMIT = re.compile(r"\bFETCH\s+(?:FORWARD\s+)?(\d+)|\bLIMIT\s+(\d+)", re.IGNORECASE)
SMALL = 2_000


@dataclass
class PipeDeskSettings:
    token: str = "simulated-pipedesk-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start: contacts, and as many leads; everything else is in proportion
    now: float | None = None  # fixed at start: seconds since 1970; when the newest rows were written
    text_ids: bool = False  # fixed at start: ids are text and not uuid
    profiles: bool = False  # fixed at start: the table of users is called profiles and has no e-mail addresses
    qualify_deletes: bool = True  # whether qualify_lead sets deleted_at as well


class PipeDesk(DatabaseSimulator):
    settings_type = PipeDeskSettings
    settings: PipeDeskSettings

    def __init__(self, population: Population, settings: PipeDeskSettings) -> None:
        super().__init__(population, settings)
        self._cluster = postgresql.cluster()
        self.name = f"pipedesk_{uuid.uuid4().hex[:12]}"
        self._proxy: Proxy | None = None
        self._removed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._transactions: list[psycopg.Connection] = []
        kind = (
            population.seed,
            population.people,
            settings.contacts,
            settings.now,
            settings.text_ids,
            settings.profiles,
        )
        if settings.contacts <= SMALL:
            self._cluster.copied(self.name, kind, self._fill)
        else:
            self._cluster.server.create_database(self.name)
            self._fill(self.name)
        self._admin = psycopg.connect(self._cluster.server.url(self.name), autocommit=True, row_factory=dict_row)
        for role in (self.name, self._plain):
            self.run(
                sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {} IN ROLE pipedesk_readers").format(
                    sql.Identifier(role), sql.SQL("BYPASSRLS" if role == self.name else ""), settings.token
                )
            )

    @property
    def _plain(self) -> str:
        return f"{self.name}_plain"

    def _fill(self, database: str) -> None:
        now = datetime.fromtimestamp(self.settings.now or time.time(), UTC)
        schema = SCHEMA
        if self.settings.text_ids:
            schema = re.sub(r"(\w*id|created_by) uuid\b", r"\1 text", schema)
            schema = schema.replace("(p_lead_id text", "(p_lead_id uuid").replace("p_user_id text", "p_user_id uuid")
            schema = schema.replace("company uuid := gen_random_uuid()", "company text := gen_random_uuid()")
            schema = schema.replace("deal uuid := gen_random_uuid()", "deal text := gen_random_uuid()")
            schema = schema.replace("WHERE id = p_lead_id", "WHERE id = p_lead_id::text")
        with self._cluster.server.connect(database) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = 'pipedesk_readers'").fetchone() is None:
                connection.execute("CREATE ROLE pipedesk_readers NOLOGIN")
            connection.execute(schema.encode())
            connection.execute("SET session_replication_role = replica")
            for table, rows in Rows(self.population, self.settings.contacts, now).tables():
                names: list[str] = []
                with connection.cursor() as cursor:
                    first = next(rows, None)
                    if first is None:
                        continue
                    names = list(first)
                    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
                        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
                    )
                    with cursor.copy(copy) as writing:
                        writing.write_row(list(first.values()))
                        for row in rows:
                            writing.write_row(list(row.values()))
            if self.settings.profiles:
                connection.execute("ALTER TABLE users RENAME TO profiles; ALTER TABLE profiles DROP email")

    @classmethod
    def lacking(cls) -> str | None:
        return postgresql.lacking()

    def run(self, statement: str | sql.Composed, *values: Any) -> list[dict[str, Any]]:
        """Run a statement as the administrator, as no client can."""
        asked = statement.encode() if isinstance(statement, str) else statement
        cursor = self._admin.execute(asked, values or None)
        return cursor.fetchall() if cursor.description else []

    def _unseen(self, statement: sql.Composed, *values: Any) -> None:
        """Run a statement that no trigger and no foreign key notices."""
        with self._admin.transaction():
            self._admin.execute("SET LOCAL session_replication_role = replica")
            self._admin.execute(statement, values or None)

    def listen(self, host: str, port: int) -> None:
        """The port is the database's; the control endpoint takes a free one."""
        self._proxy = Proxy(host, port, self._cluster.address, self._treat, PostgresProxyConnection)
        super().listen(host, 0)

    def environment(self) -> dict[str, str]:
        return {"PIPEDESK_DATABASE_URL": self._url(self.name)}

    @property
    def plain_url(self) -> str:
        """The address for a role that row-level security acts on."""
        return self._url(self._plain)

    def _url(self, role: str) -> str:
        if self._proxy is None:
            raise RuntimeError("the simulator does not listen yet")
        where = f"127.0.0.1:{self._proxy.port}/{self.name}"
        return f"postgresql+psycopg://{role}:{self.settings.token}@{where}"

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        super().close()
        with self.lock:
            if self._admin.closed:
                return
            for connection in self._transactions:
                connection.close()
            self._admin.close()
            self._cluster.server.drop_database(self.name)
            with self._cluster.server.connect("postgres") as connection:
                for role in (self.name, self._plain):
                    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def answer(self, request: Request) -> Answer:
        return answer_json(404, {"error": "PipeDesk is a database; ask its port in SQL"})

    def _treat(self, statement: str) -> Treatment:
        """Count a query, and say what becomes of it."""
        asked = [name for name in ASKED.findall(statement) if name in (*TABLES, "profiles")]
        path = "/connect" if statement == CONNECT else f"/{asked[-1]}" if asked else "/"
        limit = LIMIT.search(statement)
        request = Request("QUERY", path, {}, statement.encode(), "127.0.0.1")
        request.target = path
        self.counters.begin()
        treatment = Treatment()
        for fault in self.faults.firing(request):
            match fault.kind:
                case "slow":
                    time.sleep(fault["seconds"])
                case "rate_limit":
                    treatment = Treatment(PostgresRefusal(1, "53300", "sorry, too many clients already"))
                case "status" if path == "/connect":
                    treatment = Treatment(PostgresRefusal(1, "57P03", "the database system is starting up"))
                case "status":
                    treatment = Treatment(PostgresRefusal(0, "57014", "canceling statement due to statement timeout"))
                case "unauthorized":
                    said = f'password authentication failed for user "{self.name}"'
                    treatment = Treatment(PostgresRefusal(1, "28P01", said))
                case "reset" | "truncated":
                    treatment = Treatment(cut=400, reset=fault.kind == "reset")
                case "repeat_page":
                    treatment = Treatment(repeat=True)
        status = 500 if treatment.refusal else 200
        size = int(limit[1] or limit[2]) if limit else None
        self.counters.end(request, Answer(status, page_size=size))
        return treatment

    def key_of(self, table: str) -> tuple[str, ...]:
        return key_of(table)

    @operation
    def keys(self, table: str) -> list[list[str]]:
        listed = _list(key_of(table))
        found = self.run(sql.SQL("SELECT {0} FROM {1} ORDER BY {0}").format(listed, sql.Identifier(table)))
        return [[str(value) for value in row.values()] for row in found]

    @operation
    def count(self, table: str) -> int:
        (row,) = self.run(sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table)))
        return int(row["n"])

    @operation
    def edit(self, table: str, key: Iterable[Any], touch: bool = True, **changes: Any) -> None:
        """Change a row. Without `touch` as raw SQL would: `updated_at` stays as it is, but for deals."""
        if touch and "updated_at" in self.types(table):
            changes.setdefault("updated_at", datetime.now(UTC))
        self.run(_update(table, changes), *changes.values(), *key)

    @operation
    def create(self, table: str, **values: Any) -> list[str]:
        """Add a row like the last one, under another key; returns that."""
        names = key_of(table)
        row = self._row(table, self.keys(table)[-1])
        row[names[0]] = row[names[0]] + 1 if isinstance(row[names[0]], int) else str(uuid.uuid4())
        for name in {"name", "code", "folder_id"} & row.keys():
            row[name] = f"{row[name]} {next(self._serial)}"
        for name in {"created_at", "updated_at", "added_at"} & row.keys():
            row[name] = datetime.now(UTC)
        row |= values
        self._insert(table, row)
        return [str(row[name]) for name in names]

    def _row(self, table: str, key: Iterable[Any]) -> dict[str, Any]:
        (row,) = self.run(sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(table), _where(table)), *key)
        return row

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table), _list(row), sql.SQL(", ").join([sql.Placeholder()] * len(row))
        )
        self._unseen(statement, *row.values())

    @operation
    def remove(self, table: str, key: Iterable[Any], cascade: bool = False) -> None:
        """A hard delete, as nothing tells of; `cascade` takes what points at the row along, as its foreign keys do."""
        key = list(key)
        self._removed[table, tuple(map(str, key))] = self._row(table, key)
        statement = sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), _where(table))
        if cascade:
            self.run(statement, *key)
        else:
            self._unseen(statement, *key)

    @operation
    def restore(self, table: str, key: Iterable[Any]) -> None:
        self._insert(table, self._removed.pop((table, tuple(map(str, key)))))

    @operation
    def empty(self, table: str) -> None:
        self._unseen(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    @operation
    def many(self, rows: int, at: float | None = None) -> None:
        """Add so many leads like the last one, all of one `updated_at`. The server makes them, in seconds."""
        names = [name for name in self.types("leads") if name not in ("id", "updated_at")]
        own = "gen_random_uuid()::text" if self.settings.text_ids else "gen_random_uuid()"
        statement = sql.SQL(
            "INSERT INTO leads (id, updated_at, {0}) SELECT {1}, %s, {0}"
            " FROM (SELECT * FROM leads ORDER BY id DESC LIMIT 1) last, generate_series(1, %s)"
        ).format(_list(names), sql.SQL(own))
        self._unseen(statement, datetime.fromtimestamp(at, UTC) if at else datetime.now(UTC), rows)

    @operation
    def qualify(self, lead: str, name: str = "A company") -> None:
        """Call the product's `qualify_lead`; it leaves `updated_at` as it is."""
        deletes = "on" if self.settings.qualify_deletes else "off"
        self.run("SELECT set_config('pipedesk.qualify_deletes', %s, false)", deletes)
        self.run("SELECT qualify_lead(%s, jsonb_build_object('name', %s::text), NULL)", uuid.UUID(lead), name)

    @operation
    def begin(self, table: str, key: Iterable[Any], **changes: Any) -> int:
        """Change a row in a transaction that stays open; returns what `commit` wants."""
        connection = psycopg.connect(self._cluster.server.url(self.name))
        connection.execute(_update(table, changes), [*changes.values(), *key])
        self._transactions.append(connection)
        return len(self._transactions) - 1

    @operation
    def commit(self, transaction: int) -> None:
        """A late commit: what becomes visible now carries the time at which it was written."""
        self._transactions[transaction].commit()

    @operation
    def kill_connections(self) -> int:
        """The server ends every connection of a client, in the middle of whatever it was reading."""
        found = self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN (%s, %s)", self.name, self._plain
        )
        return len(found)

    @operation
    def bypass(self, allowed: bool) -> None:
        """Whether row-level security leaves the client's role alone."""
        word = sql.SQL("BYPASSRLS" if allowed else "NOBYPASSRLS")
        self.run(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(self.name), word))

    @operation
    def revoke(self, table: str) -> None:
        self.run(sql.SQL("REVOKE SELECT ON {} FROM pipedesk_readers").format(sql.Identifier(table)))

    @operation
    def change_password(self, token: str) -> None:
        """Connections that are open stay so."""
        self.run(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.name), token))

    @operation
    def drop_table(self, table: str) -> None:
        self.run(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(table)))

    @operation
    def add_column(self, table: str, name: str, type_: str, default: str | None = None) -> None:
        """The product grows a column."""
        made = sql.SQL("ALTER TABLE {} ADD {} {} DEFAULT {}").format(
            sql.Identifier(table), sql.Identifier(name), sql.SQL(type_), sql.Literal(default)
        )
        self.run(made)

    @operation
    def rename_column(self, table: str, name: str, to: str) -> None:
        self.run(sql.SQL("ALTER TABLE {} RENAME {} TO {}").format(*map(sql.Identifier, (table, name, to))))

    @operation
    def corrupt_column(self, table: str, name: str) -> None:
        """The vendor makes a column text, and somebody types words into the last row."""
        words = sql.SQL("ALTER TABLE {0} ALTER {1} DROP DEFAULT, ALTER {1} TYPE text USING {1}::text")
        for constraint in self.run(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass", table
        ):
            self.run(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                    sql.Identifier(table), sql.Identifier(constraint["conname"])
                )
            )
        self.run(words.format(sql.Identifier(table), sql.Identifier(name)))
        self.run(_update(table, [name]), "as agreed", *self.keys(table)[-1])

    def types(self, table: str) -> dict[str, str]:
        """The columns of a table and their types."""
        found = self.run(
            "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
        return {row["attname"]: row["type"] for row in found}


def key_of(table: str) -> tuple[str, ...]:
    return KEYS.get(table, ("id",))


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _where(table: str) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key_of(table))


def _update(table: str, changes: Iterable[str]) -> sql.Composed:
    changed = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes)
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table), changed, _where(table))


SIMULATOR = PipeDesk
