"""Asset checks, from rows: what must be true of a table after its sync, and what is worth a look every hour.

*At once*, in the asset's own step, because one of their own would cost more than the questions do (measured: 0.07 s a
step with its events on SQLite, 1 to 3 ms of it in PostgreSQL):

- ``key`` (blocking): the primary key is there, is valid and has the declared columns. PostgreSQL then refuses
  duplicates and nulls by itself, so no row is read, however many there are. Only an empty text, which is not null, is
  looked for, in the key's index.
- ``dead_letters`` (warning): records that wait for a person, by rule.
- ``values`` (warning): columns that lose values, or that the vendor no longer sends (``observability.lost_values``).

*Hourly*, in one step for all entities, in a job of its own: what is only true once everything is loaded, and what must
also speak when an asset failed, which is when the steps after it are skipped. The schedule's tick judges them, and asks
for a run of those whose result is to be stored (``worth_a_run``). All are warnings:

- ``references``: the share of rows that refer to something the warehouse does not have. Of a table over
  ``SAMPLE_BYTES`` random pages are read. A table that is still empty cannot be judged by, and passes. What refers to
  another CRM warns only when hardly any is found there.
- ``volume``: whether the last two runs found as much as is usual at their time of the week, by the SELECT of the alert
  of that name (``sql/alerts/volume.sql``), with the threshold of its row.
- ``health``: the share of good runs, the age of the last, and more (``health.CHECK``); ``warehouse status`` judges by
  other rules.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.model.entity import Entity, require_joinable, target
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.orchestration.failures import session_of_step
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from psycopg import sql

    from warehouse_pipelines.observability.health import Health
    from warehouse_pipelines.warehouse import Session

SAMPLE_BYTES = 8 * 2**20
"""Some thousand rows, which tell a share of a twentieth from none."""

ORPHANS = 0.05
"""More than this share of orphans is worth a look; a few are normal, since a delta may be ahead of its parent's."""

ORPHANS_ABROAD, ENOUGH_ABROAD = 0.95, 20
"""The same where another CRM is referred to: it has forgotten some, and was never told of others, which is nobody's
fault. But when of a few dozen hardly any is found, ids are written in two ways, or it is the wrong account.
"""

TOLD_OTHERWISE = ("dead_letters", "values", "volume", "health")
"""The checks whose subject has an alert of its own, so that a failure of theirs is none."""

AT_ONCE = ("key", "dead_letters", "values")

STORE_SECONDS = 23.5 * 3600
"""So long after the last result of an hourly check the next is stored, also if it is the same."""

JUDGE_SECONDS = 20.0
"""How long a tick judges by itself; Dagster waits for it for a minute."""


def at_once(entity: Entity) -> list[dg.AssetCheckKey]:
    """Return the keys of the checks that follow an entity's sync."""
    return [dg.AssetCheckKey(key_of(entity.table), name) for name in AT_ONCE]


def hourly(entities: Iterable[Entity]) -> list[dg.AssetCheckKey]:
    """Return the keys of the hourly checks of all entities."""
    return [
        dg.AssetCheckKey(key_of(entity.table), name)
        for entity in entities
        for name in ("references", "volume", "health")
        if name != "references" or entity.refs
    ]


ABOUT = {
    "key": "The primary key is there and valid, so no key comes twice or is null; none is empty.",
    "dead_letters": "No record waits in orchestration.dead_letter.",
    "values": "No column loses its values, and none is missing that was filled.",
    "references": "What a row refers to is in the warehouse.",
    "volume": "The last two runs found as much as is usual at their time.",
    "health": "Enough of the last runs succeeded, and the last began in time.",
}


def checks(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.AssetChecksDefinition]:
    """Return the hourly checks; those that follow a sync belong to its asset.

    Raises ``ValueError`` for ``refs`` that cannot be joined.
    """
    by_table = {entity.table: entity for source in sources for entity in source.entities}
    require_joinable(by_table.values())
    return [hourly_checks(sources, by_table, url)] if by_table else []


