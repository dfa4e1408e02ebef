"""What sources of leads cost: the marketing sheet into ``crm.lead_source_costs``.

The sheet has one currency, its locale's, unless a row has a column ``currency`` or the amount is a text with a sign or
a code. Foreign money is refused without a rate in ``crm.fx_rate``; ``marts.refused_costs`` lists each row and why.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.settings import settings
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SPEND = "gsheet_marketing_spend"
CRM = "gsheet"


def write(session: "Session", organization: UUID) -> dict[str, int]:
    """Write the costs of the organization; return the rows written and those refused."""
    joined = Joined(SPEND)
    session.execute("DROP TABLE IF EXISTS feed_spend, feed_cost")
    names = {name: joined.column(name) for name in ("amount", "event_fee", "event_labor_cost", "date")}
    names |= {"spend": columns.table(SPEND), "key": columns.key("t", SPEND), "channel": joined.value("channel")}
    zone = settings().warehouse_time_zone.key
    rows = run_script(session, query("feed_costs"), {"organization": organization, "zone": zone}, names)
    counting = "SELECT count(*) FROM marts.refused_costs WHERE organization_id = %s"
    return {"costs": rows, "refused_costs": warehouse.value(session, counting, [organization])}
