"""A vendor: its settings, its entities, how its pages are fetched, and the flags that it adds to ``sync``."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic_settings import BaseSettings

from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Fetch, Inspect, ReadContext
from warehouse_pipelines.model.rules import Kind
from warehouse_pipelines.settings import hash_key, setting_name, wrong

NAME = re.compile(r"[a-z0-9]{1,50}")
"""What a declared source may be called. In the name of an account an underscore ends that of the vendor."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of ``sync`` that one vendor has beside those of all; its value is in ``ReadRequest.options``.

    ``name``        as Python spells it: ``booking_status`` is ``--booking-status``
    ``help``        what it does, for ``--help``
    ``type``        what is given with it; a number goes from 1 to ``most``
    ``entities``    the entities that it concerns, all of them when empty
    ``narrows``     whether fewer records are read with it, so that the run neither moves the watermark nor tombstones
    ``stands_for``  the flag of all vendors that this is an old spelling of; the command line alone knows it
    """

    name: str
    help: str
    type: Literal["text", "number", "switch"] = "text"
    most: int | None = None
    entities: tuple[str, ...] = ()
    narrows: bool = False
    stands_for: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"flag {self.name!r} is not snake_case")

    @property
    def spelled(self) -> str:
        """The flag as the command line has it."""
        return f"--{self.name.replace('_', '-')}"

    def concerns(self, entity: Entity) -> bool:
        """Return whether the flag means anything to ``entity``."""
        return not self.entities or entity.name in self.entities

    def read(self, value: Any) -> Any:
        """Return ``value`` if it can be used; raise ``WrongUse`` if not."""
        forms = {"text": (str, "a text"), "number": (int, "a number from 1"), "switch": (bool, "true or false")}
        form, wanted = forms[self.type]
        good = type(value) is form and value != ""
        if self.type == "number":
            good = good and 1 <= value <= (self.most or value)
            wanted += f" to {self.most}" if self.most else ""
        if not good:
            raise WrongUse(f"{self.name} is {value!r}; it must be {wanted}")
        return value


class Credential(NamedTuple):
    """Whose a credential is, of a vendor that tells it.

    ``digest``    tells the credential from others, and is no secret
    ``named``     the setting that has it, and ``setting`` the one that says whose it must be
    ``expected``  what that says; empty where it is not set
    ``ask``       asks the vendor, in one request, for its ids of the accounts that the credential answers for
    """

    digest: str
    named: str
    setting: str
    expected: str
    ask: Callable[[], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A vendor: how to ask it for pages, and what there is to ask for.

    ``settings``   its settings; a field without a default must be set before the source counts as configured
    ``check``      asks the vendor for the cheapest thing that proves the credential; returns what to print
    ``check_in``   the same for the account of a context (``model.accounts``); a vendor without it, whose reading takes
                   its settings from elsewhere than the context, can have no second account
    ``credential`` tells whose the credential in the settings is (``loading.vendor_account``); None where no documented
                   request does
    ``vendor``     the name of the declared source that this is an account of, and ``account`` which one; both are empty
                   for the source as it is declared
    ``tables``     for an account, what each declared table is called; None where it is unclear whose is meant
    ``page_size``  records per request unless ``--batch-size`` says otherwise
    ``pool``       how many steps may read this vendor at a time, over all runs
    ``flags``      what ``sync`` offers for this vendor alone
    ``mirrored``   its tables have triggers and foreign keys of their own, for the rows that are made here; they neither
                   rewrite nor refuse what the vendor says. CHECK, NOT NULL and unique indexes hold. Rows without a
                   ``sync_hash`` are those that were made here, and of no vendor's concern
    ``measures``   names of figures that the metrics of every run have, 0 where nothing was measured
    ``inspect``    asks the vendor, in a request or few, what it has of the entity of the request, and so many
                   records as its ``limit`` says; raises as ``fetch`` does where that would fail. Without it, or where
                   it returns None, the first records of ``fetch`` tell
    ``read_keys``  reads the records of ``ReadRequest.keys`` and no others, outside of the window; a key that the vendor
                   no longer has is among ``ReadReport.deleted_keys``
    ``by_key``     the entities that ``read_keys`` can read, and how many keys of each one run may ask for
    ``place``      the path of what the vendor calls by this name, for a column of this kind (``column_config``)
    ``as_configured``  returns an entity with the columns that the settings of this installation, or account, give it,
                   read when a run begins; raises ``NotConfigured`` for a setting that cannot be used
    """

    name: str
    title: str
    transport: Literal["api", "database", "file", "query"]
    settings: type[BaseSettings]
    fetch: Fetch
    check: Callable[[], str]
    entities: tuple[Entity, ...]
    page_size: int = 100
    pool: int = 3
    flags: tuple[Flag, ...] = ()
    mirrored: bool = False
    measures: tuple[str, ...] = ()
    inspect: Inspect | None = None
    read_keys: Fetch | None = None
    by_key: Mapping[str, int] = field(default_factory=dict)
    place: Callable[[str, Kind], str] = lambda name, kind: name
    as_configured: Callable[[Entity, type[BaseSettings]], Entity] = lambda entity, form: entity
    check_in: Callable[[ReadContext], str] | None = None
    credential: Callable[[ReadContext], Credential] | None = None
    vendor: str = ""
    account: str = ""
    tables: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) and self.name != f"{self.vendor}_{self.account}":
            raise ValueError(f"source {self.name!r}: a name is lower case letters and digits only")
        for what in ("name", "table"):
            names = [getattr(entity, what) for entity in self.entities]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"source {self.name!r}: {what} declared twice: {', '.join(twice)}")
        known = {entity.name for entity in self.entities}
        meant = {name for flag in self.flags for name in flag.entities}
        if unknown := sorted(meant - known):
            raise ValueError(f"source {self.name!r}: flags for entities that it has not: {', '.join(unknown)}")
        if unknown := sorted(self.by_key.keys() - known):
            raise ValueError(f"source {self.name!r}: by_key has entities that it has not: {', '.join(unknown)}")
        if bool(self.by_key) != (self.read_keys is not None):
            raise ValueError(f"source {self.name!r}: read_keys and by_key belong together")

    @property
    def declared_name(self) -> str:
        """The name of the vendor: its own, or that of the source that it is an account of."""
        return self.vendor or self.name

    def configured(self, entity: Entity) -> Entity:
        """Return an entity with the columns that the settings of this installation give it."""
        return self.as_configured(entity, self.settings)

    @property
    def pool_name(self) -> str:
        """The pool of Dagster's that limits how many steps read this vendor at a time, over all runs."""
        return f"{self.name}_api"

    def flags_for(self, entity: Entity, given: Mapping[str, Any]) -> dict[Flag, Any]:
        """Return those of the ``given`` values that concern ``entity``; raise ``WrongUse`` for what is no flag."""
        flags = {flag.name: flag for flag in self.flags if not flag.stands_for}
        if unknown := sorted(given.keys() - flags.keys()):
            there = f"it has {', '.join(flags)}" if flags else "it has none"
            raise WrongUse(f"{self.title} has no flag {', '.join(unknown)} of its own; {there}")
        return {flags[name]: flags[name].read(value) for name, value in given.items() if flags[name].concerns(entity)}

    @property
    def required_settings(self) -> list[str]:
        """The names of the settings that it cannot do without, as they are spelt in the environment."""
        fields = self.settings.model_fields.items()
        return [setting_name(self.settings, name) for name, field in fields if field.is_required()]

    def missing_settings(self) -> list[str]:
        """Return the names of all settings that are missing or unusable, as they are spelt in the environment."""
        return sorted(self.wrong_settings())

    def wrong_settings(self) -> dict[str, str]:
        """Return what is wrong with a setting, by its name, without its value; nothing where it is missing."""
        return wrong(self.settings)

    def has_own_settings(self) -> bool:
        """Whether any setting that it needs and no other vendor reads is given, or one of its own cannot be used."""
        found = self.wrong_settings()
        given = {name for name in self.required_settings if name not in found}
        given |= {name for name, problem in found.items() if problem}
        return any(name.startswith(f"{self.name}_".upper()) for name in given)

    def settings_problem(self) -> str | None:
        """Return one sentence that names all settings that are missing or unusable; None when there are none."""
        found = self.wrong_settings()
        if not found:
            return None
        missing = sorted(name for name, problem in found.items() if not problem)
        problems = [f"set {', '.join(missing)}"] if missing else []
        problems += [f"{name} cannot be used ({problem})" for name, problem in sorted(found.items()) if problem]
        return f"{self.title} is not configured: {'; '.join(problems)}, in the environment or in .env"

    def require_settings(self) -> None:
        """Raise ``NotConfigured``, naming all that is missing at once, and what cannot be used."""
        if problem := self.settings_problem():
            raise NotConfigured(problem)
        if any(entity.local.hashed for entity in self.entities):
            hash_key()
        for entity in self.entities[:1]:  # whichever is asked for, the whole setting is read
            self.configured(entity)
