"""The words by which a table is declared to hold people, and which of its columns say what of a person.

``people_rows`` has a row per table. Columns are called as they are declared; ``Entity.local`` says what the
installation calls them.

How a column is written, here and in the rows of leads and of activities:

    first_name                    the column of the table itself
    numbers.home_phone            a column of a table that is joined as ``numbers``
    raw_data:entity_ids.0         what the record has at this path, where no column has it
    street1|prospect_address      of several the first that is not empty
    finish_date&modified          the later of two times
    visit_date+visit_time         a date, and the time of day in another column
    email email2                  several values, where a field takes several

``columns`` makes SQL of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from warehouse_pipelines.unified.identity.record import Kind


@dataclass(frozen=True, kw_only=True)
class Join:
    """A table whose columns belong to the record: its rows where ``column`` equals ``equals``, a column of this one.

    ``first`` orders the rows where there may be several: the first that is not archived is taken. Empty: ``column`` is
    the key, and an archived row still tells whose record it is.
    """

    name: str
    table: str
    column: str
    equals: str
    first: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The columns of an address. ``street`` and ``unit`` are lines; a street may be the whole address in one line."""

    street: str = ""
    unit: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """A column whose value is the key of a row of ``table``, or a number that several tables share under that name.

    ``rule``      what the evidence is called
    ``tables``    the table by the word that stands in the column ``by``, instead of one ``table``
    ``prefix``    what stands before the key; a value without it points nowhere
    ``separator`` what stands between several keys
    ``member``    the column is a JSON list of objects with ``name`` and ``value``; the one of this name counts
    """

    column: str
    rule: str
    table: str = ""
    by: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    separator: str = ""
    member: str = ""


Channel = Literal["call", "sms", "email", "mail"]
Says = Literal["opt_out", "consent", "not_before"]


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What a column says of how the person may be reached.

    ``opt_out``     the person must not be reached by the channels
    ``consent``     the person agreed to be reached by them
    ``not_before``  the column is a time before which the person must not be reached by them

    ``when``    the value that says so, of a flag; False for a flag that permits
    ``at``      the column that says since when; without it, or where it is empty, when the record was last edited, and
                of a consent when it was made: such a one is ended by any opt-out
    ``email``   the column of the e-mail address that is meant, where the flag is about one of several
    ``proof``   columns that say where it comes from
    """

    column: str
    says: Says
    channels: tuple[Channel, ...]
    when: bool = True
    at: str = ""
    email: str = ""
    proof: str = ""


@dataclass(frozen=True, kw_only=True)
class People:
    """A table that holds people.

    ``table``     as the entity is named
    ``kind``      ``staff``; ``customer``; or ``touch`` for a table of calls, texts and forms (see above)
    ``full``      a name in one column, read where ``first`` and ``last`` are empty
    ``caller_id`` the name is as a telephone company shows it: in capitals, the surname first
    ``business``  the name of a business: of the record itself, or the one that the person belongs to
    ``emails``    columns of e-mail addresses; a JSON list of objects with ``email`` counts as one
    ``phones``    phone columns; the number in E.164 beside each is read
    ``places``    addresses, the first that has a street is taken, or else the first that has anything
    ``created``, ``edited``  the columns, where they are not the common ``source_created_at``, ``Entity.edit_times``
    ``made_up``   a flag of a record that is a test of the vendor's; such a record counts as deleted
    ``excluded``  a flag of a row that is no record any more, and whose record is removed
    ``within``    the column of the organization, of a table that several have; those are read that the sources feed
    """

    table: str
    kind: Kind
    first: str = ""
    middle: str = ""
    last: str = ""
    full: str = ""
    caller_id: bool = False
    business: str = ""
    emails: str = ""
    phones: str = ""
    places: tuple[Place, ...] = ()
    ids: tuple[Pointer, ...] = ()
    joins: tuple[Join, ...] = ()
    created: str = ""
    edited: str = ""
    made_up: str = ""
    excluded: str = ""
    within: str = ""
    consent: tuple[Consent, ...] = ()
