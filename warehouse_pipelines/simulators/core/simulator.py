"""What every simulated vendor has: a listener, counters, faults, and operations from behind the scenes.

An operation is a method marked `@operation`. It can be called in this process, or as POST /__control__/<name> with its
arguments as a JSON object, from loopback only. GET /__control__/requests tells what a client has asked so far.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

import msgspec

from warehouse_pipelines.simulators.core.faults import BEFORE, PAYLOAD, Fault, Faults, answer_before
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.webhooks import Event, Message, Outbox, send
from warehouse_pipelines.simulators.core.wire import Answer, BadRequestError, Listener, Request, answer_json

F = TypeVar("F", bound=Callable[..., Any])
CONTROL = "/__control__/"


def operation(method: F) -> F:
    """One operation at a time, and none while a request is being answered."""

    @wraps(method)
    def locked(self: Simulator, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    locked.__dict__["is_operation"] = True
    return cast(F, locked)


class Counters:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._total = 0
            self._peak = self._in_flight
            self._routes: Counter[str] = Counter()
            self._page_sizes: Counter[str] = Counter()
            self._statuses: Counter[str] = Counter()
            self._log: deque[tuple[float, Request, int]] = deque(maxlen=1000)

    def begin(self) -> None:
        with self._lock:
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)

    def end(self, request: Request, answer: Answer) -> None:
        with self._lock:
            self._in_flight -= 1
            self._total += 1
            self._routes[f"{request.method} {answer.route or request.path}"] += 1
            self._statuses[str(answer.status)] += 1
            if answer.page_size is not None:
                self._page_sizes[str(answer.page_size)] += 1
            self._log.append((time.time(), request, answer.status))

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {
                "total": self._total,
                "routes": dict(self._routes),
                "page_sizes": dict(self._page_sizes),
                "statuses": dict(self._statuses),
                "peak_concurrency": self._peak,
                "log": [_logged(*entry) for entry in self._log],
            }


def _logged(at: float, request: Request, status: int) -> dict[str, Any]:
    try:
        body = request.json() if request.body else None
    except BadRequestError:
        body = request.body.decode("utf-8", "replace")
    entry = {"at": at, "method": request.method, "path": request.path, "query": request.query}
    conditions = {name: value for name, value in request.headers.items() if name.startswith("if-")}
    return {**entry, "conditions": conditions, "body": body, "status": status}


class Simulator:
    """One vendor on one port. A subclass answers requests, words its refusals, and knows where its cursors stand.

    `settings_type` is a dataclass with `contacts`, `now`, and what else can be set.
    """

    settings_type: ClassVar[type]

    def __init__(self, population: Population, settings: Any) -> None:
        self.population = population
        self.settings = settings
        self.faults = Faults()
        self.counters = Counters()
        self.lock = threading.RLock()
        self.listener: Listener | None = None
        self._serial = itertools.count(1)
        self.outbox = Outbox()

    @classmethod
    def lacking(cls) -> str | None:
        """What this machine lacks to run it; most need nothing."""
        return None

    def environment(self) -> dict[str, str]:
        """The settings with which a client comes here. Its own budgets are lifted: there is no account to protect."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def rate_limited(self, policy: str) -> Answer:
        raise NotImplementedError

    def refused(self) -> Answer:
        raise NotImplementedError

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        """Apply a fault of the payload to a decoded answer, in place. A bare list comes as the member ``""`` of it."""
        raise NotImplementedError

    def lose_inputs(self, fault: Fault, request: Request) -> None:
        """Take inputs out of a batch; a vendor without batches has none."""
        raise ValueError(f"{type(self).__name__} takes no batches")

    def listen(self, host: str, port: int) -> None:
        self.listener = Listener(host, port, self.respond)

    @property
    def url(self) -> str:
        if self.listener is None:
            raise RuntimeError("the simulator does not listen yet")
        return self.listener.url

    def close(self) -> None:
        self.outbox.close()
        if self.listener is not None:
            self.listener.close()

    most_together: ClassVar[int] = 1
    """Events of one delivery."""

    def signed(self, events: Sequence[Event], url: str) -> Message:
        """A delivery of these events; a vendor without webhooks has none."""
        raise ValueError(f"{type(self).__name__} delivers nothing")

    def respond(self, request: Request) -> Answer:
        if request.path.startswith(CONTROL):
            return self._control(request)
        self.counters.begin()
        answer = Answer(500)
        try:
            answer = self._answer_with_faults(request)
        except BadRequestError as error:
            answer = answer_json(400, {"status": "error", "message": f"Invalid input JSON: {error}"})
        except Exception as error:
            # A bug of the simulator must look like one, and not like a vendor that hangs up.
            answer = answer_json(500, {"status": "error", "message": f"simulator: {error!r}"})
        finally:
            self.counters.end(request, answer)
        return answer

    def _answer_with_faults(self, request: Request) -> Answer:
        firing = self.faults.firing(request)
        for fault in firing:
            if fault.kind == "slow":
                fault.delay()
        for fault in firing:
            if fault.kind in BEFORE:
                policy = fault.parameters.get("policy", "")
                answer = answer_before(fault, self.rate_limited(policy), self.refused())
                answer.route = answer.route or self.route_of(request)
                return answer
        for fault in firing:
            if fault.kind == "lost_inputs":
                self.lose_inputs(fault, request)
        with self.lock:
            answer = self.answer(request)
        for fault in firing:
            if fault.kind == "lost_answer":
                return replace(answer_before(fault, answer, answer), route=answer.route)
            if fault.kind in PAYLOAD and answer.list_key is not None and answer.status in (200, 207):
                answer = self.corrupted(fault, request, answer)
            elif fault.kind == "reset":
                answer.breakage = "reset"
            elif fault.kind == "truncated":
                answer.breakage = fault["mode"]
        return answer

    def corrupted(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        """The answer with a fault of the payload; a vendor that does not speak JSON has its own way."""
        body = msgspec.json.decode(answer.body)
        bare = not answer.list_key
        corrupted = {"": body} if bare else body
        self.corrupt(fault, request, corrupted, answer.list_key or "")
        return replace(answer, body=msgspec.json.encode(corrupted.get("", {}) if bare else corrupted))

    def route_of(self, request: Request) -> str:
        return request.path

    def _control(self, request: Request) -> Answer:
        if not (request.client.startswith("127.") or request.client in ("::1", "::ffff:127.0.0.1")):
            return answer_json(403, {"error": "the control endpoint answers on loopback only"})
        name = request.path.removeprefix(CONTROL)
        method = getattr(type(self), name, None)
        if not getattr(method, "is_operation", False):
            return answer_json(404, {"error": f"no operation {name!r}", "operations": self.operations()})
        try:
            return answer_json(200, self.control(name, **(request.json() or {})))
        except (TypeError, ValueError, LookupError, BadRequestError) as error:
            return answer_json(400, {"error": f"{type(error).__name__}: {error}"})

    @classmethod
    def operations(cls) -> list[str]:
        return [name for name in dir(cls) if getattr(getattr(cls, name), "is_operation", False)]

    def control(self, name: str, **arguments: Any) -> Any:
        if name not in self.operations():
            raise ValueError(f"no operation {name!r}; there are {', '.join(self.operations())}")
        return getattr(self, name)(**arguments)

    @operation
    def requests(self) -> dict[str, Any]:
        """What was asked so far; the log holds the last thousand."""
        return self.counters.report()

    @operation
    def reset_counters(self) -> None:
        self.counters.reset()

    @operation
    def set_fault(self, kind: str, **parameters: Any) -> None:
        self.faults.set(kind, **parameters)

    @operation
    def clear_faults(self) -> None:
        self.faults.clear()

    @operation
    def list_faults(self) -> list[dict[str, Any]]:
        return self.faults.report()

    def deliver(
        self, url: str, copies: int = 1, lost: float = 0.0, shuffle: bool = False, forged: int = 0, seed: int = 1
    ) -> dict[str, int]:
        """Send the events noted so far; returns how many were lost, and how often each status was answered."""
        return send(
            self.outbox.take(), url, self.signed,
            copies=copies, lost=lost, shuffle=shuffle, together=self.most_together, forged=forged, seed=seed,
        )  # fmt: skip

    deliver.__dict__["is_operation"] = True  # without the lock: who is told asks back at once

    @operation
    def subscribe(self, url: str) -> None:
        """From now on send each event as it happens, and again until it is taken."""
        self.outbox.follow(url, self.signed, self.most_together)

    @operation
    def configure(self, **settings: Any) -> dict[str, Any]:
        """Change settings while it runs; returns them all."""
        known = {field.name for field in fields(self.settings_type)}
        if unknown := set(settings) - known:
            raise ValueError(f"no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        for name, value in settings.items():
            setattr(self.settings, name, value)
        return {name: getattr(self.settings, name) for name in sorted(known)}
