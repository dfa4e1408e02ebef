"""Which spreadsheets to read, and which cells of each."""

from warehouse_pipelines.sources._google import GoogleSettings


class Settings(GoogleSettings):
    """A range is a tab, optionally with columns and rows (``'My tab'!A:ZZ``); empty for the first tab."""

    gsheet_marketing_lead_spreadsheet_id: str
    gsheet_marketing_lead_range: str = ""
    gsheet_marketing_spend_spreadsheet_id: str
    gsheet_marketing_spend_range: str = ""

    def spreadsheet_of(self, path: str) -> tuple[str, str]:
        """Return spreadsheet id and range of an entity's ``path``."""
        return str(getattr(self, f"gsheet_{path}_spreadsheet_id")), str(getattr(self, f"gsheet_{path}_range"))
