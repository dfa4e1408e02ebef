"""Databases that tests borrow: a copy of a template, cleaned and lent again while only rows differ from the template.

A copy takes ten times as long as a cleaning, because it is a thousand files. What a test changed beside rows (a table,
a function, a grant, a setting) shows in the catalog, and its database is dropped then. Rows of the template that a test
changed are put back.
"""

import contextlib
import uuid
from collections import defaultdict

import psycopg
from psycopg import sql

from warehouse_pipelines.local.postgres import Server

TOUCHED = """
    SELECT sum(one) FROM (
        SELECT hash_record_extended((CASE WHEN relkind <> 'i' THEN oid END, relname, relnamespace, relkind, relowner,
                relacl, reloptions, reltablespace, relrowsecurity, relforcerowsecurity), 0) AS one
        FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'
        UNION ALL SELECT hash_record_extended((nspname, nspowner, nspacl), 7)
        FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT hashtextextended(extname::text, 9) FROM pg_extension
        UNION ALL SELECT hash_record_extended((datacl, datdba, datconnlimit), 10)
        FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT hash_record_extended((setrole, setconfig), 11) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS all_of_it
    """
"""A number that changes with tables, schemas and settings; what a TRUNCATE and a temporary table write to is in it.
An index that was made anew may be the same."""

UNTOUCHED = """
    SELECT count(*), count(*) FILTER (WHERE age(one) <= (SELECT age(%s::xid))) FROM (
        SELECT xmin AS one FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT xmin FROM pg_attrdef
        UNION ALL SELECT xmin FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT xmin FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT xmin FROM pg_trigger
        UNION ALL SELECT xmin FROM pg_policy
        UNION ALL SELECT xmin FROM pg_description WHERE objoid >= 16384
    ) AS all_of_it
    """
"""How many rows the rest of the catalog has, and how many were written since a transaction: a fifth of the cost of
reading what they say."""

NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text"

CATALOG = """
    SELECT sum(one) FROM (
        SELECT hash_record_extended((attrelid, attnum, attname, atttypid, attnotnull, attacl), 1) AS one
        FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
            AND attrelid NOT IN (SELECT oid FROM pg_class WHERE relpersistence = 't' OR relkind = 'i')
        UNION ALL SELECT hash_record_extended((oid, adrelid, adnum, adbin::text), 2) FROM pg_attrdef
        UNION ALL SELECT hash_record_extended((conrelid, contypid, conname, contype, convalidated, condeferrable,
                conkey::text, confrelid, conbin::text), 3)
        FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT hash_record_extended((oid, proname, prosrc, proacl, proowner, proconfig), 4)
        FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT hash_record_extended((oid, tgname, tgenabled), 5) FROM pg_trigger
        UNION ALL SELECT hash_record_extended((oid, polname, polroles), 6) FROM pg_policy
        UNION ALL SELECT hash_record_extended((objoid, objsubid, description), 8)
        FROM pg_description WHERE objoid >= 16384
        UNION ALL SELECT hash_record_extended((indisvalid, pg_get_indexdef(indexrelid)), 9)
        FROM pg_index JOIN pg_class AS c ON c.oid = indrelid
        WHERE indexrelid >= 16384 AND relkind <> 't' AND relpersistence <> 't'
    ) AS all_of_it
    """
"""A number that changes with what the rest of the catalog says. Texts of the rows would take three times as long."""

FILLED = """
    SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid >= 16384 AND c.relkind = 'r' AND c.relpersistence <> 't' AND pg_relation_size(c.oid) > 0
    ORDER BY 1, 2
    """

ADVANCED = (
    "SELECT schemaname::text, sequencename::text, last_value::text FROM pg_sequences WHERE last_value IS NOT NULL"
)

