"""Retention: what is past the age of its kind is removed, by the rows of ``orchestration.retention_policy``.

Nothing else deletes by age: whatever grows has a row there.

    sync_history    moves into its archive, and its sums into ``sync_history_daily``; the newest run of each kind of an
                    entity stays, because deltas, checks and health go by it
    tombstones      of the tables that the vendor alone fills; a row that ``identity`` knows stays, because marts count
                    what it was. Mirrored tables (``pipedesk``) have archives of their own
    sequence_messages  are emptied and stay as rows, which say that their steps are not to be sent again
    outbound_receipts  go after their plan, and only if no later plan goes by them (``retention_receipts``)
    all others      are deleted

Runs of Dagster are kept by these rows too, and deleted by ``orchestration.dagster_maintenance``.

Every batch is one transaction of at most ``BATCH`` rows that waits for a lock for two seconds, so a load is never
stopped for long, and whoever is killed leaves nothing half done: the next run goes on. ``removed`` counts in the
transaction of the batch. Rows that somebody holds are passed by.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import errors, sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.lost_values import ENOUGH_RECORDS
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

BATCH = 5_000
LONGEST_SECONDS = 1_800.0
"""After so long a run ends; the next one goes on."""

HISTORY, TOMBSTONES = "sync_history", "tombstones"

DAGSTER = ("dagster_runs", "dagster_failed_runs")
"""The kinds that are in Dagster's storage."""


@dataclass(frozen=True)
class Kind:
    """A kind of data that is in one table: the time by which it is old, and which rows are of it.

    ``empties`` are columns that are emptied instead of the row being deleted, ``role`` is who sees rows of all
    organizations.
    """

    name: str
    table: str
    time: str
    which: str = "true"
    empties: tuple[str, ...] = ()
    role: str = ""

    @property
    def identifier(self) -> sql.Identifier:
        """The table."""
        return sql.Identifier(*self.table.split("."))


