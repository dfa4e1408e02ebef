"""Dagster's storage in PostgreSQL, at the URL that the settings say when it is opened.

The ``dagster.yaml`` of ``DAGSTER_HOME`` names this class, so no URL and no password stand in it, every program of
Dagster's finds the storage without a setting of its own, and the embedded server is started by whoever comes first.
"""

import functools
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local import dagster_home


class Storage(DagsterPostgresStorage):
    """``dagster-postgres``, configured by ``dagster_home.storage_url``."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the schema: there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> "Storage":
        """Open the storage. Raises ``NotConfigured`` when the settings ask for SQLite since the file was written."""
        url = dagster_home.storage_url()
        if url is None:
            raise NotConfigured(
                "DAGSTER_STORAGE_URL is sqlite, and the dagster.yaml in DAGSTER_HOME was written before that; "
                "`python -m warehouse_pipelines.local.dagster_home` writes it anew."
            )
        # With its driver: SQLAlchemy 2.1 takes a bare postgresql:// for another one than dagster-postgres needs.
        return cls(url.replace("postgresql://", "postgresql+psycopg2://", 1), inst_data=inst_data)


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Let the storage of a process that writes many events keep its connections.

    Dagster opens one for each statement otherwise, as it cannot know how many instances a process has; what its own
    webserver does about that is what is done here, without its limit on the time of a statement. Nothing on SQLite.

    Whether a table is there is asked once: Dagster asks for each materialization, and opens a connection for it.
    """
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=600, max_overflow=20)
    storage: Any = instance.event_log_storage
    storage.has_table = functools.cache(storage.has_table)
