"""Imported by the server of forks when it starts (``warm_runs``); nothing else imports it."""

from warehouse_pipelines.orchestration import warm_runs

warm_runs.import_all()
