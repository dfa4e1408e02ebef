"""Five9: the contacts that its agents and dialers call."""

from warehouse_pipelines.sources.five9.source import FIVE9

__all__ = ["FIVE9"]
