"""Google Sheets: what the marketing department types, its leads and its spending."""

from warehouse_pipelines.sources.gsheet.source import GSHEET

__all__ = ["GSHEET"]