def judge_at_once(source: Source, entity: Entity, url: str, wanted: Set[str]) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of those checks of an entity that are ``wanted``.

    Raises ``dg.Failure`` when the warehouse does not answer.
    """
    with session_of_step(url) as session:
        there = _exists(session, entity)
        for name in AT_ONCE:
            if name not in wanted:
                continue
            if not there:
                yield _absent(entity, name)
            elif name == "key":
                yield _key(session, entity)
            elif name == "dead_letters":
                yield _dead_letters(session, source, entity)
            else:
                yield _values(session, source, entity)


def hourly_checks(
    sources: Sequence[Source], by_table: Mapping[str, Entity], url: Callable[[], str]
) -> dg.AssetChecksDefinition:
    """Return the hourly checks of all entities, as one step."""

    @dg.multi_asset_check(name="check_all_entities", specs=specs(hourly(by_table.values())), can_subset=True)
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        with session_of_step(url()) as session:
            yield from judge_hourly(session, sources, by_table, url(), context.selected_asset_check_keys)

    return check


def judge_hourly(
    session: "Session", sources: Sequence[Source], by_table: Mapping[str, Entity], url: str,
    wanted: Set[dg.AssetCheckKey],
) -> Iterator[dg.AssetCheckResult]:  # fmt: skip
    """Yield the results of those hourly checks that are ``wanted``. Raises ``psycopg.Error``."""
    from warehouse_pipelines.observability.health import CHECK, judge

    health = {(found.crm, found.sync_type): found for found in judge(sources, url=url, rules=CHECK)}
    unusual = _unusual(sources, url) if any(key.name == "volume" for key in wanted) else {}
    for source in sources:
        own = {entity.table for entity in source.entities}
        for entity in source.entities:
            names = {key.name for key in hourly([entity]) if key in wanted}
            there = _exists(session, entity)
            if "references" in names:
                yield (_references(session, entity, by_table, own) if there else _absent(entity, "references"))
            if "volume" in names:
                text = unusual.get((source.name, entity.name))
                yield _result(entity, "volume", text is None, text or "as much as is usual, or too few runs")
            if "health" in names:
                yield _health(entity, health[source.name, entity.name])


def worth_a_run(
    session: "Session", instance: dg.DagsterInstance, sources: Sequence[Source], url: str
) -> list[dg.AssetCheckKey]:
    """Return the hourly checks whose result is to be stored: it is bad, or the stored one is, or a day old.

    So is one that Dagster does not show any more, because the asset was materialized since. A result takes 6 kB of
    Dagster's storage, and most are as they were an hour ago. Those that are not judged within ``JUDGE_SECONDS`` are
    worth a run. Raises ``psycopg.Error``.
    """
    from psycopg.errors import QueryCanceled

    by_table = {entity.table: entity for source in sources for entity in source.entities}
    keys = hourly(by_table.values())
    stored = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    records = instance.get_asset_records([key_of(entity.table) for entity in by_table.values()])
    latest = {record.asset_entry.asset_key: record.asset_entry.last_materialization_record for record in records}
    since = time.time() - STORE_SECONDS
    fresh = {key for key, last in stored.items() if passed(last, since) and is_shown(last, latest.get(key.asset_key))}
    still_good = set()
    until = time.monotonic() + JUDGE_SECONDS
    with contextlib.suppress(QueryCanceled), _statement_timeout(session, JUDGE_SECONDS):
        for found in judge_hourly(session, sources, by_table, url, fresh) if fresh else ():
            if found.passed:
                still_good.add((found.asset_key, found.check_name))
            if time.monotonic() > until:
                break
    return [key for key in keys if (key.asset_key, key.name) not in still_good]


def passed(last: AssetCheckExecutionRecord | None, since: float) -> bool:
    """Return whether the last result of a check is good and not older than ``since``, in seconds since 1970."""
    good = AssetCheckExecutionRecordStatus.SUCCEEDED
    return last is not None and last.status == good and last.create_timestamp > since


def is_shown(result: AssetCheckExecutionRecord, latest: dg.EventLogRecord | None) -> bool:
    """Return whether Dagster shows this result of a check, which it does if it is of the ``latest`` materialization."""
    if latest is None or latest.run_id == result.run_id:
        return True
    found = result.evaluation  # of a check that is planned it is another class
    target = found.target_materialization_data if isinstance(found, dg.AssetCheckEvaluation) else None
    return target.storage_id == latest.storage_id if target else latest.timestamp < result.create_timestamp


@contextlib.contextmanager
def _statement_timeout(session: "Session", seconds: float) -> Iterator[None]:
    """Let no statement of the block take longer."""
    session.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds * 1000:.0f}ms"])
    try:
        yield
    finally:
        if not session.closed:
            session.execute("RESET statement_timeout")


def specs(keys: Iterable[dg.AssetCheckKey]) -> list[dg.AssetCheckSpec]:
    """Return what Dagster is told of these checks."""
    return [
        dg.AssetCheckSpec(key.name, asset=key.asset_key, description=ABOUT[key.name], blocking=key.name == "key")
        for key in keys
    ]


def _absent(entity: Entity, name: str) -> dg.AssetCheckResult:
    return _result(entity, name, False, f"table {entity.table} does not exist; run `warehouse migrate`")


def _result(entity: Entity, name: str, passed: bool, text: str, /, **facts: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key_of(entity.table),
        check_name=name,
        severity=dg.AssetCheckSeverity.ERROR if name == "key" else dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=facts,
    )


def _quoted(entity: Entity) -> str:
    """Return the table's name as ``to_regclass`` reads it."""
    return f'"{entity.schema}"."{entity.table_name}"'


