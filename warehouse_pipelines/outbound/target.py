"""The vocabulary of what is written back: a target is a row, as an entity is.

A target says where its rows come from, which object of which vendor they become, by which key a record there is found,
and who owns each field. What can be derived from the row is derived: plan, apply, verify, undo, the asset, the job.

Values are texts or None on both sides (``values``), as HubSpot has them; ``Kind`` says how two of them are compared.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound.values import Kind

if TYPE_CHECKING:
    from warehouse_pipelines.outbound.ledger import Item, Plan
    from warehouse_pipelines.outbound.partner import Partner

Owner = Literal["ours", "newest", "theirs"]
"""Who decides what a field says at the vendor.

    ours    the warehouse: what a person writes there is overwritten
    newest  the warehouse, until a person changes the field there: what they wrote stays
    theirs  the vendor: the field is filled when the record is created, and never again
"""

Keep = Callable[["Written", "Partner"], str | None]

BOOKKEEPING = "warehouse_operation_id"
"""The property that tells who created a record: after a lost answer it says which of our operations it was."""


class Written(NamedTuple):
    """What was just read back as written: the warehouse's URL, the plan, who applies it, and the items."""

    url: str
    plan: "Plan"
    by: str
    items: "Sequence[Item]"


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of the vendor's record.

    ``name``    the vendor's name of it
    ``column``  the column of the target's query, where it is not called so
    ``origin``  the column of the warehouse that it comes from, ``table.column``, for the lineage
    ``clears``  True if null overwrites what the vendor has
    ``link``    the object that the record is associated with, as ``Target.object`` names it. The column has the value
                of ``link_key`` there, and the field's value is the vendor's id. Ids that are not ours stay beside it
    ``about``   the property's description, where ``prepare`` makes it
    """

    name: str
    column: str = ""
    origin: str = ""
    kind: Kind = "text"
    owner: Owner = "ours"
    clears: bool = False
    link: str = ""
    link_key: str = ""
    about: str = ""

    @property
    def source(self) -> str:
        return self.column or self.name


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is written back of one thing to one vendor.

    ``source``    the query. Its columns are ``key``, those of the fields, and unless ``lists_all`` ``object_id`` and
                  ``mirrored`` (jsonb): the values as the vendor's record was last read into the warehouse. A row that
                  agrees with them is not asked about
    ``reads``     the tables that the query reads
    ``object``    the vendor's object: ``contacts``, ``custom:division``
    ``key``       the unique property by which a record is found and created; empty for a target that only updates
    ``match``     a property by which a record without the key is found, such as an e-mail address
    ``lists_all`` True if all records of the object are listed; False if rows name their ``object_id``
    ``absent``    what becomes of a record that we created and that has no row any more
    ``subject``   the table whose key says of whom a row is: an erased record of it is never sent
    ``asks_again`` True if the query is asked again before records are sent: what it no longer says is not written
    ``most``      changes that a plan may have without ``--force``; a fifth of the rows if that is less
    ``labels``    singular and plural of a custom object that ``prepare`` makes
    ``partner``   connects to the vendor
    ``retired``   the field and the value by which a record counts as archived, at a vendor that restores such ones
    ``keep``      writes what was written into the warehouse's own tables, before it is settled; returns why that could
                  not be, None where it was
    """

    name: str
    about: str
    crm: str
    object: str
    source: str
    reads: tuple[str, ...]
    fields: tuple[Field, ...]
    partner: Callable[["Target", ReadContext], "Partner"]
    key: str = ""
    match: str = ""
    lists_all: bool = False
    absent: Literal["keep", "archive"] = "keep"
    subject: str = ""
    asks_again: bool = False
    most: int = 1_000
    labels: tuple[str, str] = ("", "")
    retired: tuple[str, str] | None = None
    keep: "Keep | None" = None

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        wrong = [
            ("a field is named twice", len(names) != len(set(names))),
            ("its key is no field of ours", bool(self.key) and self.key not in {f.name for f in self.owned}),
            ("what is matched is no field", bool(self.match) and self.match not in names),
            ("without a key nothing can be archived", self.absent == "archive" and not self.key),
            (
                "what it links to is no value of its query, and cannot be asked again",
                self.asks_again and bool(self.links),
            ),
            ("records are created only where all are listed", bool(self.key) and not self.lists_all),
        ]
        for problem, there in wrong:
            if there:
                raise ValueError(f"target {self.name}: {problem}")

    def retires(self, new: Mapping[str, str | None]) -> bool:
        """Whether these new values archive a record that the vendor could restore."""
        return self.retired is not None and new.get(self.retired[0]) == self.retired[1]

    def is_retired_since(self, planned: Container[str], values: Mapping[str, str | None]) -> bool:
        """Whether a record counts as archived, though what is planned of it leaves that field alone."""
        return self.retired is not None and self.retired[0] not in planned and self.retires(values)

    @property
    def retired_word(self) -> str:
        """What a record is that counts as archived: ``trashed``, ``cancelled``."""
        field, value = self.retired or ("archived", "true")
        return field if value == "true" else value

    @property
    def owned(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.owner == "ours")

    @property
    def by_name(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.fields}

    @property
    def links(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.link)
