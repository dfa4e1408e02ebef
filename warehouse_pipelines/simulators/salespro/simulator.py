"""The simulated SalesPro: an Athena that runs the query, and the S3 that its result lies in, on one port.

Written from the vendor notes. Athena is POST / with `X-Amz-Target: AmazonAthena.<Operation>` (JSON 1.1); a request to
it is counted, logged and corrupted under the path `/<Operation>`. S3 is GET and HEAD, path-style, with ranges. The
query is run when it is started; what a client sees of its states are `states`, one at each poll, then the end.

A request is taken by its access key; whether its signature is right is not looked at. What the notes could not confirm
is a setting or an operation: whether the time columns are times or texts (`retype`), which columns there are, whether a
customer has a row for each estimate.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import Any

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.salespro.athena import error_answer
from warehouse_pipelines.simulators.salespro.operations import SalesProOperations
from warehouse_pipelines.simulators.salespro.results import csv, parsed
from warehouse_pipelines.simulators.salespro.s3 import s3_answer, s3_error
from warehouse_pipelines.simulators.salespro.settings import SalesProSettings

TARGET = "AmazonAthena."
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")


class SalesPro(SalesProOperations):
    def __init__(self, population: Population, settings: SalesProSettings) -> None:
        super().__init__(population, settings)
        self._asked = threading.local()

    def environment(self) -> dict[str, str]:
        settings = self.settings
        return {
            "SALESPRO_ATHENA_DATABASE": settings.database,
            "SALESPRO_ATHENA_OUTPUT": "" if settings.managed_results else f"s3://{settings.bucket}/warehouse/",
            "SALESPRO_ATHENA_WORKGROUP": settings.workgroup,
            "AWS_ACCESS_KEY_ID": settings.access_key,
            "AWS_SECRET_ACCESS_KEY": settings.token,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": self.url,
        }

    def respond(self, request: Request) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if target:
            request.path = f"/{target.removeprefix(TARGET)}"
        self._asked.athena = bool(target)
        return super().respond(request)

    def route_of(self, request: Request) -> str:
        return request.path if self._asked.athena else "/{bucket}/{key}"

    def rate_limited(self, policy: str) -> Answer:
        if not self._asked.athena:
            return s3_error(503, "SlowDown", "Please reduce your request rate.")
        if policy == "TooManyRequestsException":
            return error_answer(policy, "Query limit exceeded", Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED")
        return error_answer("ThrottlingException", "Rate exceeded")

    def refused(self) -> Answer:
        """A credential that has run out."""
        if not self._asked.athena:
            return s3_error(400, "ExpiredToken", "The provided token has expired.")
        return error_answer("ExpiredTokenException", "The security token included in the request is expired")

    def answer(self, request: Request) -> Answer:
        match = CREDENTIAL.search(request.headers.get("authorization", ""))
        if match is None or match[1] != self.settings.access_key:
            if self._asked.athena:
                return error_answer(
                    "UnrecognizedClientException", "The security token included in the request is invalid."
                )
            return s3_error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        answer = (
            self.athena.answer(request)
            if self._asked.athena
            else s3_answer(request, self.settings.bucket, self.athena.objects)
        )
        answer.route = self.route_of(request)
        return answer

    def corrupted(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        header, *rows = parsed(answer.body)
        match fault.kind:
            case "missing_list":
                return replace(answer, body=b"")
            case "malformed" if rows:
                for place in range(min(fault["records"], len(rows))):
                    _corrupt_row(fault, header, rows[place])
            case "repeat_page":
                rows += rows
        return replace(answer, body=csv([str(name) for name in header], rows))


def _corrupt_row(fault: Fault, header: list[Any], row: list[Any]) -> None:
    """A cell of a row; the column is the fault's `property`, else the first one."""
    what = fault["what"]
    if what == "non_object":
        del row[len(row) // 2 :]
        return
    place = header.index(fault["property"]) if fault["property"] else 0
    values = {"bad_date": "not a date", "out_of_range": "9" * 400, "bad_number": "twelve", "nul": "before\0after"}
    row[place] = values.get(what)


SIMULATOR = SalesPro
