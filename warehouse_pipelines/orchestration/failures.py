"""What becomes of an error in a step of Dagster's: another attempt, or a failure that says what to do.

Errors are translated once, here: ``TryAgain`` asks for another attempt, up to ``RETRIES``; everything else becomes a
``dg.Failure``, which also tags its run, because ``allow_retries=False`` does not stop the daemon from retrying the run.
dlt wraps what a resource raises, so the cause is searched in the whole chain. An interrupt (a cancel from the UI) is a
``BaseException`` and passes as it is; ``loading.sync`` closes its row.
"""

import contextlib
import os
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, TryAgain, WarehouseError, masked
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

E = TypeVar("E", bound=BaseException)

Step = dg.OutputContext | dg.AssetExecutionContext | dg.OpExecutionContext
"""What Dagster gives the code of a step."""

RETRIES = 2
"""Attempts of a step after the first. They are asked for one by one: a retry policy of Dagster's would also repeat a
step that somebody cancelled."""

NO_RUN_RETRIES = {"dagster/max_retries": "0"}
"""Tag of a run that the daemon starts no second time."""


@contextlib.contextmanager
def failures(context: Step, history: Callable[[], Mapping[str, Any]] = dict) -> Iterator[None]:
    """Turn what goes wrong into another attempt, if that may help and there were not too many, or a ``dg.Failure``.

    ``history`` returns metadata for the failure; when it fails itself, there is none.

    Raises ``dg.RetryRequested`` or ``dg.Failure``.
    """
    _await_turn(context)
    try:
        yield
    except Exception as error:
        if asked := find_in_chain(error, dg.RetryRequested):
            raise asked from None
        facts: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            facts |= history()
        if own := find_in_chain(error, dg.Failure):
            again, description = own.allow_retries, own.description or "failed"
            facts |= own.metadata
        elif known := find_in_chain(error, WarehouseError):
            again, description = isinstance(known, TryAgain), str(known)
            facts["error"] = type(known).__name__
        else:
            root = list(_chain(error))[-1]
            again, description = False, f"{type(root).__name__}: {masked(str(root))}"
            facts["error"] = type(root).__name__
            text = "".join(traceback.format_exception(error))
            facts["traceback"] = dg.MarkdownMetadataValue(f"```\n{masked(text, 20_000)}\n```")
        if not again:
            with contextlib.suppress(Exception):  # the failure itself matters more
                _tag_run(context, NO_RUN_RETRIES)
        # Dagster stores the text of every cause, and that of a stranger's exception may quote a record.
        failure = dg.Failure(description=description, metadata=facts, allow_retries=False)
        if again and (attempts := _attempts(context)) < RETRIES:
            seconds = _retry_seconds(attempts)
            logs.sync.warning(
                "Attempt %d of %d failed, the next one in %.0f s: %s", attempts + 1, RETRIES + 1, seconds, description
            )
            _turns[_step(context)] = time.monotonic() + seconds
            raise dg.RetryRequested(max_retries=RETRIES) from failure
        raise failure from None


@contextlib.contextmanager
def session_of_step(url: str) -> "Iterator[Session]":
    """Lend a session of the warehouse to a step that is no sync. Raises ``dg.Failure`` when the warehouse is away."""
    with contextlib.ExitStack() as borrowed:
        try:
            session = borrowed.enter_context(warehouse.session(url))
        except DatabaseUnavailable as error:
            raise dg.Failure(str(error)) from error
        yield session


def find_in_chain(error: BaseException, kind: type[E]) -> E | None:
    """Return the first error of this ``kind`` in the chain of causes."""
    return next((found for found in _chain(error) if isinstance(found, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, outermost first, dlt's own attribute for them included."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        found = todo.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            todo += [found.__cause__, getattr(found, "exception", None), found.__context__]


_turns: dict[tuple[str, str], float] = {}
"""When the next attempt of a step may begin, by its run and its name."""


def _step(context: Step) -> tuple[str, str]:
    inner = context if isinstance(context, dg.OutputContext) else context.get_step_execution_context()
    return inner.run_id, inner.step_key if isinstance(inner, dg.OutputContext) else inner.step.key


def _await_turn(context: Step) -> None:
    """Wait until this attempt may begin.

    Here and not in Dagster, which would sleep through a request to stop. The other steps of the run that are ready go
    first either way.
    """
    if not isinstance(context, dg.OutputContext) and context.retry_number:
        time.sleep(max(0.0, _turns.pop(_step(context), 0.0) - time.monotonic()))


def _attempts(context: Step) -> int:
    """Return how many attempts of this step were made before."""
    if isinstance(context, dg.OutputContext):
        return context.step_context.previous_attempt_count if context._step_context else RETRIES
    return int(context.retry_number)


def _retry_seconds(attempts: int) -> float:
    """Return half a minute, then a minute, jittered; the shared client has already tried seven times.

    ``WAREHOUSE_RETRY_SECONDS`` scales it as it scales the client's backoff, so that tests need not wait.
    """
    first = 30 * float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "1"))
    return float(first * 2**attempts * random.uniform(0.5, 1.5))  # noqa: S311


def _tag_run(context: Step, tags: dict[str, str]) -> None:
    inner = context.step_context if isinstance(context, dg.OutputContext) else context.get_step_execution_context()
    inner.instance.add_run_tags(inner.run_id, tags)
