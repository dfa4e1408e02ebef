"""A record of a source as the resolver sees it: a row of ``identity.record``, its values in the form that is compared.

Texts are lower case, without accents and punctuation; an e-mail address is lower case, a phone number E.164. What a
source left empty is None, or an empty tuple. ``normalise`` makes them, ``compare`` reads them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["customer", "staff", "touch"]
"""Staff are people of their own: a rep is never merged with a customer. A touch has no person of its own."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    ``ids`` are tokens ``table:key``: its own first, then those that it points at in other CRMs. ``left_out`` are marks
    of numbers and addresses that its source has there, and that are the business's or its staff's.
    """

    source_table: str
    source_key: str
    kind: Kind
    display_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    business: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    street: str | None = None
    unit: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> tuple[str, str]:
        """Table and key: what the record is called everywhere."""
        return self.source_table, self.source_key
