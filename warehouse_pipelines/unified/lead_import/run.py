"""Import a file of leads into ``crm.leads``: ``import_file``.

Decided:

- A batch of rows is a transaction, which also writes what became of each row and how far the file was read. So a kill
  loses at most a batch, and the same command goes on after the last one; the file is known by its hash.
- It acts as ``crm_owner``, below row-level security, for one organization, and ``app.triggered_by`` says `import`. The
  look-up of leads alone is made as ``crm_definer``, for which an index finds an address in any case.
- One import of an organization at a time. Others may write meanwhile: leads that a batch looks at are locked, and a
  batch that meets somebody else's new number is made again.
- A batch that the database refuses is halved until the row is found, which is refused with the name of the rule.
- Of a file that cannot be read to its end the rows above are imported; the first below has the outcome `unread`. The
  import stays unfinished: the same command tries again from there, as the disk may have failed and not the file.
- 1,000 rows a batch: with 100 the import took 1.5 times as long, with 10,000 no less and ten times the memory.
"""

import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, SyncRunning, WrongUse, masked
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.acting import acting, as_role
from warehouse_pipelines.unified.lead_import import merging, store, values
from warehouse_pipelines.unified.lead_import.columns import ColumnMap
from warehouse_pipelines.unified.lead_import.kept_out import KeptOut
from warehouse_pipelines.unified.lead_import.matching import CROWD, Lead, Leads, name_of
from warehouse_pipelines.unified.lead_import.merging import Outcome, Rules
from warehouse_pipelines.unified.lead_import.refusals import CHANNELS
from warehouse_pipelines.unified.lead_import.table_file import LeadFile, Unreadable
from warehouse_pipelines.unified.lead_import.values import LeadRow

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

BATCH = 1000
ATTEMPTS = 5
COUNTED_ANEW = frozenset({1, 8, 64, 512})