def _exists(session: "Session", entity: Entity) -> bool:
    return warehouse.has_table(session, _quoted(entity))


def _key(session: "Session", entity: Entity) -> dg.AssetCheckResult:
    from psycopg import sql

    row = session.execute(
        query("primary_key"),
        [_quoted(entity)],
    ).fetchone()
    declared = ", ".join(entity.keys)
    if row is None:
        return _result(entity, "key", False, f"{entity.table} has no primary key; declared is ({declared})")
    if tuple(row["columns"]) != entity.keys:
        found = ", ".join(row["columns"])
        return _result(entity, "key", False, f"the primary key of {entity.table} is ({found}), not ({declared})")
    if not (row["valid"] and row["not_null"]):
        return _result(entity, "key", False, f"the primary key of {entity.table} is not valid: REINDEX it")
    if entity.pg_types[entity.keys[0]].startswith("text"):
        empty = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} = '')")
        if warehouse.value(session, empty.format(entity.identifier, sql.Identifier(entity.keys[0]))):
            return _result(entity, "key", False, f"{entity.table} has a row whose {entity.keys[0]} is empty")
    return _result(entity, "key", True, f"({declared}) is unique and never null")


def _dead_letters(session: "Session", source: Source, entity: Entity) -> dg.AssetCheckResult:
    rows = session.execute(
        """
        SELECT rule, count(*) AS records FROM orchestration.dead_letter
        WHERE crm_source = %s AND sync_type = %s AND status = 'pending' GROUP BY rule ORDER BY 2 DESC, 1
        """,
        [source.name, entity.name],
    ).fetchall()
    pending = sum(row["records"] for row in rows)
    text = (
        f"{pending} records wait in orchestration.dead_letter; mend the cause, then `warehouse replay "
        f"{source.name} {entity.name}`, or waive them: `warehouse dead-letters waive`"
        if pending
        else "no dead letters"
    )
    by_rule = {row["rule"]: row["records"] for row in rows[:20]}
    return _result(entity, "dead_letters", not pending, text, pending=pending, by_rule=by_rule)


def _values(session: "Session", source: Source, entity: Entity) -> dg.AssetCheckResult:
    from warehouse_pipelines.loading.sync_history import last_values

    standing, _ = last_values(session, source, entity, "full")
    losing = {name: loss.lost for name, loss in standing.losing.items()}
    text = "; ".join(standing.problems) or "no column loses its values"
    return _result(entity, "values", not standing.problems, text, lost=losing, absent=sorted(standing.absent))


