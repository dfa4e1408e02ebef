"""``config/accounts.toml``: further accounts of a CRM, such as a second HubSpot portal. Without it there are none.

    hubspot = ["west"]                # beside the portal of HUBSPOT_ACCESS_TOKEN, that of HUBSPOT_WEST_ACCESS_TOKEN
    callrail = ["north", "south"]

An account is a copy of the source as it is declared and configured, under another name: ``hubspot_west`` has its own
settings, schema of tables, assets, jobs, schedules, history, cursors, dead letters, alerts and budget of requests. The
account without a name is the source itself, and its tables and history stay what and where they are. So an installation
gets a second account without a migration of the first.

Decided, a schema per account and not a column ``account`` in each key, with the measurement in ``docs/accounts.md``:

- A key stays what the vendor says. With the account in it, each of 120 keys, each join, and each id that identity,
  erasure, webhooks and outbound hold would have two parts, and a query that forgot one would mix two portals without an
  error. The tables that are there would get new keys under a lock, 3 microseconds a row, and so would all that refers
  to them.
- Rights, retention, removal and a restored copy are by schema.
- Analysts read the accounts together in a view for each table (``schema.account_views``), whose first column names the
  account. Counts, lookups by e-mail and deltas cost about what they would in one table; a join on account and key half
  as much again.

``per_account`` copies the rows by which ``unified`` reads tables, so identity, the feed, marts and erasure read all
accounts. An id that names a record of another CRM means its account of the same name, or its only one; where neither is
there, it is unclear what it names, and it joins nothing.

The file is read when a process starts, as ``config/columns.toml`` is. Columns are the same in all accounts of
a CRM.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.account_settings import settings_of
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.settings import FromEnvironment, optional_text, project_root, setting_name, settings

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")


class Account(NamedTuple):
    """One further account of a CRM."""

    crm: str
    name: str

    @property
    def source(self) -> str:
        """What its source, its schema, its history and its jobs are called by."""
        return f"{self.crm}_{self.name}"


def accounts_file() -> Path:
    """Return the file, whether or not it is there; ``WAREHOUSE_ACCOUNTS_FILE`` names another one, which must be."""
    return settings().warehouse_accounts_file or project_root() / "config" / "accounts.toml"


def with_accounts(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources, and behind them those of the accounts that the file declares.

    Raises ``NotConfigured`` that names the file and what of it cannot be used, and for a file that cannot be read.
    """
    file = accounts_file()
    text = optional_text(file, "WAREHOUSE_ACCOUNTS_FILE")
    if text is None:
        return tuple(sources)
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotConfigured(f"{file} is no TOML: {error}") from error
    return expanded(sources, _accounts(file, written, sources))


def expanded(sources: Sequence[Source], accounts: Sequence[Account]) -> tuple[Source, ...]:
    """Return the sources, and behind them one for each account."""
    by_name = {source.name: source for source in sources}
    return (*sources, *(_source(by_name[one.crm], one, _tables(one, sources, accounts)) for one in accounts))


def _accounts(file: Path, written: Mapping[str, Any], sources: Sequence[Source]) -> list[Account]:
    by_name = {source.name: source for source in sources}
    found: list[Account] = []
    for crm, names in written.items():
        if crm not in by_name:
            raise NotConfigured(f"{file}: {crm!r} is no CRM; there are {', '.join(by_name)}")
        source = by_name[crm]
        if source.check_in is None:
            able = [one.name for one in sources if one.check_in]
            raise NotConfigured(
                f"{file}: {source.title} can have one account only, because what its reading depends on is not kept by "
                f"account yet; these can have several: {', '.join(able)}"
            )
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise NotConfigured(f'{file}: {crm} is no list of names; write {crm} = ["west"]')
        for name in names:
            _require_usable_name(file, source, name)
            if (one := Account(crm, name)) in found:
                raise NotConfigured(f"{file}: {crm} has the account {name!r} twice")
            found.append(one)
    _require_own_settings(file, found, sources)
    return found