KINDS = (
    Kind("sync_history_archive", "orchestration.sync_history_archive", "start_time"),
    Kind("sync_history_daily", "orchestration.sync_history_daily", "day"),
    Kind("dead_letters_closed", "orchestration.dead_letter", "resolved_at", "resolved_at IS NOT NULL"),
    Kind("dead_letters_waived", "orchestration.dead_letter", "last_seen_at", "status = 'waived'"),
    Kind("webhook_inbox_closed", "orchestration.webhook_inbox", "processed_at", "status IN ('done', 'ignored')"),
    Kind("webhook_inbox_failed", "orchestration.webhook_inbox", "processed_at", "status = 'failed'"),
    Kind("webhook_outcomes", "orchestration.webhook_outcome", "hour"),
    Kind("alert_deliveries", "orchestration.alert_delivery", "ended_at", "ended_at IS NOT NULL"),
    Kind("alert_events", "orchestration.alert_event", "resolved_at", "resolved_at IS NOT NULL"),
    Kind("alert_silences", "orchestration.alert_silence", "ends_at"),
    Kind("change_log", "orchestration.change_log", "changed_at"),
    Kind("identity_deletions", "identity.deletion", "deleted_at"),
    Kind("drive_change_logs", "pipedesk.drive_change_logs", "received_at"),
    Kind("push_channels", "pipedesk.calendar_sync_states", "updated_at", "channel_id IS NOT NULL AND NOT active"),
    Kind("push_channels", "pipedesk.drive_webhook_channels", "updated_at", "NOT active"),
    Kind("access_sessions", "access.session", "last_seen_at"),
    Kind("access_sign_in_failures", "access.sign_in_failure", "failed_at"),
    Kind("access_idempotency_keys", "access.idempotency_key", "created_at"),
    Kind("access_clear_views", "access.clear_view", "viewed_at"),
    Kind(
        "outbound_plans",
        "reverse_etl.plan",
        "created_at",
        "status <> 'applying' AND NOT EXISTS (SELECT FROM reverse_etl.plan AS u WHERE u.undoes = t.plan_id)",
    ),
    Kind("outbound_receipts", "reverse_etl.receipt", "sent_at", f"EXISTS ({query('retention_receipts')})"),
    Kind("audit_logs", "pipedesk.audit_logs", "created_at"),
    Kind(
        "sequence_messages",
        "crm.sequence_message",
        "settled_at",
        "settled_at IS NOT NULL AND num_nonnulls(recipient, subject, body, reference, problem) > 0",
        empties=("recipient", "subject", "body", "reference", "problem"),
        role="crm_definer",
    ),
)
"""What is deleted by age and needs no other care. One name may stand for rows of several tables."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A row of ``orchestration.retention_policy``; ``keep_days`` None keeps the kind for ever."""

    kind: str
    about: str
    keep_days: int | None
    last_run: datetime | None
    last_removed: int | None
    removed: int
    problem: str | None

    def cutoff(self, now: datetime) -> datetime | None:
        """Return the time before which it is old; None for an age that reaches back before all time too."""
        try:
            return None if self.keep_days is None else now - timedelta(days=self.keep_days)
        except OverflowError:
            return None


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much there is of one kind: its rows, how many are due to go, the oldest, and the room of its table."""

    policy: Policy
    rows: int
    due: int
    oldest: datetime | None
    bytes: int | None = None


@dataclass(frozen=True)
class Done:
    """What a run removed of one kind; ``problem`` says why it did not come to its end."""

    kind: str
    removed: int
    problem: str | None = None


def policies(session: "Session") -> dict[str, Policy]:
    """Return the policies by kind, in order."""
    rows = session.execute("SELECT * FROM orchestration.retention_policy ORDER BY kind").fetchall()
    return {row["kind"]: Policy(**row) for row in rows}


def keep(session: "Session", kind: str, days: int | None) -> bool:
    """Set the age of a kind, None for ever; return whether there is such a kind."""
    statement = "UPDATE orchestration.retention_policy SET keep_days = %s WHERE kind = %s"
    return session.execute(statement, [days, kind]).rowcount > 0


def plan(session: "Session", sources: Sequence[Source], now: datetime | None = None) -> list[Amount]:
    """Return how much there is of every kind in the warehouse; counts are exact, so large tables are read."""
    now = now or datetime.now(UTC)
    found = policies(session)
    amounts = []
    if policy := found.get(HISTORY):
        old = sql.SQL("start_time < {} AND status <> 'running' AND id <> ALL ({}::bigint[])").format(
            policy.cutoff(now), _newest_runs(session)
        )
        amounts.append(_amount(session, policy, Kind(HISTORY, "orchestration.sync_history", "start_time"), old))
    for kind in KINDS:
        if policy := found.get(kind.name):
            amounts.append(_amount(session, policy, kind, _old(kind, policy.cutoff(now))))
    if policy := found.get(TOMBSTONES):
        tables = [
            _amount(session, policy, kind, _old(kind, policy.cutoff(now), _unknown(entity)))
            for entity, kind in _tombstones(sources)
        ]
        amounts += [replace(one, bytes=None) for one in tables]  # the room is that of the living rows
    by_kind: dict[str, list[Amount]] = {}
    for one in amounts:
        by_kind.setdefault(one.policy.kind, []).append(one)
    return [_sum(each) for each in by_kind.values()]


def _sum(amounts: Sequence[Amount]) -> Amount:
    """Return how much there is of one kind in all its tables."""
    sizes = [one.bytes for one in amounts if one.bytes is not None]
    return Amount(
        policy=amounts[0].policy,
        rows=sum(one.rows for one in amounts),
        due=sum(one.due for one in amounts),
        oldest=min((one.oldest for one in amounts if one.oldest), default=None),
        bytes=sum(sizes) if sizes else None,
    )


def run(
    session: "Session",
    sources: Sequence[Source],
    *,
    only: Sequence[str] = (),
    now: datetime | None = None,
    batch: int = BATCH,
    seconds: float = LONGEST_SECONDS,
) -> list[Done]:
    """Remove what is past its age, of the kinds ``only`` names or of all; return what was done.

    Safe to end at any point, and safe to run twice at a time. The session must commit by itself.
    """
    now = now or datetime.now(UTC)
    deadline = time.monotonic() + seconds
    done = []
    for kind, policy in policies(session).items():
        if kind in DAGSTER or (only and kind not in only):
            continue
        removed, problem = 0, None
        try:
            for count in _removing(session, sources, policy, now, batch):
                removed += count
                if time.monotonic() > deadline:
                    problem = f"ended after {seconds:.0f} s; the next run goes on"
                    break
        except (
            errors.LockNotAvailable,
            errors.DeadlockDetected,
            errors.QueryCanceled,
            errors.ForeignKeyViolation,
            errors.InsufficientPrivilege,
        ) as error:
            problem = f"{type(error).__name__}: {masked(str(error), 200)}"
        session.execute(
            "UPDATE orchestration.retention_policy SET last_run = %s, last_removed = %s, problem = %s WHERE kind = %s",
            [now, removed, problem, kind],
        )
        done.append(Done(kind, removed, problem))
    return done


def _removing(
    session: "Session", sources: Sequence[Source], policy: Policy, now: datetime, batch: int
) -> Iterator[int]:
    """Remove a batch with each step, until nothing is due."""
    cutoff = policy.cutoff(now)
    if cutoff is None:
        return
    if policy.kind == HISTORY:
        parameters = {"cutoff": cutoff, "kept": _newest_runs(session), "most": batch}
        yield from _batches(session, policy.kind, query("retention_archive_runs"), parameters, batch)
    for kind in KINDS:
        if kind.name == policy.kind:
            yield from _batches(session, kind.name, _remove(kind, _old(kind, cutoff), batch), None, batch, kind.role)
    if policy.kind == TOMBSTONES:
        for entity, kind in _tombstones(sources):
            statement = _remove(kind, _old(kind, cutoff, _unknown(entity)), batch)
            yield from _batches(session, policy.kind, statement, None, batch)


def _batches(
    session: "Session", kind: str, statement: str | sql.Composable, parameters: Any, batch: int, role: str = ""
) -> Iterator[int]:
    """Send the statement until it removes less than a batch."""
    while True:
        with _careful(session):
            with _acting(session, role):
                removed = int(warehouse.value(session, statement, parameters))  # type: ignore[arg-type]
            if removed:
                session.execute(
                    "UPDATE orchestration.retention_policy SET removed = removed + %s WHERE kind = %s", [removed, kind]
                )
        if removed:
            yield removed
        if removed < batch:
            return


@contextlib.contextmanager
def _careful(session: "Session") -> Iterator[None]:
    """A transaction that waits for nobody long, and may delete notifications."""
    with session.transaction():
        session.execute("SET LOCAL lock_timeout = '2s'")
        session.execute("SET LOCAL statement_timeout = '120s'")
        session.execute("SET LOCAL warehouse.retention = 'on'")
        yield


@contextlib.contextmanager
def _acting(session: "Session", role: str) -> Iterator[None]:
    """Act as a role until the block ends, within a transaction; as oneself without one."""
    if role:
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    yield
    if role:
        session.execute("RESET ROLE")


def _newest_runs(session: "Session") -> list[int]:
    return list(warehouse.value(session, query("retention_newest_runs"), {"enough": ENOUGH_RECORDS}) or ())


def _tombstones(sources: Sequence[Source]) -> Iterator[tuple[Entity, Kind]]:
    for source in sources:
        if not source.mirrored:
            for entity in source.entities:
                yield entity, Kind(TOMBSTONES, f"{entity.schema}.{entity.table_name}", "deleted_at", "archived")


def _unknown(entity: Entity) -> sql.Composable:
    """Return the condition that no person is made of a row ``t``."""
    keys = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("t", key)) for key in entity.keys)
    return sql.SQL(
        "NOT EXISTS (SELECT FROM identity.record AS r WHERE r.source_table = {} AND r.source_key = concat_ws(' ', {}))"
    ).format(entity.table, keys)


def _old(kind: Kind, cutoff: datetime | None, more: sql.Composable | None = None) -> sql.Composable:
    """Return the condition for the rows ``t`` of a kind that are past their age."""
    if cutoff is None:
        return sql.SQL("false")
    return sql.SQL("{} AND t.{} < {} AND {}").format(
        sql.SQL(kind.which), sql.Identifier(kind.time), cutoff, more or sql.SQL("true")
    )


def _remove(kind: Kind, old: sql.Composable, batch: int) -> sql.Composed:
    """Return the statement that deletes or empties a batch, and counts it."""
    what = sql.SQL("DELETE FROM {}").format(kind.identifier)
    if kind.empties:
        nulls = sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in kind.empties)
        what = sql.SQL("UPDATE {} SET {}").format(kind.identifier, nulls)
    return sql.SQL("""
        WITH removed AS (
            {what} WHERE ctid = ANY (ARRAY(
                SELECT t.ctid FROM {table} AS t WHERE {old} LIMIT {batch} FOR UPDATE SKIP LOCKED))
            RETURNING 1
        ) SELECT count(*) AS removed FROM removed
    """).format(what=what, table=kind.identifier, old=old, batch=batch)


def _amount(session: "Session", policy: Policy, kind: Kind, old: sql.Composable) -> Amount:
    with session.transaction(), _acting(session, kind.role):
        [row] = session.execute(
            sql.SQL("""
            SELECT count(*) AS rows, count(*) FILTER (WHERE {old}) AS due, min(t.{time})::timestamptz AS oldest,
                pg_total_relation_size({name}::regclass) AS bytes
            FROM {table} AS t WHERE {which}
        """).format(
                old=old,
                time=sql.Identifier(kind.time),
                name=kind.table,
                table=kind.identifier,
                which=sql.SQL(kind.which),
            )
        )
    return Amount(policy=policy, **row)
