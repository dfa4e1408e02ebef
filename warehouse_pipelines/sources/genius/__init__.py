"""Genius: leads, prospects, appointments, jobs and change orders, out of the vendor's own database."""

from warehouse_pipelines.sources.genius.source import GENIUS

__all__ = ["GENIUS"]
