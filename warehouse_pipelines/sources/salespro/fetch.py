"""Read a table of SalesPro: compose the query of a window, and make records of its rows.

The catalogue is read first and only existing columns are asked for; a declared column that is absent is left out and
reported (``_sql.note_absent``). The lead of a result is looked up in the customers, if these have the columns for it. A
query that Athena refuses is asked once more without the lookup, which costs that column only.

Values come as text. Times have no zone: they are read as being in ``SALESPRO_ATHENA_TIME_ZONE``, and ``raw_data`` is
the row as read with the zone appended to them.

A window has a lower bound only, inclusive, so that changes during the read are read too; a backfill has both bounds.
Rows without a cursor come with every window. A cursor that the catalogue calls a text is cast, its window is widened by
a day, and a text that cannot be cast comes with every window, as a dead letter.

Where a table has several rows of a key (``NEWEST``), removing the newest one shows one that may lie before the window.
So the keys that the warehouse has in the window and the result did not show are asked for again without bounds, before
any of them counts as deleted. That is a second query, of a run in which something was removed.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.errors import AnswerChanged, PermissionMissing, RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json, Page, Pages, Portal, ReadContext, ReadReport, ReadRequest, TooLarge
from warehouse_pipelines.model.validate import read_id
from warehouse_pipelines.sources._sql import missing_place, note_absent
from warehouse_pipelines.sources.salespro.athena import Athena, quoted
from warehouse_pipelines.sources.salespro.aws import Account
from warehouse_pipelines.sources.salespro.forms import answered, in_columns, lines
from warehouse_pipelines.sources.salespro.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


NEWEST = {
    "customer": ("customer_id", ("created_at", "updated_at", "estimate_id")),
    "lead_results": ("estimate_id", ("created_at",)),
}
"""Tables with duplicate keys: the key, and the columns whose maximum picks the row to keep."""

ANSWERS = ("lead_results", "lead_results_raw")
"""Known names of the column that holds the form."""

MOST_KEYS = 500
"""Keys of one query, whose text may have 256 kB."""

MARGIN = timedelta(days=1)
"""Widening of the window of a cursor that is a text: it may carry an offset, which the cast drops."""

ZONELESS = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?")


def athena(context: ReadContext) -> Athena:
    """Return the database in the settings."""
    settings = Settings()
    secrets = (settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)
    return Athena(
        context,
        title="SalesPro",
        account=Account(
            settings.aws_region or settings.aws_default_region,
            settings.aws_endpoint_url,
            settings.aws_profile,
            *(secret.get_secret_value() if secret else None for secret in secrets),
        ),
        catalog=settings.salespro_athena_catalog,
        database=settings.salespro_athena_database,
        workgroup=settings.salespro_athena_workgroup,
        output=settings.salespro_athena_output,
    )


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the rows of one table as records, ``page_size`` at a time: a result has no pages."""
    entity = request.entity
    zone = Settings().salespro_athena_time_zone
    database = athena(context)
    types = database.types(table_of(entity))
    lacking = look_up(database, entity, types)
    names = existing_columns(request, context, types, lacking)
    batches = asked(request, database, names, types, zone)
    try:
        first = next(batches, None)
    except (RequestRefused, PermissionMissing) as error:
        looked_up = [name for name, type_ in types.items() if type_ == LOOK_UP]
        if not looked_up:
            raise
        for name in looked_up:
            del types[name]
            lacking[name] = f"Athena refuses the query that looks it up: {error}"
        names = existing_columns(request, context, types, lacking)
        batches = asked(request, database, names, types, zone)
        first = next(batches, None)
    records_of = encoder(entity, names, zone)
    shown: set[str | None] = set()

    def pages(batches: "Iterable[pa.RecordBatch]", *, in_window: bool = True) -> Iterator[Page]:
        for batch in batches:
            columns = [column.to_pylist() for column in batch.columns]
            if hides(request):
                shown.update(map(read_id, columns[names.index(NEWEST[table_of(entity)][0])]))
            records = records_of(columns)
            for start in range(0, len(records), request.page_size):
                yield Page(records[start : start + request.page_size], in_window)

    yield from pages(() if first is None else itertools.chain([first], batches))
    hidden = not_shown(request, context, shown, database)
    for start in range(0, len(hidden), MOST_KEYS):
        some = hidden[start : start + MOST_KEYS]
        yield from pages(asked(request, database, names, types, zone, some), in_window=False)
    if database.oversize:
        context.note(oversize_rows=len(database.oversize))
        yield Page([TooLarge(msgspec.json.encode(cells)) for cells in database.oversize])
    return ReadReport()


def hides(request: ReadRequest) -> bool:
    """Return whether the result may lack a key that the table has, and rows count as deleted because of it."""
    entity = request.entity
    return table_of(entity) in NEWEST and entity.deletes.by_window and not (request.full or request.limit)


