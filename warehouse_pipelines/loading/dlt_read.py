"""One read of one entity in a pipeline of dlt's own, without a warehouse: what ``sync`` is to the warehouse.

- The window comes from ``plan``, as in a sync, by what dlt's state has of the last complete read (``DltState``).
- A delta is merged by key. A read of everything becomes ``replace`` at its very end, once it has proved complete, so
  what the vendor no longer has is no longer there. One that proved nothing is merged, and so is every read of a table
  whose vendor forgets old records (``retention``), or has begun to (``complete_since``).
- While a record is bad, nothing is replaced: its row may be one that is there.
- The window is not filtered again: whatever a vendor sends is its record of now, and a merge may have it.
- Of records with one key in a read of everything the first is kept, since ``replace`` does not look at keys. What
  changed meanwhile is in the next delta, which begins before this read did.
- A delta that would go on from stored records (``NotStored``) becomes a read of everything.

The state is written last, so a read that raises leaves it as it was. dlt ends the extraction of all resources when one
of them raises, and loads nothing of them; it has no other way.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.errors import BadRecord, NotConfigured, SuspiciousRead
from warehouse_pipelines.loading import dlt_columns, kept_redactions
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.completeness import Counts, incomplete_reason
from warehouse_pipelines.loading.dlt_known import DltKnown
from warehouse_pipelines.loading.dlt_state import DltState
from warehouse_pipelines.loading.options import SCHEDULED, Options, Purpose
from warehouse_pipelines.loading.plan import Plan, plan
from warehouse_pipelines.loading.process_budget import ProcessBudget
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.loading.resource import EntityRead, newest_cursor
from warehouse_pipelines.loading.tombstones import LARGEST_SHARE, SMALL_TABLE
from warehouse_pipelines.model.column_config import columns_file
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import NotStored, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import settings

log = logging.getLogger("warehouse.dlt")

DEAD_LETTER = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    *(pa.field(name, pa.string()) for name in (
        "crm_source", "sync_type", "record_key", "stage", "rule", "error_message", "payload",
    )),
    pa.field("last_seen_at", pa.timestamp("us", "UTC")),
])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How a pipeline of dlt's own is served.

    ``options``      the flags of the read, those of ``warehouse sync``
    ``hard_delete``  remove what the vendor calls deleted, instead of delivering it with ``archived`` true
    ``strict``       raise for a bad record and for a read that cannot be called complete, so that nothing is loaded;
                     otherwise bad records go to the table of dead letters, and the state stays where it was
    ``json``         ``text`` for destinations that cannot load JSON from Parquet
    """

    options: Options = field(default_factory=Options)
    hard_delete: bool = False
    strict: bool = False
    json: dlt_columns.JsonType = "json"


class DltRead:
    """Yields what dlt extracts of one entity: tables, dead letters, and at last how they are to be written."""

    def __init__(self, crm: Source, entity: Entity, delivery: Delivery) -> None:
        crm.require_settings()
        self.crm, self.declared, self.delivery, self.options = crm, entity, delivery, delivery.options
        self.entity = crm.configured(entity)
        self.flags = crm.flags_for(self.entity, self.options.vendor)
        name = dlt.current.resource_name()  # with_name may have given it another one than the entity's
        self.resource = dlt.current.source().resources[name]
        self.state = DltState(dlt.current.resource_state(name))
        self._require_redacted(name)
        self.now = datetime.now(UTC)

    def _require_redacted(self, name: str) -> None:
        """Refuse to deliver in clear what this pipeline has hashed or dropped, and remember what it does of both."""
        entity, local = self.declared, self.declared.local
        stored = {local.renamed.get(column, column) for column in entity.columns}
        clear = kept_redactions.less_than(entity, [one for one in self.state.redacted if one[0] in stored])
        if any(clear.values()):
            raise NotConfigured(
                f"This pipeline has {kept_redactions.said(clear)} in {self.resource.table_name}, and {columns_file()} "
                "does not say so, so it would be delivered in clear. Name the right file by WAREHOUSE_COLUMNS_FILE; "
                f'or, if it shall be delivered from now on, begin {name} anew by refresh="drop_resources".'
            )
        hashed = dict.fromkeys((local.renamed.get(column, column) for column in local.hashed), "hash")
        self.state.note_redacted({**hashed, **dict.fromkeys(local.dropped, "drop")})

    def items(self) -> Iterator[Any]:
        """Read by the plan; once more and everything, if the source would go on from what nobody has stored.

        Raises what ``fetch`` raises, ``SuspiciousRead`` for a read that cannot be believed, ``BadRecord`` if strict.
        """
        options = self.options
        anew = options.full or options.force or options.start_date is not None or self.entity.cursor is not None
        purpose = options.purpose(self.crm, self.entity, self.now)
        first = _Pass(self, self._plan(options, purpose), {} if anew else self.state.vendor)
        try:
            yield from first.items()
        except NotStored as reason:
            log.info("%s %s: everything is read (%s)", self.crm.name, self.entity.name, reason)
            planned = self._plan(replace(options, full=True, end_date=None), SCHEDULED)
            yield from _Pass(self, planned, {}, after=first).items()

    def _plan(self, options: Options, purpose: Purpose) -> Plan:
        narrowed = any(flag.narrows for flag in self.flags)
        return plan(self.entity, options, self.state.last_good, self.now, purpose, narrowed=narrowed)

    def reading(self, declared: Entity, planned: Plan, known: DltKnown, state: Mapping[str, str]) -> EntityRead:
        """Return a read of an entity of this vendor, not begun."""
        options = self.options
        flags = {"full": planned.mode == "full", "force": options.force, "backfill": planned.mode == "backfill"}
        cancelled = threading.Event()
        return EntityRead(
            ReadRequest(
                entity=self.crm.configured(declared), window=planned.window, limit=options.max_records,
                page_size=options.batch_size or declared.page_size or self.crm.page_size, state=state,
                options={**flags, **{flag.name: value for flag, value in self.flags.items()}},
            ),
            ReadContext(known=known, acquire=ProcessBudget(cancelled).acquire, cancelled=cancelled),
            safety_limit=settings().warehouse_safety_limit,
        )  # fmt: skip

    def tables(self, reading: EntityRead, coercer: Coercer) -> Iterator[pa.Table]:
        """Yield the tables of a read, which is cancelled if nobody wants more of them."""
        try:
            for records, _ in reading.batches(self.crm.fetch):
                yield coercer.table(records)
        finally:
            reading.context.cancelled.set()

    def coercer(self, entity: Entity) -> Coercer:
        """Return the coercer of a read."""
        return Coercer(self.crm.name, entity, skip_validation=self.options.skip_validation)


