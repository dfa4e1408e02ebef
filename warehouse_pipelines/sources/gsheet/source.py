"""Google Sheets as a source: its entities, and how its credential is checked."""

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources.gsheet.client import GSheetClient
from warehouse_pipelines.sources.gsheet.entities import MARKETING_LEADS, MARKETING_SPENDS
from warehouse_pipelines.sources.gsheet.fetch import fetch, inspect
from warehouse_pipelines.sources.gsheet.rows import column_name
from warehouse_pipelines.sources.gsheet.settings import Settings


def check() -> str:
    """Ask Drive for the version of both sheets."""
    settings = Settings()
    for spreadsheet_id in (
        settings.gsheet_marketing_lead_spreadsheet_id,
        settings.gsheet_marketing_spend_spreadsheet_id,
    ):
        GSheetClient(ReadContext(), spreadsheet_id).version()
    return "Google Sheets answers: the service account can read both sheets"


GSHEET = Source(
    name="gsheet",
    title="Google Sheets",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    place=lambda name, kind: column_name(name),
    page_size=2_000,
    pool=1,
    entities=(MARKETING_LEADS, MARKETING_SPENDS),
)
