"""Kill whoever applies a plan: in this process at a point that is counted, or a process of its own by SIGKILL."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import httpx

from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.simulators.server import child_environment


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and the database rolls back what was not committed."""


def dying(call: Any, *, first: bool) -> Any:
    """Return a call that is killed first, or right after it."""

    def dies(*args: Any, **how: Any) -> Any:
        if not first:
            call(*args, **how)
        raise Killed

    return dies


@contextmanager
def killed_at(point: int) -> Iterator[Callable[[], int]]:
    """Raise ``Killed`` before or after the nth request or note; yield what counts the points that were passed."""
    passed = itertools.count()
    reached = 0

    def here() -> None:
        nonlocal reached
        reached = next(passed)
        if reached == point:
            raise Killed

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def killed(*args: Any, **kwargs: Any) -> Any:
            here()
            result = function(*args, **kwargs)
            here()
            return result

        return killed

    with ExitStack() as patched:
        patched.enter_context(patch.object(httpx.Client, "send", around(httpx.Client.send)))
        for name in ("begin", "settle", "mark", "set_status"):
            patched.enter_context(patch.object(ledger, name, around(getattr(ledger, name))))
        yield lambda: reached


CHILD = """
import os, signal, sys
import httpx
from warehouse_pipelines import warehouse
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines_tests.harness.portal_target import PortalTarget, ZIPS

url, plan, after, HubSpotPartner.most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
send, seen = httpx.Client.send, 0

def counted(self, request, **how):
    global seen
    answer = send(self, request, **how)
    seen += request.url.path.endswith(("batch/create", "batch/update", "batch/archive"))
    if seen == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

httpx.Client.send = counted
portal = PortalTarget.__new__(PortalTarget)
portal.url, portal.target, portal.rows = url, ZIPS, []
with warehouse.session(url) as session:
    found = ledger.plan(session, plan)
portal.apply(found)
"""


def apply_and_kill(url: str, plan: Plan, *, after: int, most: int) -> "subprocess.CompletedProcess[str]":
    """Apply a plan in a process that is killed after so many batches of ``most`` records."""
    return subprocess.run(
        [sys.executable, "-c", CHILD, url, str(plan.plan_id), str(after), str(most)],
        env={**child_environment(), **os.environ}, check=False, capture_output=True, text=True,
    )  # fmt: skip
