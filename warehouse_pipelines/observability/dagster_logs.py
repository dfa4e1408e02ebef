"""Logs of the processes that Dagster starts: what the settings ask for beside Dagster's own log of a run.

No command configures the logs of a scheduled run, so the definitions do, which every process of Dagster loads.
"""

import logging

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.observability import log_files, logs
from warehouse_pipelines.settings import settings


def configure() -> None:
    """Print JSON lines and write files, where the settings ask for that.

    Nothing else is touched: without these settings Dagster shows the lines itself. A program that has configured its
    logs keeps them. Settings that cannot be used are left to whoever needs them.
    """
    if any(isinstance(one.formatter, logs.JsonLines | logs.Text) for one in logging.getLogger().handlers):
        return
    try:
        found = settings()
    except NotConfigured:
        return
    made = [logs.handler("json")] if found.warehouse_log_format == "json" else []
    made += log_files.handlers(found, logging.INFO, logs.stream_of, logs.JsonLines())
    if made:
        logs.replace_handlers(made)
        logs.general.setLevel(logging.INFO)