BUSY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND (state IS DISTINCT FROM 'idle' OR pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'))
    """

REFUSING = """
    SELECT n.nspname, c.relname, g.tgname FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE g.tgenabled = 'A' AND g.tgtype & 32 <> 0
    """
"""The triggers that refuse a TRUNCATE to everybody."""

Contents = dict[tuple[str, str], str]


class Databases:
    """Lends databases of one server to the tests of one process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: dict[str, list[str]] = defaultdict(list)
        self._made: dict[str, tuple[str, str, Contents]] = {}
        self._asked: dict[str, sql.Composed] = {}
        self._rows: dict[str, dict[tuple[str, str], bytes]] = {}
        self._seen: dict[str, tuple[str, int]] = {}
        self._sessions: dict[str, psycopg.Connection] = {}

    def borrow(self, template: str) -> str:
        """Return the name of a database that equals ``template``."""
        if self._free[template]:
            return self._free[template].pop()
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._server.create_database(name, template=template)
        session = self._session(name)
        self._seen[name] = _untouched(session)
        if template not in self._made:
            self._asked[template] = _asked(session)
            contents = _contents(session, self._asked[template])
            self._made[template] = _value(session, TOUCHED), _value(session, CATALOG), contents
            self._rows[template] = _rows(session)
        return name

    def give_back(self, name: str, template: str) -> None:
        """Clean a database, or drop it where that is not enough."""
        cleaned = False
        with contextlib.suppress(psycopg.Error):
            cleaned = self._clean(name, template)
        if cleaned:
            self._free[template].append(name)
        else:
            if name in self._sessions:
                self._sessions.pop(name).close()
            self._seen.pop(name, None)
            self._server.drop_database(name)

    def close(self) -> None:
        """Close the sessions that clean."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _session(self, name: str) -> psycopg.Connection:
        """Return the session that cleans a database; kept, because a new one reads the whole catalog anew."""
        try:
            self._sessions[name].execute("RESET ALL")
        except (KeyError, psycopg.OperationalError):
            if name in self._sessions:
                self._sessions.pop(name).close()
            self._sessions[name] = psycopg.connect(
                self._server.url(name), autocommit=True, connect_timeout=5, application_name="a test that looks on"
            )
        return self._sessions[name]

    def _clean(self, name: str, template: str) -> bool:
        """Give it the rows of the template; return whether the database equals it then."""
        connection = self._session(name)
        touched, catalog, contents = self._made[template]
        connection.execute(BUSY)
        if _value(connection, TOUCHED) != touched:
            return False
        seen, rows = self._seen[name]
        if connection.execute(UNTOUCHED, [seen]).fetchone() != (rows, 0):
            if _value(connection, CATALOG) != catalog:
                return False
            self._seen[name] = _untouched(connection)
        connection.execute("SET lock_timeout = '5s'; SET session_replication_role = replica")  # triggers may refuse it
        strange = [sql.Identifier(*names) for names in connection.execute(FILLED) if names not in contents]
        if strange:
            truncate = sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(strange))
            try:
                connection.execute(truncate)
            except psycopg.errors.InsufficientPrivilege:
                connection.execute(_unrefused(connection, truncate))
                self._seen[name] = _untouched(connection)
        for schema, sequence, _ in connection.execute(ADVANCED).fetchall():
            if (schema, sequence) not in contents:
                connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(schema, sequence)))
        if (found := _contents(connection, self._asked[template])) == contents:
            return True
        for names in contents:
            if found.get(names) != contents[names] and names in self._rows[template]:
                table = sql.Identifier(*names)
                connection.execute(sql.SQL("DELETE FROM {}").format(table))
                with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                    copy.write(self._rows[template][names])
        return _contents(connection, self._asked[template]) == contents


def _unrefused(connection: psycopg.Connection, truncate: sql.Composed) -> sql.Composed:
    """Return the statement between those that switch off and on what refuses it to everybody."""
    refusing = [
        (sql.Identifier(*names), sql.Identifier(trigger)) for *names, trigger in connection.execute(REFUSING).fetchall()
    ]
    off = [sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(*one) for one in refusing]
    on = [sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(*one) for one in refusing]
    return sql.SQL("; ").join([*off, truncate, *on])


def _value(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row and row[0])


def _untouched(connection: psycopg.Connection) -> tuple[str, int]:
    """Return the next transaction, and how many rows the catalog has of which ``UNTOUCHED`` tells."""
    following = _value(connection, NEXT)
    row = connection.execute(UNTOUCHED, [following]).fetchone()
    return following, int(row[0]) if row else 0


def _rows(connection: psycopg.Connection) -> dict[tuple[str, str], bytes]:
    """Return the rows of each table that has any, as COPY writes them."""
    found: dict[tuple[str, str], bytes] = {}
    for names in connection.execute(FILLED).fetchall():
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*names))) as copy:
            found[names] = b"".join(bytes(block) for block in copy)
    return found


def _asked(connection: psycopg.Connection) -> sql.Composed:
    """Return a query for what stands in each table that has rows now, and where each sequence is that has been used."""
    each = [
        sql.SQL("SELECT {}, {}, sum(hashtextextended(t::text, 0))::text FROM {} AS t").format(
            *map(sql.Literal, names), sql.Identifier(*names)
        )
        for names in connection.execute(FILLED).fetchall()
    ]
    return sql.SQL(" UNION ALL ").join([sql.SQL(ADVANCED), *each])


def _contents(connection: psycopg.Connection, asked: sql.Composed) -> Contents:
    return {(schema, name): str(what) for schema, name, what in connection.execute(asked).fetchall()}
