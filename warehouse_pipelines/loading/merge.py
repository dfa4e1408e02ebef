"""From Arrow batches to rows: one transaction, exact counts.

A batch goes by ADBC into a temporary table, and one statement merges it: rows whose record has the hash that the table
has are skipped before anything is parsed; of the others those that do not differ are skipped too; what remains is
inserted or, when it is not older, updated, and PostgreSQL says which of the two. So ``sync_updated_at`` moves only when
a row changes, and unchanged rows are neither locked nor logged.

When PostgreSQL refuses a batch because of its data, the batch is tried in halves down to the one record, which becomes
a reject. The halves are tried within PostgreSQL, by one function whose plan is made once: sent from here, each of the
10,000 tries that 5,000 bad records cost was planned anew. Any other error ends the run: the transaction is gone and
with it everything the run did.

Every statement has one plan, whatever the statistics say. They can be wrong by any factor: autovacuum that comes by
during a long uncommitted load writes that the table is empty. So what belongs together is looked up row by row in a
``LATERAL`` subquery that PostgreSQL cannot turn round (``OFFSET 0``), or by an array; a table of many rows never stands
in a join that the planner may order.

Cost, of PostgreSQL's time and for a record of forty columns and 1.4 kB: 50 µs for a new or changed row (a fifth each
for the transfer, for parsing ``raw_data`` and for the heap; the rest for four indexes), 14 µs for an unchanged one.
Both grow with the logarithm of the table: keys are looked up by index (the planner is told so, it has no statistics).
"""

import contextlib
import functools
import itertools
import json
import re
import threading
import zlib
from collections.abc import Sequence, Set
from typing import Any
from uuid import UUID

import adbc_driver_manager
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from psycopg import sql

from warehouse_pipelines.errors import ActionNeeded, DatabaseUnavailable, NotConfigured, SuspiciousRead, masked
from warehouse_pipelines.loading import sync_history
from warehouse_pipelines.loading.coerce import ARROW, Reject
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.model.source import Source

DATA_ERRORS = ("22", "23", "54")
"""SQLSTATE classes that say something about the data: data exception, constraint, a limit of PostgreSQL."""

SETTINGS = {
    "temp_buffers": "64MB", "work_mem": "64MB", "jit": "off", "TimeZone": "UTC",
    "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
    "enable_sort": "off", "enable_incremental_sort": "off", "plan_cache_mode": "force_generic_plan",
}  # fmt: skip
"""Of the loading transaction."""

MIRROR = "SET LOCAL session_replication_role = replica"
"""For tables that are ``Source.mirrored``: until the end of the transaction, no trigger and no foreign key acts."""

BURY_AT_MOST = 0.2
BURY_FREELY = 100
"""A read may tombstone a fifth of a table of over a hundred living rows; more is stopped unless forced.

A read of everything that finds no row again of those that were there is stopped at any size: what it read, if anything,
is another list (a sheet whose cells show errors, another account). Smaller tables may lose most of their rows, because
short lists do (a team's users, the tags of a season), one row that is found again proves that it is the same list, and
the check ``volume`` tells of a read that found less than half of what is usual.
"""


