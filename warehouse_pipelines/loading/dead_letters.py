"""Records that could not be loaded: listing, showing and waiving them, and loading them again after a fix.

They are written by the loader (``Loader.write_letters``) in the transaction of their run. The same payload of an entity
is the same dead letter, however often it is met; a run that meets none but those it knows is a success.

- ``pending``: waits for a person, or for the record to be loaded.
- ``waived``: a person gave it up and said why. It stays so while its payload stays the same; ``replay`` loads it when
  asked to.
- ``resolved``: its record was loaded. ``superseded``: its record failed again with another payload, whose dead letter
  counts.

``replay`` sends them through the same coercion and merge as a run does, with a history row of its own of mode
``replay``: what loads is ``resolved``, what fails again keeps its status and counts one attempt more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from typing import Any

from psycopg import sql
from psycopg.errors import LockNotAvailable

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync_history import connect
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Extraction, Page
from warehouse_pipelines.model.source import Source


def pending(url: str, source: Source, entity: Entity, *, waived: bool = False) -> list[int]:
    """Return the ids of the pending dead letters of an entity, oldest first; with ``waived`` those as well.

    Not those of records that were too large: their payload is no record, and only the vendor has the whole.
    """
    from warehouse_pipelines.loading.coerce import TOO_LARGE

    with connect(url) as connection:
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


def listed(url: str, *, crm: str | None = None, entity: str | None = None, status: str | None = None,
           rule: str | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """Return how many dead letters there are of each entity, status, stage and rule, and how old they are.

    ``first_id`` is one to show. Neither keys nor payloads nor messages are returned: they may be personal.
    """
    condition, values = _matching({"crm_source": crm, "sync_type": entity, "status": status, "rule": rule})
    with connect(url) as connection:
        return connection.execute(
            sql.SQL("""
                SELECT crm_source, sync_type, status, stage, rule, count(*) AS records, max(attempts) AS attempts,
                    min(created_at) AS oldest, max(last_seen_at) AS last_seen, min(id) AS first_id
                FROM orchestration.dead_letter WHERE {} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
            """).format(condition),
            values,
        ).fetchall()


def shown(url: str, number: int) -> dict[str, Any] | None:
    """Return a dead letter with its payload; None when there is none of this number."""
    with connect(url) as connection:
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
    with connect(url) as connection:
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


def replay(
    sources: Sequence[Source], *, url: str, crm: str | None = None, entity: str | None = None, waived: bool = False
) -> list[tuple[Source, Entity, Result]]:
    """Load the pending dead letters again, of all or of one CRM or entity; with ``waived`` those as well.

    Returns what came of each entity that had any.
    """
    from warehouse_pipelines.loading.sync import sync

    done = []
    for source in sources:
        for row in source.entities:
            if crm not in (None, source.name) or entity not in (None, row.name):
                continue
            letters = pending(url, source, row, waived=waived)
            if letters:
                again = changed(source, fetch=_Letters(url, letters))
                done.append((source, row, sync(again, row, Options(), url=url, replayed=letters)))
    return done


class _Letters:
    """A ``fetch`` that reads dead letters instead of asking the vendor."""

    def __init__(self, url: str, letters: Sequence[int]) -> None:
        self._url, self._letters = url, letters

    def __call__(self, extraction: Extraction) -> Iterator[Page]:
        with connect(self._url) as connection:
            for start in range(0, len(self._letters), 1000):
                rows = connection.execute(
                    "SELECT CASE jsonb_typeof(payload) WHEN 'string' THEN payload #>> '{}' ELSE payload::text END text"
                    " FROM orchestration.dead_letter WHERE id = ANY(%s) ORDER BY id",
                    [list(self._letters[start : start + 1000])],
                ).fetchall()
                yield Page([str(row["text"]).encode() for row in rows], in_window=False)
