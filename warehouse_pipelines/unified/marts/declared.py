"""The words by which activities and lives of leads are declared, without a driver: Dagster's definitions import them.

``activity`` and ``lifecycle`` make SQL of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from warehouse_pipelines.model.accounts import per_account
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.lead_rows import SIGNALS
from warehouse_pipelines.unified.people import (
    Join,
)

Direction = Literal["", "inbound", "outbound"]

CRM_USERS = "crm.organization_member"
"""Where users of crm are known."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a row of ``table`` says happened. How a column is written is said in ``people``.

    ``kind``       what it is; a row may be several kinds, such as a job that is sold, installed and paid
    ``crm``        whose table it is
    ``at``         when: a time, or a day, that begins in ``WAREHOUSE_TIME_ZONE``
    ``of``, ``key``  the table of people, and the column with the key of its row; empty: this row is its own
    ``person``     the column with the id in identity of whose it is, where the row says that itself
    ``by``, ``tables``  the table of people by the word in the column ``by``, instead of one ``of``
    ``when``       a column that must be filled, and true if it is a flag; ``column=word`` for one word of a text
    ``unless``     a column that must not be
    ``outcome``    the column of what came of it; where it is empty the word of the first flag that is set (``flags``),
                   and after that ``otherwise``
    ``amount``     the column of the money that it is about; ``currency`` that of its currency, else it is US dollars;
                   ``converted`` that of the amount that the source itself converts to US dollars
    ``user``, ``user_table``  the column with the key of who of us, and the table of staff, or ``CRM_USERS`` where the
                   key is an id of crm, which is one of identity if that knows the user; ``user_name`` a text instead
    ``source``     the column of what brought it about, in the vendor's word
    ``messages``   the column with the messages of a conversation, as JSON: the person's last one says when it was, and
                   without one it is ours
    ``links``      tables, and columns with the key of a row there that it belongs to: the visit that a job was sold at
    ``may_be_held``  it is a visit, which took place or did not; the outcome tells
    ``alive``      a column that, when it is filled, says that an archived row is not deleted
    ``called_off``  only a row that the signal of this table calls off (``lead_rows``), whose joins are among these
    """

    kind: str
    crm: str
    table: str
    at: str
    of: str = ""
    key: str = ""
    person: str = ""
    by: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()
    when: str = ""
    unless: str = ""
    outcome: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    amount: str = ""
    currency: str = ""
    converted: str = ""
    user: str = ""
    user_table: str = ""
    user_name: str = ""
    source: str = ""
    title: str = ""
    direction: Direction = ""
    directions: str = ""
    messages: str = ""
    division: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    may_be_held: bool = False
    alive: str = ""
    called_off: bool = False

    def __post_init__(self) -> None:
        wrong = []
        if bool(self.of or self.by) != bool(self.key):
            wrong.append("of (or by) and key come together")
        if bool(self.by) != bool(self.tables):
            wrong.append("by and tables come together")
        if bool(self.user) != bool(self.user_table):
            wrong.append("user and user_table come together")
        if wrong:
            raise ValueError(f"{self.table}, {self.kind}: {'; '.join(wrong)}")


@dataclass(frozen=True)
class Life:
    """A table of leads of ``system``; ``qualified`` and ``disqualified`` are columns of times, where it has some."""

    system: str
    table: str
    qualified: str = ""
    disqualified: str = ""


_LIVES = (
    Life("pipedesk", "pipedesk.leads", "qualified_at", "disqualified_at"),
    Life("genius", "genius_lead", "", "dead_on"),
    Life("hubspot", "hubspot_contact"),
    Life("salesrabbit", "salesrabbit_lead"),
    Life("leadconduit", "leadconduit_lead"),
    Life("five9", "five9_contact"),
    Life("gsheet", "gsheet_marketing_lead"),
)
LIVES = per_account(_LIVES, SOURCES)
"""A key is one lead's within a system; MarketSharp's leads are contacts, whose inquiries tell of them together."""


def tables_of_leads() -> tuple[str, ...]:
    """Return the tables that are read for ``marts.lead_lifecycle``."""
    of = {life.table for life in LIVES}
    read = [name for signal in SIGNALS if signal.table in of and not signal.of and signal.word
            for name in (signal.table, *(join.table for join in signal.joins))]  # fmt: skip
    return tuple(dict.fromkeys(read))
