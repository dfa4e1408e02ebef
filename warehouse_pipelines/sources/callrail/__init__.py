"""CallRail: calls, texts and form fills, and the tracking numbers that brought them."""

from warehouse_pipelines.sources.callrail.source import CALLRAIL

__all__ = ["CALLRAIL"]
