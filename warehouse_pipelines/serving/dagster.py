"""Ask Dagster's webserver to run a job, over its GraphQL: ``serve`` syncs nothing itself and imports no Dagster.

A run is put into Dagster's queue like any other: its limits hold, it is in the UI, and whatever becomes of ``serve`` it
goes on.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from warehouse_pipelines.errors import ActionNeeded, TryAgain, masked

SECONDS = 15.0

LAUNCH_BY = "warehouse/launch_by"
"""Tag of a run that does nothing if Dagster creates it later than this time (``is_late``, ``run_lock.executor``)."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors of a request of which Dagster got nothing."""

JOBS = """
query Jobs { repositoriesOrError { __typename ... on RepositoryConnection {
    nodes { name location { name } jobs { name } } } } }
"""
LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) {
    __typename ... on Run { runId status jobName startTime endTime } } }
"""
TAGGED = """
query Tagged($tags: [ExecutionTag!]!) { runsOrError(filter: {tags: $tags}) {
    __typename ... on Runs { results { runId parentRunId creationTime tags { key value } } }
    ... on Error { message } } }
"""
TERMINATE = """
mutation Terminate($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {
    __typename ... on TerminateRunFailure { message } } }
"""


class DagsterAway(TryAgain):
    """Dagster's webserver does not answer."""


class LaunchUnknown(DagsterAway):
    """Dagster was asked for a run and did not say whether it made it."""


class DagsterRefused(ActionNeeded):
    """Dagster does not run this."""


def is_late(tags: Mapping[str, str], created_at: datetime, parent_run_id: str | None) -> bool:
    """Return whether a run was created later than it was asked for, and so does nothing.

    One that is tried again has the tags of the first, and is not late.
    """
    return LAUNCH_BY in tags and parent_run_id is None and created_at > datetime.fromisoformat(tags[LAUNCH_BY])


class Dagster:
    """Dagster's webserver at ``url``."""

    def __init__(self, url: str) -> None:
        self._address = f"{url.rstrip('/')}/graphql"
        self._client = httpx.AsyncClient(timeout=SECONDS)

    async def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Ask for a run of a job and return its id.

        Raises ``LaunchUnknown`` where it may have been made, other ``DagsterAway`` and ``DagsterRefused`` where not.
        """
        found = (await self._ask(JOBS, {}))["repositoriesOrError"]
        places = [
            (node["location"]["name"], node["name"])
            for node in found.get("nodes", ())
            if any(one["name"] == job for one in node["jobs"])
        ]
        if not places:
            raise DagsterRefused(f"Dagster has no job {job}.")
        location, repository = places[0]
        try:
            answer = await self._ask(LAUNCH, {"params": {
                "selector": {
                    "repositoryLocationName": location, "repositoryName": repository, "jobName": job,
                },
                "runConfigData": dict(config),
                "executionMetadata": {"tags": _pairs(tags)},
            }})  # fmt: skip
        except DagsterAway as error:
            if isinstance(error.__cause__, NOT_SENT):
                raise
            raise LaunchUnknown(str(error)) from error
        launched = answer["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise DagsterRefused(f"Dagster does not run {job}: {masked(launched.get('message', ''))}")
        run_id: str = launched["run"]["runId"]
        return run_id

    async def run(self, run_id: str) -> dict[str, Any] | None:
        """Return what Dagster says of a run; None when it knows none such. Raises ``DagsterAway``."""
        found: dict[str, Any] = (await self._ask(RUN, {"id": run_id}))["runOrError"]
        return found if found["__typename"] == "Run" else None

    async def tagged(self, tags: Mapping[str, str]) -> str | None:
        """Return the id of the newest run with these tags that is not late, or None.

        Raises ``DagsterAway`` and ``DagsterRefused``.
        """
        found = (await self._ask(TAGGED, {"tags": _pairs(tags)}))["runsOrError"]
        if found["__typename"] != "Runs":
            raise DagsterRefused(f"Dagster does not list its runs: {masked(found.get('message', ''))}")
        return next((run["runId"] for run in found["results"] if not _is_late(run)), None)

    async def cancel(self, run_id: str) -> bool:
        """Ask for the end of a run; return whether there was one to end. Raises ``DagsterAway``."""
        answer: dict[str, Any] = (await self._ask(TERMINATE, {"id": run_id}))["terminateRun"]
        return bool(answer["__typename"] == "TerminateRunSuccess")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._client.post(self._address, json={"query": document, "variables": dict(variables)})
            content = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterAway(f"Dagster's webserver does not answer: {type(error).__name__}") from error
        if content.get("errors"):
            raise DagsterRefused(f"Dagster refused: {masked(str(content['errors'][0].get('message', '')))}")
        found: dict[str, Any] = content["data"]
        return found


def _is_late(run: Mapping[str, Any]) -> bool:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    return is_late(tags, datetime.fromtimestamp(run["creationTime"], UTC), run["parentRunId"])


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