class Loader:
    """Loads the batches of one run. Everything stays in its transaction until ``commit``."""

    def __init__(self, url: str, source: Source, entity: Entity, *, history_id: int, force: bool, sweeps: bool) -> None:
        """Open the transaction. ``sweeps`` says that the keys seen will be needed for ``bury_missing``.

        Raises ``DatabaseUnavailable``, and ``ActionNeeded`` when the table is not there or may not be mirrored into.
        """
        self.source, self.entity, self.history_id, self.force = source, entity, history_id, force
        self.created = self.updated = self.unchanged = self.restored = self.deleted = self.failed = 0
        self.new_dead_letters = self.hiding = 0
        self.rejects: list[Reject] = []
        self.absorbed = 0
        self._target = sql.Identifier(entity.schema, entity.table_name)
        self._seen = False
        self._kept: frozenset[str] = frozenset()
        self._ever_kept: frozenset[str] = frozenset()
        self._divided: frozenset[str] | None = None
        try:
            self._connection = _connect(url)
            self._cursor = self._connection.cursor()
        except adbc_driver_manager.Error as error:
            raise DatabaseUnavailable(f"cannot connect to the warehouse: {masked(str(error))}") from error
        self._run("BEGIN")
        settings = [sql.SQL("set_config({}, {}, true)").format(*setting) for setting in SETTINGS.items()]
        self._row(sql.SQL("SELECT {}").format(sql.SQL(", ").join(settings)))
        if source.mirrored:
            self._mirror()
        self._stage("incoming", self._incoming())
        there = sql.SQL("""
            SELECT EXISTS (SELECT FROM {} t WHERE {}), EXISTS (
                SELECT FROM orchestration.dead_letter
                WHERE status IN ('pending', 'waived') AND crm_source = {} AND sync_type = {})
        """)
        self.had_rows, self._letters = self._row(there.format(self._target, self._living(), source.name, entity.name))
        self._letter_seed = sql.SQL("hashtextextended({}, 0)").format(f"{source.name} {entity.name}")
        if self._letters:
            self._stage("closing", [sql.SQL("id bigint"), sql.SQL("loaded boolean")])
        self._seen = sweeps and self.had_rows
        if self._seen:
            keys = [sql.SQL("{} {}").format(sql.Identifier(key), type_) for key, type_ in self._key_types.items()]
            self._stage("seen", [*keys, sql.SQL("PRIMARY KEY ({})").format(_list(entity.keys))])

    def _mirror(self) -> None:
        try:
            self._cursor.execute(MIRROR)
        except adbc_driver_manager.Error as error:
            self.close()
            raise may_not_mirror(self.source) if _sqlstate(error) == "42501" else self._sorted(error) from error

    def _stage(self, name: str, definition: Sequence[sql.Composable]) -> None:
        """Make a table of this transaction."""
        self._run(
            sql.SQL("CREATE TEMP TABLE {} ({}) WITH (toast_tuple_target = 8160) ON COMMIT DROP").format(
                sql.Identifier(name), sql.SQL(", ").join(definition)
            )
        )

    def _incoming(self) -> list[sql.Composable]:
        """Return the columns of a batch before it is merged."""
        loose = {"numeric": "text", "jsonb": "text"}
        types = {name: spelled.split(" ")[0] for name, spelled in self.entity.pg_types.items()}
        return [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(loose.get(types[name], types[name])))
            for name in (*self.entity.columns, *self.entity.e164, "raw_data", "archived", "deleted_at")
        ]

    @functools.cached_property
    def _key_types(self) -> dict[str, sql.SQL]:
        return {key: sql.SQL(self.entity.pg_types[key].split(" ")[0]) for key in self.entity.keys}

    @property
    def _seed(self) -> int:
        """The seed of the hashes: another one with kept columns, so that records are compared when they are so no more.

        A mirrored source computes the hashes itself and knows of none; it reads everything when a column returns.
        """
        if self.source.mirrored:
            return self.entity.seed
        return self.entity.seed ^ zlib.crc32(" ".join(sorted(self._kept)).encode())

    @functools.cached_property
    def _merge_sql(self) -> str:
        return self._merging(sql.SQL("true")).as_string()

    def _merging(self, which: sql.Composable) -> sql.Composed:
        """Compose the statement that merges those rows; it returns created, updated, restored and deleted."""
        entity = self.entity
        types = entity.pg_types
        own = [*entity.columns, *entity.e164, *(["custom_properties"] if entity.custom else []), "raw_data", "archived"]
        own = [name for name in own if name not in self._kept]
        written = [*own, "deleted_at", "delete_reason", "sync_hash"]
        # By the hash a mirrored source tells the next time what differs, so a row is written for its sake alone.
        compared = [*own, "sync_hash"] if self.source.mirrored else own

        def typed(name: str) -> sql.Composable:
            column = sql.Identifier("i", name)
            if name == "custom_properties":
                declared = [
                    path.partition(".")[2]
                    for column in entity.columns.values()
                    for path in itertools.chain.from_iterable(column.parts)
                    if path.startswith(f"{entity.custom}.")
                ]
                return sql.SQL("jsonb_strip_nulls(d.document #> {}) - {}::text[] AS custom_properties").format(
                    (entity.custom or "").split("."), declared
                )
            if name == "raw_data":
                return sql.SQL("d.document AS raw_data")
            if types[name].startswith(("numeric", "jsonb")):
                return sql.SQL("{}::{} AS {}").format(column, sql.SQL(types[name].split(" ")[0]), sql.Identifier(name))
            if name == "archived":
                return sql.SQL("coalesce(i.archived, false) AS archived")
            return column

        version = sql.Identifier(entity.version) if entity.version else None
        # Asked twice: before anything is parsed or counted, and of a row that another session wrote meanwhile.
        not_older: sql.Composable = sql.SQL("true")
        newer: sql.Composable = sql.SQL("")
        if version and not self.force:
            rule = "t.{0} IS NULL OR {1} IS NULL OR {1} >= t.{0}"
            if types[entity.version or ""].startswith("timestamptz"):
                # What lies ahead (9999-12-31) is no time of an edit: it must not refuse every later one.
                rule += " OR t.{0} > now() + interval '1 day'"
            theirs = [sql.Identifier(row, entity.version or "") for row in ("i", "excluded")]
            not_older = sql.SQL(f"({rule})").format(version, theirs[0])
            newer = sql.SQL(f"WHERE {rule}").format(version, theirs[1])
        differs = sql.SQL("true") if self.force else sql.SQL("t.sync_hash IS DISTINCT FROM h.sync_hash")
        found = ["archived", "sync_hash", *([entity.version] if entity.version else [])]
        return sql.SQL("""
            WITH fresh AS MATERIALIZED (
                SELECT * FROM (
                    SELECT {typed}, CASE WHEN i.archived THEN coalesce(i.deleted_at, now()) END AS deleted_at,
                        CASE WHEN i.archived THEN 'archived' END AS delete_reason, i.sync_hash, i.was_archived
                    FROM (
                        SELECT i.*, h.sync_hash, t.archived AS was_archived
                        FROM (SELECT * FROM incoming i WHERE {which} OFFSET 0) i
                        CROSS JOIN LATERAL (SELECT hashtextextended(i.raw_data, {seed}) AS sync_hash OFFSET 0) h
                        LEFT JOIN LATERAL (SELECT {found} FROM {target} t WHERE {place}) t ON true
                        WHERE t.archived IS NULL
                            OR ({differs} OR t.archived <> coalesce(i.archived, false)) AND {not_older}
                        OFFSET 0
                    ) i CROSS JOIN LATERAL (SELECT i.raw_data::jsonb AS document OFFSET 0) d
                    OFFSET 0
                ) n
                WHERE n.was_archived IS NULL OR NOT coalesce((
                    SELECT ({mine}) IS NOT DISTINCT FROM ({theirs})
                    FROM {target} t WHERE {row_place}), false)
            ), merged AS (
                INSERT INTO {target} AS t ({written}) SELECT {written} FROM fresh
                ON CONFLICT ({key}) DO UPDATE SET {assignments}, sync_updated_at = now() {newer}
                RETURNING (xmax = 0) AS created
            )
            SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created),
                (SELECT count(*) FROM fresh WHERE was_archived AND NOT archived),
                (SELECT count(*) FROM fresh WHERE archived AND NOT coalesce(was_archived, false))
            FROM merged
        """).format(
            which=which,
            found=sql.SQL(", ").join(sql.Identifier("t", name) for name in found),
            seed=sql.Literal(self._seed),
            typed=sql.SQL(", ").join(typed(name) for name in own),
            differs=differs,
            not_older=not_older,
            target=self._target,
            place=self._place("i"),
            row_place=self._place("n"),
            mine=sql.SQL(", ").join(sql.Identifier("t", name) for name in compared),
            theirs=sql.SQL(", ").join(sql.Identifier("n", name) for name in compared),
            written=_list(written),
            key=_list(entity.keys),
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in written
                if name not in entity.keys
            ),
            newer=newer,
        )

    def _place(self, other: str) -> sql.Composable:
        """Return the condition and the order by which the row of ``t`` with the key of ``other`` is looked up.

        A key of several columns is not asked for by equality: to statistics that are wrong, an index of one of its
        columns is as good as the key's, and may hold half of the table at that place. The first row from the key to the
        key, in the order of the key, can be had from the key's index alone.
        """
        keys = self.entity.keys
        if len(keys) == 1:
            return sql.SQL("{} OFFSET 0").format(_and(sql.SQL("t.{0} = {1}.{0}"), keys, other))
        mine, theirs = (sql.SQL(", ").join(sql.Identifier(row, key) for key in keys) for row in ("t", other))
        return sql.SQL("({mine}) >= ({theirs}) AND ({mine}) <= ({theirs}) ORDER BY {mine} LIMIT 1").format(
            mine=mine, theirs=theirs
        )

    def load(self, table: pa.Table) -> None:
        """Merge a batch whose keys are distinct; records that PostgreSQL refuses become ``rejects``.

        Columns that ``table`` lacks are kept as they are stored; without the vendor's deleted flag, what it tombstoned.
        """
        if not table.num_rows:
            return
        self._keep(frozenset(self.entity.columns.keys() | self.entity.e164.keys()) - set(table.column_names))
        self._run("SAVEPOINT batch")
        try:
            self._cursor.execute("TRUNCATE incoming")
            self._cursor.adbc_ingest("incoming", self._staged(table), mode="append", temporary=True)
        except adbc_driver_manager.Error as error:
            if not self._is_about_data(error, "batch"):
                raise self._sorted(error) from error
            self._run("ROLLBACK TO SAVEPOINT batch")
            if table.num_rows == 1:
                self._refuse(table, error)
                return
            half = table.num_rows // 2
            self.load(table.slice(0, half))
            self.load(table.slice(half))
            return
        if self.entity.flag and "archived" not in table.column_names:
            self._keep_archived()
        self._run("SAVEPOINT staged")
        refused: list[tuple[str, ...]] = []
        try:
            self._cursor.execute(self._merge_sql)
            counts = self._cursor.fetchone()
        except adbc_driver_manager.Error as error:
            if not self._is_about_data(error, "staged"):
                raise self._sorted(error) from error
            self._run("ROLLBACK TO SAVEPOINT staged")
            counts, refused = self._merge_in_halves()
        self._run("RELEASE SAVEPOINT batch")
        created, updated, restored, deleted = counts
        self.created += created
        self.updated += updated
        self.restored += restored
        self.deleted += deleted
        self.unchanged += table.num_rows - len(refused) - created - updated
        if self._seen:
            keys = _list(self.entity.keys)
            self._run(sql.SQL("INSERT INTO seen SELECT {} FROM incoming ON CONFLICT DO NOTHING").format(keys))
        if self._kept:
            self._note_kept()
        if self._letters:
            loaded = sql.SQL(", ").join(sql.Identifier("i", key) for key in self.entity.keys)
            self._close_later(sql.SQL("SELECT concat_ws(' ', {}) AS record_key FROM incoming i").format(loaded), True)
        if self.entity.merged and self.entity.merged not in self._kept:
            self._absorb(table, {parts[0] for parts in refused})

    def _keep_archived(self) -> None:
        """Give the records of ``incoming``, which lack the deleted flag, what it says of their rows."""
        self._run(
            sql.SQL("""
                UPDATE incoming i SET (archived, deleted_at) = (
                    SELECT true, t.deleted_at
                    FROM (SELECT t.delete_reason, t.deleted_at FROM {target} t WHERE {place}) t
                    WHERE t.delete_reason = 'archived'
                )
            """).format(target=self._target, place=self._place("i"))
        )

    def _keep(self, columns: frozenset[str]) -> None:
        if columns != self._kept:
            self._kept = columns
            self.__dict__.pop("_merge_sql", None)

    def _note_kept(self) -> None:
        """Note the records of ``incoming``, which were merged without some columns, for ``empty_returned``."""
        if not self._ever_kept:
            keys = [sql.SQL("{} {}").format(sql.Identifier(key), type_) for key, type_ in self._key_types.items()]
            self._stage("kept", keys)
        self._ever_kept |= self._kept
        self._run(sql.SQL("INSERT INTO kept SELECT {} FROM incoming").format(_list(self.entity.keys)))

    def empty_returned(self, absent: Set[str]) -> None:
        """Empty the columns that were kept, and that a later record proved to be sent, where a record lacks them.

        A vendor that leaves out what is empty shows by that record that it left them out on purpose in those before.
        ``absent`` are the columns that no record had. ``raw_data`` is asked, so a row that is newer than its record
        in this run stays as it is. A row whose record changed nothing else was counted as unchanged.
        """
        e164 = self.entity.e164
        returned = sorted(name for name in self._ever_kept if e164.get(name, name) not in absent)
        if not returned:
            return
        lacking = {
            name: sql.SQL("({} IS NOT NULL AND {})").format(
                sql.Identifier("t", name),
                sql.SQL(" AND ").join(
                    sql.SQL("t.raw_data #> {} IS NULL").format(path.split("."))
                    for path in itertools.chain.from_iterable(self.entity.columns[e164.get(name, name)].parts)
                ),
            )
            for name in returned
        }
        emptied, untouched = self._row(
            sql.SQL("""
                WITH found AS MATERIALIZED (
                    SELECT t.place, t.untouched FROM kept k CROSS JOIN LATERAL (
                        SELECT t.ctid AS place, t.sync_updated_at < now() AS untouched, {any} AS stale
                        FROM {target} t WHERE {place}
                    ) t WHERE t.stale
                ), emptied AS (
                    UPDATE {target} t SET {assignments}, sync_updated_at = now()
                    WHERE t.ctid = ANY(ARRAY(SELECT place FROM found)) RETURNING 1
                ) SELECT (SELECT count(*) FROM emptied), (SELECT count(DISTINCT place) FROM found WHERE untouched)
            """).format(
                any=sql.SQL(" OR ").join(lacking.values()),
                target=self._target,
                place=self._place("k"),
                assignments=sql.SQL(", ").join(
                    sql.SQL("{0} = CASE WHEN NOT {1} THEN t.{0} END").format(sql.Identifier(name), lacks)
                    for name, lacks in lacking.items()
                ),
            )
        )
        if emptied:
            self.updated += untouched
            self.unchanged -= untouched

    def _merge_in_halves(self) -> tuple[tuple[int, int, int, int], list[tuple[str, ...]]]:
        """Merge what can be merged of ``incoming``, the rest of which is deleted from it and added to ``rejects``.

        Returns the counts and the keys of the rest.
        """
        keys = [sql.SQL("i.{}::text").format(sql.Identifier(key)) for key in self.entity.keys]
        if self._divided is None:
            names = [f"key_{n}" for n in range(len(keys))]
            texts = [sql.SQL("{} text").format(sql.Identifier(n)) for n in (*names, "raw_data", "rule", "message")]
            self._stage("refused", texts)
        else:
            self._run("TRUNCATE refused")
        if self._divided != self._kept:
            self._run(
                sql.SQL(_MERGE_IN_HALVES).format(
                    merging=self._merging(sql.SQL("i.ctid BETWEEN places[low] AND places[high]")),
                    keys=sql.SQL(", ").join(keys),
                )
            )
            self._divided = self._kept
        counts = self._row(sql.SQL("SELECT * FROM pg_temp.merge_in_halves()"))
        try:
            self._cursor.execute("SELECT * FROM refused")
            rows = self._cursor.fetchall()
        except adbc_driver_manager.Error as error:
            raise self._sorted(error) from error
        for *parts, raw, rule, message in rows:
            key = tuple(parts)
            self.rejects.append(Reject(raw.encode(), " ".join(key), "load", rule, masked(message), key))
        return (counts[0], counts[1], counts[2], counts[3]), [tuple(row[: len(keys)]) for row in rows]

    def _close_later(self, records: sql.Composable, loaded: bool) -> None:
        """Note the open dead letters of these ``records`` by ``record_key``; ``close_dead_letters`` closes them."""
        self._run(
            sql.SQL("""
                INSERT INTO closing SELECT d.id, {loaded} FROM ({records} OFFSET 0) r CROSS JOIN LATERAL (
                    SELECT d.id, d.status FROM orchestration.dead_letter d
                    WHERE d.open_key = hashtextextended(r.record_key, {seed}) AND d.record_key = r.record_key OFFSET 0
                ) d WHERE {loaded} OR d.status = 'pending'
            """).format(loaded=loaded, records=records, seed=self._letter_seed)
        )

    def close_dead_letters(self) -> None:
        """Close those whose record was loaded, and those whose record failed with another payload.

        Not those that this run met again: of two records with one key the good one does not cure the bad one.
        """
        if not self._letters:
            return
        for loaded, status in ((True, "resolved"), (False, "superseded")):
            ids = sql.SQL("ARRAY(SELECT id FROM closing WHERE loaded = {})").format(loaded)
            self._close_dead_letters(ids, status)

    def _close_dead_letters(self, ids: sql.Composable, status: str) -> None:
        self._run(
            sql.SQL("""
                UPDATE orchestration.dead_letter SET status = {status}, resolved_at = now()
                WHERE id = ANY({ids}) AND resolved_at IS NULL AND last_sync_history_id IS DISTINCT FROM {history}
            """).format(status=status, ids=ids, history=self.history_id)
        )

    def _staged(self, table: pa.Table) -> pa.Table:
        """Return the columns of ``incoming``, in its order."""
        if "archived" not in table.column_names:
            table = table.append_column("archived", pa.nulls(table.num_rows, pa.bool_()))
        if "deleted_at" not in table.column_names:
            table = table.append_column("deleted_at", pa.nulls(table.num_rows, pa.timestamp("us", "UTC")))
        for name in self._kept:
            kind = self.entity.columns[name].kind if name in self.entity.columns else "text"
            table = table.append_column(name, pa.nulls(table.num_rows, ARROW[KINDS[kind].pg_type]))
        for name, column in self.entity.columns.items():
            if column.kind == "uuid":
                table = table.set_column(table.column_names.index(name), name, _uuids(table[name]))
        return table.select([*self.entity.columns, *self.entity.e164, "raw_data", "archived", "deleted_at"])

    def _absorb(self, table: pa.Table, refused: Set[str]) -> None:
        """Tombstone the rows that a record of the batch absorbed: the vendor forgets them without a trace."""
        listed = table[self.entity.merged]
        some = pc.indices_nonzero(pc.fill_null(pc.greater(pc.binary_length(listed), 0), False))
        if not len(some):
            return
        few = table.take(some)
        archived = few["archived"].to_pylist() if "archived" in few.column_names else [None] * len(some)
        survivors = {
            key: survivor
            for survivor, keys, gone in zip(
                few[self.entity.keys[0]].to_pylist(), few[self.entity.merged].to_pylist(), archived, strict=True
            )
            if not gone and survivor not in refused
            for key in map(str.strip, keys.split(";"))
            if key and key != survivor
        }
        if not survivors:
            return
        statement = sql.SQL("""
            WITH buried AS (
                UPDATE {target} t SET archived = true, deleted_at = now(), sync_updated_at = now(),
                    delete_reason = 'merged into ' || ({survivors}::jsonb ->> t.{key})
                WHERE t.{key} = ANY({keys}) AND (NOT t.archived OR t.delete_reason NOT LIKE 'merged%')
                RETURNING 1
            ) SELECT count(*) FROM buried
        """).format(
            key=sql.Identifier(self.entity.keys[0]),
            target=self._target,
            survivors=json.dumps(survivors),
            keys=list(survivors),
        )
        self.absorbed += self._number(statement)

    def write_letters(self, rejects: Sequence[Reject]) -> None:
        """Put records that cannot be loaded into the dead letters. One that lies there with this payload is met again.

        Whoever is met again keeps its status, so that what was waived stays waived.
        """
        if not rejects:
            return
        keys = [reject.parts or (None,) * len(self.entity.keys) for reject in rejects]
        columns = {
            "record_key": [reject.key for reject in rejects],
            "stage": [reject.stage for reject in rejects],
            "rule": [reject.rule for reject in rejects],
            "message": [reject.message for reject in rejects],
            "payload": [reject.raw.decode(errors="replace").replace("\0", "\ufffd") for reject in rejects],
            **{f"key_{n}": [key[n] for key in keys] for n in range(len(self.entity.keys))},
        }
        if self.failed:
            self._run("TRUNCATE letters")
        else:
            self._stage("letters", [sql.SQL("{} text").format(sql.Identifier(name)) for name in columns])
        self.failed += len(rejects)
        try:
            table = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
            self._cursor.adbc_ingest("letters", table, mode="append", temporary=True)
        except adbc_driver_manager.Error as error:
            raise self._sorted(error) from error
        new, hiding = self._row(
            sql.SQL("""
                WITH read AS MATERIALIZED (
                    SELECT l.*, d.document, hashtextextended(d.document::text, {seed}) AS payload_hash
                    FROM letters l
                    CROSS JOIN LATERAL (SELECT orchestration.jsonb_or_text(l.payload) AS document OFFSET 0) d
                ), written AS (
                    INSERT INTO orchestration.dead_letter AS d (sync_history_id, last_sync_history_id, crm_source,
                        sync_type, record_key, stage, rule, error_message, payload, payload_hash)
                    SELECT DISTINCT ON (payload_hash) {history}, {history}, {crm}, {entity}, record_key, stage, rule,
                        message, document, payload_hash
                    FROM read ORDER BY payload_hash
                    ON CONFLICT (open_payload) DO UPDATE SET
                        attempts = d.attempts + (d.last_sync_history_id IS DISTINCT FROM {history})::integer,
                        last_sync_history_id = {history}, last_seen_at = now(),
                        record_key = coalesce(excluded.record_key, d.record_key), stage = excluded.stage,
                        rule = excluded.rule, error_message = excluded.error_message
                    RETURNING (xmax = 0) AS new, status, record_key
                )
                SELECT count(*) FILTER (WHERE new), count(*) FILTER (WHERE record_key IS NULL AND status <> 'waived')
                FROM written
            """).format(crm=self.source.name, entity=self.entity.name, history=self.history_id, seed=self._letter_seed)
        )
        self.new_dead_letters += new
        self.hiding += hiding
        if self._letters:
            self._close_later(sql.SQL("SELECT record_key FROM letters WHERE record_key IS NOT NULL"), False)
        if self._seen:
            typed = [sql.SQL(f"key_{n}::{{}}").format(type_) for n, type_ in enumerate(self._key_types.values())]
            self._run(
                sql.SQL(
                    "INSERT INTO seen SELECT {} FROM letters WHERE key_0 IS NOT NULL"
                    " AND octet_length(record_key) < 2600 ON CONFLICT DO NOTHING"  # longer than an index can hold
                ).format(sql.SQL(", ").join(typed))
            )

    def bury_missing(self, window: Window, reason: str = "missing") -> None:
        """Tombstone the living rows that a whole read of ``window`` did not find; all rows when it has no begin.

        Raises ``SuspiciousRead`` when that would be too many to believe, unless forced.
        """
        if not self._seen:
            return
        self._bury(
            window,
            sql.SQL("NOT EXISTS (SELECT FROM seen s WHERE {} OFFSET 0)").format(
                _and(sql.SQL("t.{0} = {1}.{0}"), self.entity.keys, "s")
            ),
            reason,
        )

    def bury(self, keys: Sequence[str], window: Window) -> None:
        """Tombstone the living rows of these ``keys``, whose parts have blanks between them.

        Raises ``SuspiciousRead`` when they are too many to believe, unless forced.
        """
        spelled = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("t", key)) for key in self.entity.keys)
        which = sql.SQL("concat_ws(' ', {}) = ANY({})").format(spelled, list(keys))
        self._bury(window, which, "missing", told=True)

    def mark_erased(self, keys: Sequence[str]) -> None:
        """Note of rows that are archived already that the vendor has them no more; ``keys`` are of one column."""
        if keys:
            self._run(
                sql.SQL(
                    "UPDATE {} t SET delete_reason = 'erased', sync_updated_at = now()"
                    " WHERE t.{} = ANY({}) AND t.archived AND t.delete_reason = 'archived'"
                ).format(self._target, sql.Identifier(self.entity.keys[0]), list(keys))
            )

    def _bury(self, window: Window, which: sql.Composable, reason: str, *, told: bool = False) -> None:
        """Tombstone; ``told`` says that the source named these rows, while a list without any row proves nothing."""
        missing = sql.SQL("{} AND {}").format(self._living(window), which)
        count = self._number(sql.SQL("SELECT count(*) FROM {} t WHERE {}").format(self._target, missing))
        if not count:
            return
        living = self.count_living(window)
        all_gone = (
            not told
            and window.since is None
            and count
            == self._number(
                sql.SQL("SELECT count(*) FROM {} t WHERE {} AND t.sync_created_at < now()").format(
                    self._target, self._living(window)
                )
            )
        )
        if (all_gone or (living > BURY_FREELY and count > BURY_AT_MOST * living)) and not self.force:
            raise SuspiciousRead(
                f"{self.source.title} no longer shows {count} of the {living} living rows of {self.entity.table}; "
                "nothing was loaded. If that is right, run again with --force."
            )
        self._run(
            sql.SQL(
                "UPDATE {} t SET archived = true, deleted_at = now(), delete_reason = {},"
                " sync_updated_at = now(){} WHERE {}"
            ).format(
                self._target,
                reason,
                sql.SQL("").join(
                    sql.SQL(", {} = {}").format(sql.Identifier(name), word) for name, word in self.entity.gone.items()
                ),
                missing,
            )
        )
        self.deleted += count

    def count_living(self, window: Window) -> int:
        """Return how many living rows the window holds; all of them when it has no begin."""
        return self._number(sql.SQL("SELECT count(*) FROM {} t WHERE {}").format(self._target, self._living(window)))

    def _living(self, window: Window | None = None) -> sql.Composable:
        # A mirrored table may have rows that were made here, which no vendor can show.
        living = sql.SQL("NOT t.archived AND t.sync_hash IS NOT NULL" if self.source.mirrored else "NOT t.archived")
        if window is None or window.since is None or not self.entity.cursor:
            return living
        return sql.SQL("{0} AND t.{1} >= {2} AND t.{1} < {3}").format(
            living, sql.Identifier(self.entity.cursor), window.since.isoformat(), window.until.isoformat()
        )

    def resolve(self, letters: Sequence[int]) -> None:
        """Mark those of ``letters`` as resolved that did not fail again."""
        self._close_dead_letters(sql.SQL("{}::bigint[]").format(list(letters)), "resolved")

    def count_rows(self) -> tuple[int, int]:
        """Return how many rows the table has as this transaction sees it, and how many of them live; reads them all."""
        self._run("SET LOCAL enable_seqscan = on")
        self._cursor.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE NOT archived) FROM {}").format(self._target).as_string()
        )
        rows, living = self._cursor.fetchone()
        return int(rows), int(living)

    def commit(self, closing: dict[str, Any]) -> None:
        """Close the history row and commit all. Raises ``DatabaseUnavailable``, also when the row is closed already."""
        try:
            self._cursor.execute(sync_history.CLOSE, parameters=(json.dumps(closing), self.history_id))
            if self._cursor.fetchone() is None:
                raise DatabaseUnavailable(
                    f"history row {self.history_id} was closed by someone else while the run went on; it is rolled back"
                )
            self._cursor.execute("COMMIT")
        except adbc_driver_manager.Error as error:
            raise self._sorted(error) from error

    def cancel(self) -> None:
        """End the statement that another thread waits for, if there is one."""
        with contextlib.suppress(adbc_driver_manager.Error):
            self._cursor.adbc_cancel()

    def close(self) -> None:
        """End the session, which rolls back what was not committed."""
        for thing in (self._cursor, self._connection):
            with contextlib.suppress(adbc_driver_manager.Error):
                thing.close()

    def _refuse(self, table: pa.Table, error: adbc_driver_manager.Error) -> None:
        row = table.slice(0, 1).to_pylist()[0]
        key = tuple(str(row[name]) for name in self.entity.keys)
        message = masked(str(error).replace("\n", " "))
        rule = _sqlstate(error) or "refused"
        self.rejects.append(Reject(row["raw_data"].encode(), " ".join(key), "load", rule, message, key))

    def _is_about_data(self, error: adbc_driver_manager.Error, savepoint: str) -> bool:
        if code := _sqlstate(error):
            return code[:2] in DATA_ERRORS
        try:  # an error of the driver itself: about the data, if the session still answers
            self._cursor.execute(f"ROLLBACK TO SAVEPOINT {savepoint}")
        except adbc_driver_manager.Error:
            return False
        return True

    def _sorted(self, error: adbc_driver_manager.Error) -> Exception:
        """Return our error for one of the driver that says nothing about the data."""
        code = _sqlstate(error)
        what = f"PostgreSQL refused to load {self.entity.table} ({code or 'no answer'}): {masked(str(error))}"
        if code and code[:2] == "42":
            return ActionNeeded(f"{what}. The database does not fit this version: run `warehouse migrate`.")
        return DatabaseUnavailable(f"{what}. Nothing was committed; look at the server, then run again.")

    def _run(self, statement: str | sql.Composable) -> None:
        try:
            self._cursor.execute(statement if isinstance(statement, str) else statement.as_string())
        except adbc_driver_manager.Error as error:
            raise self._sorted(error) from error

    def _row(self, statement: sql.Composable) -> tuple[Any, ...]:
        self._run(statement)
        row: tuple[Any, ...] = self._cursor.fetchone()
        return row

    def _number(self, statement: sql.Composable) -> int:
        return int(self._row(statement)[0])