def not_shown(request: ReadRequest, context: ReadContext, shown: Set[str | None], database: Athena) -> list[str]:
    """Return the keys that the warehouse has in the window and the result did not show, if it may hide any."""
    if not hides(request):
        return []
    entity = request.entity
    too_long = {read_id(cells.get(NEWEST[table_of(entity)][0])) for cells in database.oversize}
    stored = dict.fromkeys(parts[0] for parts in context.known.keys_in(entity, request.window))
    return [key for key in stored if key not in shown and key not in too_long]


def inspect(request: ReadRequest, context: ReadContext) -> Portal:
    """Return the columns of a table in the catalogue, and its first rows, by a query of some ten megabytes.

    Members made of a form are there if the form is. An entity made of another entity's table costs no query.
    """
    entity = request.entity
    database = athena(context)
    types = database.types(table_of(entity))
    lacking = look_up(database, entity, types)
    existing_columns(request, context, types, lacking)
    made = ("line" if "/" in entity.path else "answers",) if set(ANSWERS) & types.keys() else ()
    records: list[Json] = []
    for page in () if "/" in entity.path else fetch(request, context):
        records += page.records
    return Portal({**types, **dict.fromkeys(made, "form")}, records[: request.limit], reasons=lacking)


def asked(
    request: ReadRequest,
    database: Athena,
    names: Sequence[str],
    types: Mapping[str, str],
    zone: ZoneInfo,
    keys: Sequence[str] = (),
) -> "Iterator[pa.RecordBatch]":
    """Ask for these columns of the window, or of the rows of ``keys``, and yield the result as texts."""
    sql, literals = question(request, names, types, zone, keys)
    return database.rows(sql, names, literals)


LOOKED_UP = {
    "lead_results": {
        "lead_id": """(
            SELECT max(c."crm_source_id") FROM "customer" c
            WHERE CAST(c."estimate_id" AS varchar) = CAST(r."estimate_id" AS varchar))"""
    }
}
"""Values of other tables, by table and column, where the table has no such column; ``r`` is the row.

A customer's ``crm_source_id`` is the key in the CRM that the customer came from.
"""

CUSTOMER_OF_ESTIMATE = ("estimate_id", "crm_source_id")
LOOK_UP = "looked up"
"""Used as the type of a column that is looked up."""

UNSEEN = frozenset({
    "salespro_credit_application.estimate_id", "salespro_credit_application.credit_limit",
    "salespro_lead_result.updated_at",
})  # fmt: skip
"""Declared columns that no installation is known to have."""


def look_up(database: Athena, entity: Entity, types: dict[str, str]) -> dict[str, str]:
    """Add to ``types`` the columns that can be looked up in another table; return the reason for each other."""
    wanted = {} if "/" in entity.path else LOOKED_UP.get(table_of(entity), {})
    lacking: dict[str, str] = {}
    for name in wanted.keys() - types.keys():
        try:
            customers = database.types("customer")
        except (RequestRefused, PermissionMissing):
            lacking[name] = "there is no table customer to look it up in"
            continue
        if absent := [one for one in CUSTOMER_OF_ESTIMATE if one not in customers]:
            lacking[name] = missing_place("customer", absent, customers)
        else:
            types[name] = LOOK_UP
    return lacking


def table_of(entity: Entity) -> str:
    """Return the vendor's table: the ``path`` before its slash, if the entity is made of another's rows."""
    return entity.path.partition("/")[0]


def existing_columns(
    request: ReadRequest, context: ReadContext, types: Mapping[str, str], lacking: Mapping[str, str]
) -> list[str]:
    """Return the declared columns that exist. A path with a dot is a member of the form.

    Raises ``AnswerChanged`` when the key, the cursor or the form is not among them.
    """
    entity = request.entity
    form = ANSWERS if set(ANSWERS) & types.keys() or table_of(entity) == ANSWERS[0] else ()
    places = {name: [path for path in column.paths if "." not in path] for name, column in entity.columns.items()}
    missing = sorted(name for name, paths in places.items() if paths and not types.keys() & set(paths))
    lost = [name for name in (*entity.keys, entity.cursor) if name in missing]
    if form and not types.keys() & set(form):
        lost.append(form[0])
    if lost:
        raise AnswerChanged(
            f"SalesPro: the table {table_of(entity)!r} has no column for {', '.join(map(str, lost))}; "
            f"it has {', '.join(types)}. Nothing was loaded."
        )
    declared = {path for paths in places.values() for path in paths}
    undeclared = [name for name in types if name not in declared]
    absent = {name: lacking.get(name) or missing_place(table_of(entity), places[name], undeclared) for name in missing}
    note_absent(request, context, "SalesPro", absent, UNSEEN, all_read=request.full)
    names = dict.fromkeys((*(path for paths in places.values() for path in paths), *form))
    return [name for name in names if name in types]