class _Pass:
    """One go at reading: what it asks for, and what it found. What it has delivered cannot be taken back.

    ``after`` is the delta of which it is the repetition: its records are in the package already.
    """

    def __init__(
        self, read: DltRead, planned: Plan, vendor_state: Mapping[str, str], *, after: "_Pass | None" = None
    ) -> None:
        self.read, self.plan, self.crm, self.entity = read, planned, read.crm, read.entity
        self.everything = planned.mode == "full"
        self.limited = bool(read.options.max_records or planned.narrowed)
        anew = planned.window.since is None and not vendor_state
        self.known = DltKnown(self.entity, self.crm.entities, read.state, anew=anew, read_again=self._read_again)
        self.reading = read.reading(read.declared, planned, self.known, vendor_state)
        self.coercer = read.coercer(self.entity)
        self.rejected = 0
        self.watermark: datetime | None = after.watermark if after else None
        self.living: int = after.living if after else 0
        self.archived: dict[str, datetime] = after.archived if after else {}
        self.not_archived: set[str] = after.not_archived if after else set()
        self._met: set[int] = after._met if after else set()
        self._came_twice: bool = after._came_twice if after else False
        self._deletions: list[pa.Table] = after._deletions if after else []

    def _read_again(self, other: Entity) -> Iterator[pa.Table]:
        """Read everything of another entity, for what ``fetch`` asks of its records."""
        everything = Plan("full", Window(None, self.read.now), None, False, None)
        reading = self.read.reading(other, everything, self.known, {})
        yield from self.read.tables(reading, self.read.coercer(reading.request.entity))

    def items(self) -> Iterator[Any]:
        """Yield the tables, the dead letters, and how all is to be written; then move the state."""
        for table in self.read.tables(self.reading, self.coercer):
            if rejects := self.coercer.take_rejects():
                yield self._dead_letters(rejects)
            yield self._noted(table)
        incomplete = self._incomplete_reason()
        if self._replaces(incomplete):
            self._require_believable()
            yield self._with_disposition("replace")
        else:
            yield from self._deletions
        self._move_state(incomplete)

    def _noted(self, table: pa.Table) -> pa.Table:
        """Return a table as it is delivered; count what is in it."""
        table = self._without_met(table)
        if (cursor := self.entity.cursor) and table.num_rows:
            newest = newest_cursor(table[cursor], self.read.now)
            self.watermark = max(filter(None, (newest, self.watermark)), default=None)
        table = dlt_columns.delivered(self.entity, table, self.read.now)
        archived, living = table.filter(table["archived"]), table.filter(pc.invert(table["archived"]))
        self.living += living.num_rows
        if self.entity.deletes.column and self.entity.cursor:
            key = self.entity.keys[0]
            self.archived |= zip(archived[key].to_pylist(), archived["deleted_at"].to_pylist(), strict=True)
            if not self.everything:
                self.not_archived.update(living[key].to_pylist())
        if self.read.delivery.hard_delete and archived.num_rows:
            # ``replace`` writes each row as it comes, and these are to be none; a merge removes those that are there.
            self._deletions.append(archived)
            return living
        return table

    def _without_met(self, table: pa.Table) -> pa.Table:
        """Return a table of a read of everything without the keys that were met before.

        Of each key a hash of 8 bytes is kept. In a delta, which is merged, a later record is a newer one.
        """
        columns = [table[key].to_pylist() for key in self.entity.keys]
        places = []
        for place, key in enumerate(map(hash, zip(*columns, strict=True))):
            if key not in self._met:
                self._met.add(key)
                places.append(place)
        if len(places) == table.num_rows:
            return table
        if not self.everything:
            self._came_twice = True
            return table
        return table.take(pa.array(places, pa.int64()))

    def _dead_letters(self, rejects: Sequence[Reject]) -> Any:
        """Return bad records for their table, each under the hash of its payload. Raises ``BadRecord`` if strict."""
        self.rejected += len(rejects)
        if self.read.delivery.strict:
            first = rejects[0]
            raise BadRecord(
                f"{self.crm.title} {self.entity.name} {first.key or 'without a key'}: {first.message}. "
                "Nothing was loaded; without strict it goes to the dead letters and the others are loaded."
            )
        rows = [
            {
                "id": sha256(self.entity.name.encode() + b" " + bytes(one.raw)).hexdigest()[:32],
                "crm_source": self.crm.name, "sync_type": self.entity.name, "record_key": one.key, "stage": one.stage,
                "rule": one.rule, "error_message": one.message, "payload": bytes(one.raw).decode(errors="replace"),
                "last_seen_at": self.read.now,
            }
            for one in rejects
        ]  # fmt: skip
        hints = dlt.mark.make_hints(
            table_name=f"{self.crm.name}_dead_letter", write_disposition="merge", primary_key="id", columns={}
        )
        return dlt.mark.with_hints(pa.Table.from_pylist(rows, DEAD_LETTER), hints, create_table_variant=True)

    def _incomplete_reason(self) -> str | None:
        """Return why the read cannot be called complete, as a sync would."""
        read, before = self.coercer.read, self.read.state.living
        counts = Counts(read=read, found=read, had_rows=before > 0, endless=self.reading.endless, living=lambda: before)
        return incomplete_reason(self.crm, self.entity, self.read.options, self.plan, self.reading.report, counts)

    def _require_believable(self) -> None:
        """Raise ``SuspiciousRead`` for a read of everything that lost too much of what the last one found."""
        before = self.read.state.living
        lost = before - self.living
        too_much = before and (not self.living or (before > SMALL_TABLE and lost > LARGEST_SHARE * before))
        if too_much and not self.read.options.force:
            raise SuspiciousRead(
                f"{self.crm.title} no longer shows {lost} of the {before} {self.entity.name} that the last read of "
                "everything found; nothing was loaded. If that is right, run again with --force."
            )

    def _replaces(self, incomplete: str | None) -> bool:
        """Return whether this read is all there is, so that what it did not find is deleted."""
        report = self.reading.report
        proved = incomplete is None and report is not None and not report.changes_only and not self.rejected
        ours = self.read.resource.write_disposition == "merge"  # the pipeline's author may have another in mind
        forgotten = self.entity.cadence.retention or self._begins_later(report)
        once = not self._came_twice  # ``replace`` would keep both
        return self.everything and proved and ours and once and not self.limited and not forgotten

    def _begins_later(self, report: ReadReport | None) -> bool:
        """Return whether the vendor forgot what an earlier read of everything had found."""
        begin, former = report.complete_since if report else None, self.read.state.complete_since
        return begin is not None and former is not None and begin > former

    def _with_disposition(self, disposition: Any) -> Any:
        """Return an item without rows by which dlt writes the whole table so, in this package alone.

        As a variant of the table it leaves the resource as it is: one that is ``replace`` loses its state in the next
        run.
        """
        delivery, resource = self.read.delivery, self.read.resource
        hints = dlt.mark.make_hints(
            table_name=str(resource.table_name), write_disposition=disposition, primary_key=list(self.entity.keys),
            columns=dlt_columns.hints(self.read.declared, delivery.json, hard_delete=delivery.hard_delete),
        )  # fmt: skip
        return dlt.mark.with_hints(dlt_columns.schema(self.entity).empty_table(), hints, create_table_variant=True)

    def _move_state(self, incomplete: str | None) -> None:
        """Remember a complete read. What a source cannot prove does not withhold what it left for the next one."""
        if incomplete:
            if self.read.delivery.strict:
                raise SuspiciousRead(f"{incomplete} Nothing was loaded.")
            log.warning("%s %s may not be complete: %s", self.crm.name, self.entity.name, incomplete)
        state, report = self.read.state, self.reading.report or ReadReport()
        if self.limited or incomplete not in (None, report.unproven):
            return
        if report.next_state is not None:
            state.note_vendor(report.next_state)
        if incomplete or self.plan.mode == "backfill":
            return
        if self.everything and not report.changes_only:
            state.note_full(self.read.now if self.entity.cursor else None, self.living, report.complete_since)
        marks = [mark for mark in (self.plan.previous, self.watermark) if mark is not None]
        if self.plan.moves_watermark and marks:
            state.move_watermark(min(max(marks), self.read.now), self.read.now)
        if self.entity.deletes.column and self.entity.cursor:
            living = self.not_archived | set(report.erased_keys)
            state.note_archived(self.archived, living, began=self.read.now, full=self.everything)