def _require_usable_name(file: Path, source: Source, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NotConfigured(
            f"{file}: {name!r} of {source.name} cannot be the name of an account; it must be up to 20 lower case "
            "letters and digits, the first a letter"
        )
    if clash := [one.name for one in source.entities if one.name == name or one.name.startswith(f"{name}_")]:
        raise NotConfigured(
            f"{file}: an account {name!r} of {source.name} has the name of its entity {clash[0]}, and their jobs would "
            f"have one name; choose another"
        )


def _require_own_settings(file: Path, accounts: Sequence[Account], sources: Sequence[Source]) -> None:
    """Refuse an account whose setting is called as another's: one token would be read as two."""
    forms = {source.name: source.settings for source in sources}
    taken = {setting_name(form, name): source for source, form in forms.items() for name in form.model_fields}
    for one in accounts:
        form = settings_of(cast(type[FromEnvironment], forms[one.crm]), one.name)
        for name in form.model_fields:
            if (spelt := setting_name(form, name)) in taken and taken[spelt] != one.source:
                raise NotConfigured(
                    f"{file}: the setting {spelt} would be of {one.source} and of {taken[spelt]}; choose another name"
                )
            taken[spelt] = one.source


def _tables(account: Account, sources: Sequence[Source], accounts: Sequence[Account]) -> dict[str, str | None]:
    """Return what each declared table is called for this account; None where it is unclear whose is meant."""
    found: dict[str, str | None] = {}
    for source in sources:
        same = Account(source.name, account.name)
        others = any(one.crm == source.name for one in accounts)
        for entity in source.entities:
            if same in accounts:
                found[entity.table] = f"{same.source}.{entity.table_name}"
            else:
                found[entity.table] = None if others else entity.table
    return found


def _source(source: Source, account: Account, tables: Mapping[str, str | None]) -> Source:
    check_in = source.check_in
    assert check_in is not None  # noqa: S101  (asked by the caller)
    return replace(
        source,
        name=account.source,
        vendor=source.name,
        account=account.name,
        title=f"{source.title} ({account.name})",
        settings=settings_of(cast(type[FromEnvironment], source.settings), account.name),
        entities=tuple(_entity(entity, tables) for entity in source.entities),
        check=lambda: check_in(ReadContext(account=account.name)),
        fetch=_for_account(source.fetch, account),
        read_keys=_for_account(source.read_keys, account) if source.read_keys else None,
        inspect=_for_account(source.inspect, account) if source.inspect else None,
        credential=_credential_of(source.credential, account) if source.credential else None,
        tables=tables,
    )


def _entity(entity: Entity, tables: Mapping[str, str | None]) -> Entity:
    def ref_of(ref: str) -> str | None:
        table, bracket, column = ref.partition("(")
        found = tables[table]
        return f"{found}{bracket}{column}" if found else None

    table = tables[entity.table]
    assert table is not None  # noqa: S101  (its own)
    return replace(
        entity,
        table=table,
        declared_table=entity.table,
        parent=tables[entity.parent] if entity.parent else None,
        refs={column: ref for column, declared in entity.refs.items() if (ref := ref_of(declared))},
        index=" ".join(dict.fromkeys([*entity.index.split(), *(c for c, r in entity.refs.items() if not ref_of(r))])),
    )


def _for_account(
    read: Callable[[ReadRequest, ReadContext], T], account: Account
) -> Callable[[ReadRequest, ReadContext], T]:
    """Return a read of this account, whoever made the context."""

    def bound(request: ReadRequest, context: ReadContext) -> T:
        context.account = account.name
        return read(request, context)

    return bound


def _credential_of(
    credential: Callable[[ReadContext], Credential], account: Account
) -> Callable[[ReadContext], Credential]:
    """Return what tells whose the credential of this account is, whoever made the context."""

    def bound(context: ReadContext) -> Credential:
        context.account = account.name
        return credential(context)

    return bound


class _Unclear(Exception):
    """A row names a table of another CRM, and it is unclear which account's."""


_DROPPED = ("ids", "links", "tables")
"""Fields of rows whose parts may be left out where it is unclear what they name: they join, and join nothing then."""


def per_account(rows: Iterable[T], sources: Sequence[Source]) -> tuple[T, ...]:
    """Return the rows, and behind them a copy for each account of each row whose table is of its CRM.

    In a copy the tables are the account's, and the CRM is called as the account. A row is a dataclass with a field
    ``table``, a tuple that begins with the table, or the name of a table. Raises ``NotConfigured`` where a row joins a
    table of another CRM and it is unclear which account's.
    """
    rows = tuple(rows)
    found = list(rows)
    for source in (one for one in sources if one.account):
        own = {entity.table for entity in source.entities}
        for row in rows:
            if source.tables.get(_table_of(row)) in own:
                try:
                    found.append(_copy(row, source))
                except _Unclear as unclear:
                    raise NotConfigured(
                        f"{source.title} and {unclear} cannot both have accounts of other names: their rows are joined"
                    ) from None
    return tuple(found)


def by_table(rows: Mapping[str, T], sources: Sequence[Source]) -> dict[str, T]:
    """Return what is said by table for the tables of all accounts."""
    return dict(per_account(rows.items(), sources))


def declared_table(entity: Entity) -> str:
    """Return what the table of an entity is called for the account without a name, if it is of one with a name."""
    return entity.declared_table or entity.table


def sql_for_account(text: str, source: Source) -> str:
    """Return SQL that names tables as they are declared with those of an account, in literals too.

    Raises ``NotConfigured`` where it reads a table of another CRM and it is unclear which account's.
    """

    def called(word: re.Match[str]) -> str:
        table = source.tables.get(word[0], word[0])
        if table is None:
            raise NotConfigured(
                f"{source.title} is joined with {word[0]}, and it is unclear whose: name accounts alike"
            )
        return table

    return re.sub(r"\b[a-z][\w.]*\b", called, text)


def tables_of(declared: str, sources: Sequence[Source]) -> dict[str, str]:
    """Return the tables of all accounts that are declared as this one, each with the name of its source."""
    found = {}
    for source in sources:
        own = {entity.table for entity in source.entities}
        table = source.tables.get(declared) if source.account else declared
        if table and table in own:
            found[table] = source.name
    return found


def _table_of(row: Any) -> str:
    if isinstance(row, str):
        return row
    return cast(str, row[0] if isinstance(row, tuple) else row.table)


def _table_for_account(name: str, source: Source) -> str:
    """Return what is called so for an account: a table, or ids that several tables share under a name of their own.

    Such ids are the vendor's as its tables are: ``arrivy_customer`` of two accounts are not the same customers.
    """
    if name in source.tables:
        found = source.tables[name]
    else:
        beside = [table for table in source.tables if table.startswith(f"{name.partition('_')[0]}_")]
        table = source.tables[beside[0]] if beside else name
        found = table and (f"{table.rpartition('.')[0]}.{name}" if "." in table and beside else name)
    if not found:
        raise _Unclear(name)
    return found


def _copy(value: Any, source: Source) -> Any:
    if isinstance(value, str):
        return _table_for_account(value, source) if value in source.tables else value
    if isinstance(value, tuple):
        return tuple(_copy(one, source) for one in value)
    if isinstance(value, Mapping):
        return {_copy(key, source): _copy(one, source) for key, one in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed: dict[str, Any] = {}
    for field in fields(value):
        given = getattr(value, field.name)
        if field.name in ("crm", "system") and given == source.vendor:
            changed[field.name] = source.name
        elif field.name == "table" and given:
            changed[field.name] = _table_for_account(given, source)
        elif field.name in _DROPPED and isinstance(given, tuple):
            changed[field.name] = tuple(_copy_clear(given, source))
        elif field.name in _DROPPED and isinstance(given, Mapping):
            changed[field.name] = dict(_copy_clear(given.items(), source))
        else:
            changed[field.name] = _copy(given, source)
    return replace(value, **changed)


def _copy_clear(values: Iterable[Any], source: Source) -> list[Any]:
    """Return the copies of those parts of which it is clear what they name."""
    found = []
    for one in values:
        try:
            found.append(_copy(one, source))
        except _Unclear:
            continue
    return found
