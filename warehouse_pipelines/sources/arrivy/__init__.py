"""Arrivy: the crews' work. Tasks with their schedule, the bookings that they belong to, and who goes there."""

from warehouse_pipelines.sources.arrivy.source import ARRIVY

__all__ = ["ARRIVY"]