def _references(
    session: "Session", entity: Entity, by_table: Mapping[str, Entity], own: Set[str]
) -> dg.AssetCheckResult:
    """Count, for each reference, the rows of the table, or of one sample for all, that point at nothing.

    ``own`` are the tables of the same source.
    """
    from psycopg import sql

    targets = {column: target(ref, by_table) for column, ref in entity.refs.items()}
    there = {column: goal for column, goal in targets.items() if _exists(session, goal[0])}
    size = warehouse.value(session, "SELECT pg_relation_size(to_regclass(%s))", [_quoted(entity)]) or 0
    sample: sql.Composable = sql.SQL("")
    if size > SAMPLE_BYTES:
        sample = sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(100 * SAMPLE_BYTES / size))
    facts: dict[str, Any] = {"sampled": size > SAMPLE_BYTES}
    findings = [f"{other.table} does not exist yet" for column, (other, _) in targets.items() if column not in there]
    passed = True
    for row in session.execute(_orphans(entity, there, sample)).fetchall() if there else ():
        column, (other, _) = row["column"], there[row["column"]]
        if not row["loaded"]:
            findings.append(f"{other.table} is still empty")
            continue
        share = row["orphans"] / row["pointing"] if row["pointing"] else 0.0
        abroad = other.table not in own
        few = abroad and row["pointing"] < ENOUGH_ABROAD
        passed = passed and (few or share <= (ORPHANS_ABROAD if abroad else ORPHANS))
        facts[f"{column}_orphans"] = row["orphans"]
        facts[f"{column}_pointing"] = row["pointing"]
        findings.append(f"{row['orphans']} of {row['pointing']} {column} ({share:.1%}) are not in {other.table}")
    return _result(entity, "references", passed, "; ".join(findings), **facts)


def _orphans(entity: Entity, targets: Mapping[str, tuple[Entity, str]], sample: "sql.Composable") -> "sql.Composed":
    """Return the SELECT of a row for each referring column: how many rows point, and how many of these at nothing."""
    from psycopg import sql

    counted = sql.SQL(
        "SELECT {name} AS column, (SELECT count({column}) FROM sampled) AS pointing,"
        " (SELECT count(*) FROM sampled AS s WHERE s.{column} IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM {other} AS o WHERE o.{key} = s.{column})) AS orphans,"
        " EXISTS (SELECT FROM {other}) AS loaded"
    )
    return sql.SQL(
        "WITH sampled AS MATERIALIZED (SELECT {columns} FROM {table} {sample} WHERE NOT archived) {counts}"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, targets)),
        table=entity.identifier,
        sample=sample,
        counts=sql.SQL(" UNION ALL ").join(
            counted.format(
                name=sql.Literal(column), column=sql.Identifier(column), key=sql.Identifier(key),
                other=other.identifier,
            )
            for column, (other, key) in targets.items()
        ),
    )  # fmt: skip


def _unusual(sources: Sequence[Source], url: str) -> dict[tuple[str, str], str]:
    """Return of each entity whose last runs found unusually much or little what to say about it."""
    from warehouse_pipelines.observability.alerts import program, rules

    about = program.circumstances(url, sources)
    with warehouse.session(url) as session, rules.asking(session):
        asked = [fault for rule in rules.enabled(session, ["volume"]) for fault in rules.ask(session, rule, about)]
    return {(fault.crm or "", fault.entity or ""): fault.text for fault in asked}


def _health(entity: Entity, found: "Health") -> dg.AssetCheckResult:
    text = "; ".join(found.problems) or ("healthy" if found.judged else "not configured, so not judged")
    return _result(
        entity,
        "health",
        found.healthy,
        text,
        runs=found.runs,
        successes=found.successes,
        last_status=found.status or "never ran",
        last_error=masked(found.error or ""),
    )