def may_not_mirror(source: Source) -> NotConfigured:
    """Return the error for a role to which PostgreSQL refuses ``MIRROR``."""
    return NotConfigured(
        f"{source.title} is mirrored, and the role that loads the warehouse may not keep triggers from rewriting it. "
        "As a superuser run: GRANT SET ON PARAMETER session_replication_role TO <that role>"
    )


def check_mirroring(url: str, source: Source) -> None:
    """Raise ``NotConfigured`` when ``url``'s role may not load a mirrored source; ``DatabaseUnavailable``."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute(MIRROR)
    except psycopg.errors.InsufficientPrivilege as error:
        raise may_not_mirror(source) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"cannot connect to the warehouse: {masked(str(error))}") from error


_known: dict[str, dbapi.Connection] = {}
_knowing = threading.Lock()


def _connect(url: str) -> dbapi.Connection:
    """Return a session that commits by itself, as ADBC sees it: its own transactions cannot go back to a savepoint.

    Of the 45 ms that ADBC takes to connect, 40 go into the catalogue of types, which it reads for each database. So
    one database is kept for each URL, in a connection whose own session is closed, and sessions are cloned from it.
    """
    with _knowing:
        if url not in _known:
            name = f"{'&' if '?' in url else '?'}application_name=warehouse-loader"
            kept = dbapi.connect(url + name, autocommit=True)
            kept.adbc_connection.close()
            for other in _known.values():  # a process loads one warehouse, but for tests
                other.close()
            _known.clear()
            _known[url] = kept
        session = _known[url].adbc_clone()
    session.adbc_connection.set_autocommit(True)
    return session


_MERGE_IN_HALVES = """
    CREATE OR REPLACE FUNCTION pg_temp.merge_in_halves(
        OUT all_created bigint, OUT all_updated bigint, OUT all_restored bigint, OUT all_deleted bigint
    ) LANGUAGE plpgsql AS $function$
    #variable_conflict use_column
    DECLARE
        places tid[] := ARRAY(SELECT ctid FROM incoming ORDER BY ctid);
        ranges integer[] := ARRAY[1, cardinality(places)];
        low integer; high integer;
        one_created bigint; one_updated bigint; one_restored bigint; one_deleted bigint;
    BEGIN
        all_created := 0; all_updated := 0; all_restored := 0; all_deleted := 0;
        WHILE cardinality(ranges) > 0 LOOP
            high := ranges[cardinality(ranges)];
            low := ranges[cardinality(ranges) - 1];
            ranges := trim_array(ranges, 2);
            BEGIN
                {merging} INTO one_created, one_updated, one_restored, one_deleted;
                all_created := all_created + one_created;
                all_updated := all_updated + one_updated;
                all_restored := all_restored + one_restored;
                all_deleted := all_deleted + one_deleted;
            EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
                IF low = high THEN
                    INSERT INTO refused SELECT {keys}, i.raw_data, SQLSTATE, SQLERRM
                        FROM incoming i WHERE i.ctid = places[low];
                    DELETE FROM incoming i WHERE i.ctid = places[low];
                ELSIF high - low < 16 THEN -- one by one, which saves half of the tries where all are bad
                    FOR place IN low..high LOOP
                        ranges := ranges || ARRAY[place, place];
                    END LOOP;
                ELSE
                    ranges := ranges || ARRAY[(low + high) / 2 + 1, high] || ARRAY[low, (low + high) / 2];
                END IF;
            END;
        END LOOP;
    END
    $function$
"""
"""Merges ``incoming``, and what is refused in halves. No row of it is touched twice: each try is undone as a whole."""


def _sqlstate(error: adbc_driver_manager.Error) -> str | None:
    """Return the SQLSTATE, which ADBC has in a member or, for an error while reading a result, only in the text."""
    found = re.search(r"SQLSTATE: (\w{5})", str(error))
    return error.sqlstate or (found[1] if found else None)


def _uuids(texts: pa.ChunkedArray) -> pa.Array:
    """Return UUIDs as the 16 bytes that PostgreSQL's binary COPY wants of them."""
    texts = texts.combine_chunks()
    digits = "".join(texts.fill_null(str(UUID(int=0))).to_pylist()).replace("-", "")
    valid = None if not texts.null_count else texts.is_valid()
    buffers = [valid.buffers()[1] if valid else None, pa.py_buffer(bytes.fromhex(digits))]
    return pa.Array.from_buffers(pa.binary(16), len(texts), buffers)


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _and(form: sql.SQL, names: Sequence[str], other: str) -> sql.Composed:
    return sql.SQL(" AND ").join(form.format(sql.Identifier(name), sql.Identifier(other)) for name in names)