ZONES = {
    "eastern": "America/New_York", "est": "America/New_York", "edt": "America/New_York", "et": "America/New_York",
    "central": "America/Chicago", "cst": "America/Chicago", "cdt": "America/Chicago", "ct": "America/Chicago",
    "mountain": "America/Denver", "mst": "America/Denver", "mdt": "America/Denver", "mt": "America/Denver",
    "pacific": "America/Los_Angeles", "pst": "America/Los_Angeles", "pdt": "America/Los_Angeles",
    "pt": "America/Los_Angeles",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What the user chose. ``source`` is the source of leads whose row names none."""

    organization_id: uuid.UUID
    by: str
    source: str = "import"
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What an import did, those rows included that it did before it was broken off."""

    id: uuid.UUID
    created: int
    updated: int
    duplicates: int
    refused: int
    resumed_after: int = 0
    already_at: dt.datetime | None = None
    """When this very file was imported before; nothing was done then."""
    unread: tuple[int, str] | None = None
    """The first row that was not read, and why; none below it was either."""


@contextlib.contextmanager
def masking() -> Iterator[None]:
    """Turn an error of the database into one without the values that it quotes."""
    import psycopg

    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise ActionNeeded("The database is not migrated; run `warehouse migrate`.") from error
    except psycopg.OperationalError as error:
        raise warehouse.unavailable(error) from None
    except psycopg.Error as error:
        said = masked(error.diag.message_primary or type(error).__name__)
        raise ActionNeeded(f"The database refused what the import wrote: {said}") from None


@contextlib.contextmanager
def alone(session: "Session", organization_id: uuid.UUID) -> Iterator[None]:
    """Keep other imports of the organization out. Raises ``SyncRunning`` when one is running."""
    with warehouse.try_lock(session, f"crm.lead_import:{organization_id}") as free:
        if not free:
            raise SyncRunning("Another import of leads is running, or is being undone; try again when it has ended.")
        yield


def import_file(
    session: "Session",
    file: LeadFile,
    mapping: ColumnMap,
    options: Options,
    *,
    progress: Callable[[int], None] = lambda rows: None,
    batch: int = BATCH,
) -> Summary:
    """Import a file, or what is left of it, and return what came of it. ``progress`` is told the rows read so far.

    Raises ``WrongUse`` for a file that changed meanwhile, ``SyncRunning`` when another import runs, ``NotConfigured``
    when the database user may not.
    """
    with masking(), alone(session, options.organization_id):
        found = _begin(session, file, mapping, options)
        id_, after = found["id"], int(found["rows_read"])
        if found["status"] == "complete":
            return _summary(found, already_at=found["finished_at"])
        running = _Import(session, options, str(id_))
        read_until = max(after, mapping.header_row)
        waiting: list[LeadRow] = []
        number = read_until
        batches = 0
        unread = None
        try:
            for row in file.rows():
                if row.number <= read_until:
                    continue
                number = row.number
                if not row.blank:
                    waiting.append(values.read(row, mapping, dt.datetime.now(dt.UTC)))
                if len(waiting) == batch:
                    running.load(waiting, number)
                    progress(number)
                    waiting = []
                    batches += 1
                    if batches in COUNTED_ANEW:
                        running.count_anew()
        except Unreadable as error:
            unread = number + 1, str(error)
        file.check_unchanged()
        running.load(waiting, number)
        progress(number)
        with acting(session, options.organization_id, "import"):
            done = store.end(session, options.organization_id, id_, unread)
        return _summary(done, resumed_after=after, unread=unread)


def _summary(row: dict[str, Any], **more: Any) -> Summary:
    return Summary(row["id"], row["created"], row["updated"], row["duplicates"], row["refused"], **more)


def _begin(session: "Session", file: LeadFile, mapping: ColumnMap, options: Options) -> dict[str, Any]:
    """Return the import of this file: the unfinished one, the finished one of the same mapping, or a new one."""
    chosen = {
        "columns": mapping.stored(), "header_row": mapping.header_row, "source": options.source,
        "overwrite": options.overwrite,
    }  # fmt: skip
    given = {"organization_id": options.organization_id, "hash": file.hash, "sheet": file.about.sheet}
    with acting(session, options.organization_id, "import"):
        for found in session.execute(query("lead_import_start"), given).fetchall():
            if found["mapping"] == chosen:
                store.read_again(session, options.organization_id, found["id"])
                return found
            if found["status"] == "running":
                raise WrongUse(
                    f"The import {str(found['id'])[:8]} of this file was begun with other columns or options and is "
                    "unfinished. Go on with the same, or undo it first."
                )
        [begun] = session.execute(
            "INSERT INTO crm.lead_import (organization_id, file_name, file_hash, sheet, mapping, started_by)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING *",
            [options.organization_id, file.path.name, file.hash, file.about.sheet, json.dumps(chosen), options.by],
        )
    return begun


class _Import:
    """An import that runs: its rules, and what it knows so far of time zones and of erased people."""

    def __init__(self, session: "Session", options: Options, import_id: str) -> None:
        self.session, self.organization = session, options.organization_id
        self.timezones: dict[str, str | None] = {}
        self.kept_out = KeptOut()
        with self._acting():
            statuses: dict[str, tuple[str, Sequence[str]]] = {one: (one, ()) for one in store.STATUSES}
            statuses |= {one.replace("_", " "): (one, ()) for one in store.STATUSES}
            statuses |= store.mapped_statuses(session)
            allowed = store.allowed_statuses(session)
            aliases = session.execute("SELECT spelling, source FROM crm.lead_source_alias").fetchall()
            default = warehouse.value(session, "SELECT crm.lead_source(%s)", [options.source])
        self.rules = Rules(
            import_id, statuses, allowed, default, options.overwrite,
            {row["spelling"]: row["source"] for row in aliases},
        )  # fmt: skip

    def _acting(self) -> contextlib.AbstractContextManager[None]:
        return acting(self.session, self.organization, "import")

    def count_anew(self) -> None:
        """Let the planner know how many leads there are: after 1, 8, 64, ... batches.

        With the statistics of an empty table a look-up read all leads of the organization for each row.
        """
        with self._acting():
            self.session.execute("ANALYZE crm.leads, crm.lead_import_row")

    def load(self, rows: list[LeadRow], number: int) -> None:
        """Load rows in a transaction, and note that the file was read until ``number``."""
        import psycopg

        for attempt in range(ATTEMPTS):
            try:
                with self._acting():
                    outcomes = self._load_rows(rows)
                    store.write_rows(self.session, self.organization, self.rules.import_id, outcomes, number)
                return
            except (
                psycopg.errors.UniqueViolation,
                psycopg.errors.DeadlockDetected,
                psycopg.errors.SerializationFailure,
            ):
                if attempt == ATTEMPTS - 1 and len(rows) == 1:
                    raise
                if attempt == ATTEMPTS - 1:
                    break
            except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
                if len(rows) == 1:
                    rule = error.diag.constraint_name or type(error).__name__
                    told = "the database refuses it: "
                    again = (rows[0].refused or "").startswith(told)
                    rows = [LeadRow(rows[0].number) if again else _forbidding(rows[0])]
                    rows[0].refused = f"{told}{rule}"
                    continue
                break
        half = len(rows) // 2
        self.load(rows[:half], rows[half - 1].number)
        self.load(rows[half:], number)

    def _load_rows(self, rows: Sequence[LeadRow]) -> list[Outcome]:
        session, organization, rules = self.session, self.organization, self.rules
        self.kept_out.read(session)
        rows = [self.kept_out.without(row) for row in rows]
        good = [row for row in rows if not row.refused]
        leads = self._known(good)
        self._learn_timezones(good)
        rows = [merging.in_our_words(row, rules, self.timezones) for row in rows]
        listed = store.listed_keys(session, organization, good)
        outcomes = [merging.apply(row, leads, rules, listed) for row in rows]
        several = leads.by_id.values()
        store.insert_leads(session, organization, [lead.values for lead in several if lead.is_new])
        store.update_leads(session, organization, [lead.values for lead in several if lead.before is not None])
        store.forbid(session, organization, rules.import_id, outcomes)
        return outcomes

    def _known(self, rows: Sequence[LeadRow]) -> Leads:
        """Return the live leads that share a number or an address with the rows; they stay locked."""
        leads = Leads()
        given: dict[str, Any] = {
            "organization_id": self.organization,
            "phones": list({phone for row in rows for phone in row.phones}),
            "emails": list({email for row in rows for email in row.emails}),
            "crowd": CROWD + 1,
        }
        with as_role(self.session, "crm_definer"):
            found = self.session.execute(query("lead_import_known"), given).fetchall()
            made = {}
            if found:
                ids = [row["id"] for row in found]
                made = store.rows_that_made(self.session, self.organization, self.rules.import_id, ids)
            _add(leads, found, made)
            crowded = {key for key, several in leads.by_key.items() if len(several) > CROWD}
            if crowded:
                given |= {
                    "phones": [phone for phone in given["phones"] if phone in crowded],
                    "emails": [email for email in given["emails"] if email in crowded],
                    "first_names": list({(row.first_name or "").lower() for row in rows}),
                    "last_names": list({(row.last_name or "").lower() for row in rows}),
                }
                more = self.session.execute(query("lead_import_namesakes"), given).fetchall()
                _add(leads, [row for row in more if row["id"] not in leads.by_id], {})
        return leads

    def _learn_timezones(self, rows: Sequence[LeadRow]) -> None:
        """Ask the database for zones that were not met before."""
        wanted = {row.timezone for row in rows if row.timezone} - self.timezones.keys()
        if not wanted:
            return
        spelt = {
            zone: ZONES.get(zone.lower().removeprefix("us/").removesuffix(" time").strip(), zone) for zone in wanted
        }
        good = self.session.execute(
            "SELECT z FROM unnest(%s::text[]) AS z WHERE crm.is_iana_timezone(z)", [list(set(spelt.values()))]
        ).fetchall()
        names = {row["z"] for row in good}
        self.timezones |= {zone: name if name in names else None for zone, name in spelt.items()}


def _forbidding(row: LeadRow) -> LeadRow:
    """Return what is left of a row that the database refuses: whom it forbids to reach."""
    forbidden = {*row.forbidden, *(one["channel"] for one in row.withdrawn)}
    return LeadRow(
        row.number, phones=row.phones, emails=row.emails, status=row.status,
        forbidden=[one for one in CHANNELS if one in forbidden],
    )  # fmt: skip


def _add(leads: Leads, found: Sequence[dict[str, Any]], made: dict[str, int]) -> None:
    for row in found:
        lead_values = dict(row)
        also = frozenset(lead_values.pop("also", ()))
        name = name_of(row["first_name"], row["last_name"], row["source_metadata"].get("company"))
        leads.add(Lead(lead_values, name, made.get(row["id"]), also=also))
