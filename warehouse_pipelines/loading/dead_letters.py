"""Dead letters: the records that could not be loaded. Write, list, show and waive them; ``replay`` loads them again.

A run writes them in its own transaction (``DeadLetterWriter``). The same payload of an entity is the same dead letter,
however often it is met; a run that meets none but those it knows is a success.

- ``pending``: waits for a person, or for the record to be loaded.
- ``waived``: a person gave it up and said why. It stays so while its payload stays the same; a replay loads it when
  asked to.
- ``resolved``: its record was loaded. ``superseded``: its record failed again with another payload, whose dead letter
  counts.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.errors import LockNotAvailable

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.rejects import TOO_LARGE, Reject
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    from warehouse_pipelines.loading.transaction import Transaction


class DeadLetterWriter:
    """Writes and closes the dead letters of one entity in the transaction of its run, and counts them.

    ``failed`` counts the records, ``new`` the dead letters that were not known before, and ``keyless`` those whose key
    could not be made out and that nobody waived: any row may be theirs.
    """

    def __init__(
        self, transaction: "Transaction", source: Source, entity: Entity, *, history_id: int, some_open: bool
    ) -> None:
        """``some_open`` says that there were open dead letters of the entity before this run."""
        self.failed = self.new = self.keyless = 0
        self._transaction, self._source, self._entity = transaction, source, entity
        self._history_id, self._some_open = history_id, some_open
        self._hash_seed = sql.SQL("hashtextextended({}, 0)").format(f"{source.name} {entity.name}")
        if some_open:
            transaction.create_temp_table("closing", [sql.SQL("id bigint"), sql.SQL("loaded boolean")])

    def write(self, rejects: Sequence[Reject]) -> None:
        """Write records that cannot be loaded; they stay in the temporary table ``rejects`` until the next ones.

        A dead letter with this payload is met again and keeps its status: what was waived stays waived.

        Raises ``DatabaseUnavailable`` or ``ActionNeeded``.
        """
        import adbc_driver_manager
        import pyarrow as pa

        keys = [reject.parts or (None,) * len(self._entity.keys) for reject in rejects]
        columns = {
            "record_key": [reject.key for reject in rejects],
            "stage": [reject.stage for reject in rejects],
            "rule": [reject.rule for reject in rejects],
            "message": [reject.message for reject in rejects],
            "payload": [reject.raw.decode(errors="replace").replace("\0", "\ufffd") for reject in rejects],
            **{f"key_{n}": [key[n] for key in keys] for n in range(len(self._entity.keys))},
        }
        if self.failed:
            self._transaction.run("TRUNCATE rejects")
        else:
            texts = [sql.SQL("{} text").format(sql.Identifier(name)) for name in columns]
            self._transaction.create_temp_table("rejects", texts)
        self.failed += len(rejects)
        try:
            table = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
            self._transaction.ingest("rejects", table)
        except adbc_driver_manager.Error as error:
            raise self._transaction.translated(error) from error
        new, keyless = self._transaction.row(
            sql.SQL("""
                WITH read AS MATERIALIZED (
                    SELECT r.*, d.document, hashtextextended(d.document::text, {hash_seed}) AS payload_hash
                    FROM rejects r
                    CROSS JOIN LATERAL (SELECT orchestration.jsonb_or_text(r.payload) AS document OFFSET 0) d
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
            """).format(
                crm=self._source.name, entity=self._entity.name, history=self._history_id, hash_seed=self._hash_seed
            )
        )
        self.new += new
        self.keyless += keyless
        self._note(sql.SQL("SELECT record_key FROM rejects WHERE record_key IS NOT NULL"), loaded=False)

    def note_merged(self) -> None:
        """Note the records of the batch that was merged: ``close`` resolves their dead letters."""
        loaded = sql.SQL(", ").join(sql.Identifier("i", key) for key in self._entity.keys)
        self._note(sql.SQL("SELECT concat_ws(' ', {}) AS record_key FROM incoming i").format(loaded), loaded=True)

    def _note(self, records: sql.Composable, *, loaded: bool) -> None:
        """Note the open dead letters of these ``records`` by ``record_key``."""
        if not self._some_open:
            return
        self._transaction.run(
            sql.SQL("""
                INSERT INTO closing SELECT d.id, {loaded} FROM ({records} OFFSET 0) r CROSS JOIN LATERAL (
                    SELECT d.id, d.status FROM orchestration.dead_letter d
                    WHERE d.open_key = hashtextextended(r.record_key, {hash_seed}) AND d.record_key = r.record_key
                    OFFSET 0
                ) d WHERE {loaded} OR d.status = 'pending'
            """).format(loaded=loaded, records=records, hash_seed=self._hash_seed)
        )

    def close(self) -> None:
        """Close those whose record was loaded, and those whose record failed with another payload.

        Not those that this run met again: of two records with one key the good one does not cure the bad one.
        """
        if not self._some_open:
            return
        for loaded, status in ((True, "resolved"), (False, "superseded")):
            ids = sql.SQL("ARRAY(SELECT id FROM closing WHERE loaded = {})").format(loaded)
            self._close(ids, status)

    def resolve(self, ids: Sequence[int]) -> None:
        """Mark those of ``ids`` as resolved that did not fail again."""
        self._close(sql.SQL("{}::bigint[]").format(list(ids)), "resolved")

    def _close(self, ids: sql.Composable, status: str) -> None:
        self._transaction.run(
            sql.SQL("""
                UPDATE orchestration.dead_letter SET status = {status}, resolved_at = now()
                WHERE id = ANY({ids}) AND resolved_at IS NULL AND last_sync_history_id IS DISTINCT FROM {history}
            """).format(status=status, ids=ids, history=self._history_id)
        )


def pending(url: str, source: Source, entity: Entity, *, waived: bool = False) -> list[int]:
    """Return the ids of the pending dead letters of an entity, oldest first; with ``waived`` those as well.

    Not those of records that were too large: their payload is not the record, which only the vendor has.
    """
    with warehouse.session(url) as connection:
        rows = connection.execute(
            "SELECT id FROM orchestration.dead_letter"
            " WHERE status = ANY(%s) AND status IN ('pending', 'waived') AND crm_source = %s AND sync_type = %s"
            " AND rule <> %s ORDER BY id",
            [["pending", "waived"] if waived else ["pending"], source.name, entity.name, TOO_LARGE],
        ).fetchall()
    return [int(row["id"]) for row in rows]


def _matching(given: Mapping[str, object]) -> tuple[sql.Composable, list[object]]:
    """Return a condition for those of ``given`` that are not None, by column, and its values."""
    chosen = {column: value for column, value in given.items() if value is not None}
    conditions = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in chosen]
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"), [*chosen.values()]


def summary(url: str, *, crm: str | None = None, entity: str | None = None, status: str | None = None,
            rule: str | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """Return how many dead letters there are of each entity, status, stage and rule, and how old they are.

    ``first_id`` is one to show. Neither keys nor payloads nor messages are returned: they may be personal.
    """
    condition, values = _matching({"crm_source": crm, "sync_type": entity, "status": status, "rule": rule})
    with warehouse.session(url) as connection:
        return connection.execute(
            sql.SQL("""
                SELECT crm_source, sync_type, status, stage, rule, count(*) AS records, max(attempts) AS attempts,
                    min(created_at) AS oldest, max(last_seen_at) AS last_seen, min(id) AS first_id
                FROM orchestration.dead_letter WHERE {} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
            """).format(condition),
            values,
        ).fetchall()


def find(url: str, number: int) -> dict[str, Any] | None:
    """Return a dead letter with its payload; None when there is none of this number."""
    with warehouse.session(url) as connection:
        return connection.execute(
            """
            SELECT id, crm_source, sync_type, record_key, status, stage, rule, error_message, attempts, created_at,
                last_seen_at, sync_history_id, last_sync_history_id, resolved_at, waived_at, waived_by, waive_reason,
                CASE jsonb_typeof(payload) WHEN 'string' THEN payload #>> '{}' ELSE jsonb_pretty(payload) END AS payload
            FROM orchestration.dead_letter WHERE id = %s
            """,
            [number],
        ).fetchone()


def waive(url: str, *, by: str, reason: str, ids: Sequence[int] | None = None, crm: str | None = None,
          entity: str | None = None, rule: str | None = None) -> list[int]:  # fmt: skip
    """Waive the pending dead letters that are given by their ids, or else all that match; return their ids.

    Raises ``WrongUse`` while a run holds some of them: it may run for hours, and would count them as it found them.
    """
    condition, values = _matching({"crm_source": crm, "sync_type": entity, "rule": rule})
    numbers = None if ids is None else list(ids)
    with warehouse.session(url) as connection:
        connection.execute("SET lock_timeout = '5s'")
        try:
            rows = connection.execute(
                sql.SQL("""
                    UPDATE orchestration.dead_letter
                    SET status = 'waived', waived_at = now(), waived_by = %s, waive_reason = %s
                    WHERE status = 'pending' AND (%s::bigint[] IS NULL OR id = ANY(%s::bigint[])) AND {} RETURNING id
                """).format(condition),
                [by, reason, numbers, numbers, *values],
            ).fetchall()
        except LockNotAvailable as error:
            raise WrongUse("A run that is going on holds these dead letters; waive them when it has ended.") from error
    return sorted(int(row["id"]) for row in rows)
