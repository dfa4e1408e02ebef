"""What the machine asks of a vendor: read records back, and write a batch once.

A write is sent once. What it did is told by reading back and not by its answer; an answer only says which records the
vendor refused, and when it changed the others.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeVar

from warehouse_pipelines.outbound.values import Values
from warehouse_pipelines.sources._http import Client

T = TypeVar("T")

Action = Literal["create", "update", "archive"]


class Record(NamedTuple):
    """A record at the vendor: the values of the target's fields, and by which operation of ours it was created.

    ``shared`` has the ids of a link, by field, that cannot be taken away without what others wrote there.
    """

    id: str
    values: Values
    updated_at: str | None = None
    operation: str | None = None
    shared: Mapping[str, set[str]] = MappingProxyType({})


class Write(NamedTuple):
    """One record of a batch. ``before`` is what the vendor had, ``values`` what it is to have."""

    operation: str
    object_id: str | None
    values: Values
    before: Values


@dataclass(frozen=True)
class Reply:
    """What the answer says. ``refused`` by operation, ``updated_at`` of the others by the record's id."""

    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    updated_at: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Partner(Protocol):
    """The records of one target at its vendor. Every method raises as ``Client.request`` does.

    ``most`` is how many records a batch may have, ``client`` that by which the vendor is asked.
    """

    most: int
    client: Client

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the living records of these ids, by the id that was asked for; at most ``most``."""

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the living records that have these values of the target's key, by them."""

    def everything(self) -> Iterator[Record]:
        """Yield all living records."""

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which fields beside the target's have a value, by id: of a record that we created, other people's."""

    def associated_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which associations these records have beside those of the target's fields, by id."""

    def unreadable(self, id_: str) -> str | None:
        """Return why a record that was not found may be there all the same; None where it is not."""

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Write a batch, once.

        Raises ``RequestRefused`` where the vendor refused the batch as a whole and did nothing, ``OutcomeUnknown``
        where nobody knows, and, in ``client.at_once``, ``WritePostponed`` where the batch, or what is left of it, would
        be sent after a wait.
        """

    def linked_ids(self, link: str) -> Mapping[str, str]:
        """Return the vendor's ids of the records that the field ``link`` leads to, by its ``link_key``."""

    def lacking(self) -> list[str]:
        """Return what the vendor lacks before anything can be written, a line each."""

    def prepare(self) -> list[str]:
        """Make what is lacking; return what was made."""


def batches(them: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Yield these in batches of at most so many."""
    for start in range(0, len(them), most):
        yield them[start : start + most]


def used_by_others(partner: Partner, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return what people made of records that we created, by id: fields that they filled, associations."""
    found: dict[str, list[str]] = {}
    for batch in batches(ids, partner.most):
        for used in (partner.filled_by_others(batch), partner.associated_by_others(batch)):
            for id_, names in used.items():
                if names:
                    found.setdefault(id_, []).extend(names)
    return found


class ById:
    """What a partner needs not whose records are asked for one by one, by ids that somebody names."""

    def everything(self) -> Iterator[Record]:
        """Yield nothing."""
        return iter(())

    def linked_ids(self, link: str) -> Mapping[str, str]:
        """Return nothing: no field leads to another record."""
        return {}

    def associated_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return nothing: such records have no associations."""
        return {}

    def unreadable(self, id_: str) -> str | None:
        """Return None: what was not found is not there."""
        return None

    def lacking(self) -> list[str]:
        """Return nothing: the vendor has all that such a record needs."""
        return []

    def prepare(self) -> list[str]:
        """Make nothing."""
        return []
