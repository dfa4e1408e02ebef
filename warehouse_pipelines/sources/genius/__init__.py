"""Genius: leads, prospects, appointments, jobs and change orders, out of the vendor's own database."""

from warehouse_pipelines.sources.genius.entities import GENIUS

__all__ = ["GENIUS"]