def question(
    request: ReadRequest, names: Sequence[str], types: Mapping[str, str], zone: ZoneInfo, keys: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Return the query, and the literals for its ``?``. All names in it are declared by entities.

    With ``keys`` of a table of ``NEWEST`` it asks for these instead of the window.
    """
    entity = request.entity
    table = f'"{table_of(entity)}"'
    conditions: list[str] = []
    literals: list[str] = []
    if table_of(entity) in NEWEST:
        key, greatest = NEWEST[table_of(entity)]
        by = ", ".join(f'"{name}" DESC NULLS LAST' for name in greatest if name in types)
        every = ", ".join(f'"{name}"' for name in names if types[name] != LOOK_UP)
        table = f'(SELECT {every}, row_number() OVER (PARTITION BY "{key}" ORDER BY {by}) AS place FROM {table})'  # noqa: S608
        conditions.append("place = 1")
        if keys:
            # As the warehouse spells ids: trimmed, a UUID in lower case.
            conditions.append(f'lower(trim(CAST("{key}" AS varchar))) IN ({", ".join("?" * len(keys))})')
            literals += [quoted(one.lower()) for one in keys]
    if not keys and entity.cursor and request.window.since is not None:
        path = next(path for path in entity.columns[entity.cursor].paths if path in types)
        cursor, margin = f'"{path}"', timedelta(0)
        if not types[path].startswith(("timestamp", "date")):
            iso = f"TRY(CAST(from_iso8601_timestamp({cursor}) AS timestamp))"
            cursor, margin = f"coalesce(TRY_CAST({cursor} AS timestamp), {iso})", MARGIN
        bounds = [(">=", request.window.since - margin)]
        if request.options.get("backfill"):
            bounds.append(("<", request.window.until + margin))
        for sign, moment in bounds:
            conditions.append(f"({cursor} IS NULL OR {cursor} {sign} CAST(? AS timestamp))")
            local = moment.astimezone(zone).replace(tzinfo=None)
            literals.append(quoted(local.isoformat(" ", timespec="milliseconds")))
    looked_up = LOOKED_UP.get(table_of(entity), {})
    selected = ", ".join(
        f'{" ".join(looked_up[name].split())} AS "{name}"'
        if types[name] == LOOK_UP
        # Athena prints an array or a row in a form that is not JSON.
        else f'json_format(CAST("{name}" AS json)) AS "{name}"'
        if types[name].startswith(("array", "map", "row", "struct"))
        else f'"{name}"'
        for name in names
    )
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = f" LIMIT {request.limit}" if request.limit and "/" not in entity.path else ""
    return f"SELECT {selected} FROM {table} r{where}{limit}", literals  # noqa: S608


def encoder(entity: Entity, names: Sequence[str], zone: ZoneInfo) -> Callable[[list[list[Any]]], list[Json]]:
    """Return a function that makes records of a batch: the row, with ``answers`` or a ``line`` of its form."""
    times = {path for column in entity.columns.values() if column.kind == "timestamptz" for path in column.paths}
    timed = [place for place, name in enumerate(names) if name in times]
    form = next((place for place, name in enumerate(names) if name in ANSWERS), None)
    by_line = "/" in entity.path
    made = () if form is None else ("line" if by_line else "answers",)
    kept = [place for place in range(len(names)) if not (by_line and place == form)]
    row: Any = msgspec.defstruct("Row", [(name, Any) for name in (*(names[place] for place in kept), *made)], gc=False)
    encode = msgspec.json.Encoder().encode
    zoned = marker(zone)

    def records(values: list[list[Any]]) -> list[Json]:
        for place in timed:
            values[place] = list(map(zoned, values[place]))
        columns = [values[place] for place in kept]
        if form is None:
            return list(map(encode, map(row, *columns)))
        forms = map(answered, values[form])
        if not by_line:
            return list(map(encode, map(row, *columns, map(in_columns, forms))))
        rows = zip(zip(*columns, strict=True), forms, strict=True)
        return [encode(row(*cells, line)) for cells, answers in rows for line in lines(answers)]

    return records


def marker(zone: ZoneInfo) -> Callable[[str | None], str | None]:
    """Return a function that appends the offset of ``zone`` to a time without one."""
    utc = zone.key == "UTC"

    def zoned(text: str | None) -> str | None:
        if text is None or not ZONELESS.fullmatch(text):
            return text
        if utc:
            return f"{text}Z"
        try:
            offset = datetime.fromisoformat(text).replace(tzinfo=zone).strftime("%z")
        except ValueError:
            return text
        return f"{text}{offset[:3]}:{offset[3:5]}"

    return zoned
