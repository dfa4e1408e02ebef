"""What a test does to the simulated CallRail behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.simulators.callrail.account import Account
from warehouse_pipelines.simulators.callrail.fields import LISTINGS
from warehouse_pipelines.simulators.callrail.filters import moment
from warehouse_pipelines.simulators.callrail.formulas import call, conversation, form
from warehouse_pipelines.simulators.callrail.record_store import RecordStore
from warehouse_pipelines.simulators.callrail.settings import CallRailSettings
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.webhooks import Event, Message


class CallRailOperations(Simulator):
    settings_type = CallRailSettings
    settings: CallRailSettings

    def __init__(self, population: Population, settings: CallRailSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.account = Account(population, settings.contacts, self.now_ms())
        self.stores = {
            "calls": self.account.calls,
            "form_submissions": self.account.forms,
            "text-messages": self.account.conversations,
        }
        account = self.account
        self.formulas: dict[str, Callable[[int], dict[str, Any]]] = {
            "calls": lambda number: call(account, number, self.settings.tags_as),
            "form_submissions": lambda number: form(account, number),
            "text-messages": lambda number: conversation(account, number),
        }
        self.fixed: dict[str, list[dict[str, Any]]] = {
            "companies": account.companies,
            "trackers": account.trackers,
            "users": account.users,
            "tags": account.tags,
        }

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def _company_place(self, company: int | str) -> int:
        for place, row in enumerate(self.account.companies):
            if company in (place, row["id"]):
                return place
        raise ValueError(f"no company {company!r}")

    def _number(self, name: str, object_id: str) -> int:
        number = self.stores[name].find(object_id)
        if number is None:
            raise ValueError(f"nothing with the id {object_id} in {name}")
        return number

    def _at(self, at: str | int | None) -> int:
        if at is None:
            return self.now_ms()
        if isinstance(at, int):
            return at
        found = moment(at, self.account.zone, end=False)
        if found is None:
            raise ValueError(f"not a time: {at!r}")
        return found

    def _add(self, name: str, at: str | int | None, company: int | str, fields: dict[str, Any]) -> str:
        store: RecordStore = self.stores[name]
        number = store.add(self._at(at))
        store.changes[number] = {**fields, "company": self._company_place(company)}
        self._note(name, number)
        return store.id_of(number)

    def _note(self, name: str, number: int, **more: Any) -> None:
        """Note what the vendor delivers of a record: its fields, numbers as texts, and the id under another name."""
        record = self.formulas[name](number)
        texts = {field: str(value) if isinstance(value, int | float) else value for field, value in record.items()}
        self.outbox.note({**texts, "resource_id": record["id"], "timestamp": _utc_text(self.now_ms()), **more})

    def signed(self, events: Sequence[Event], url: str) -> Message:
        body = msgspec.json.encode(events[0])
        digest = hmac.new(self.settings.signing_key.encode(), body, hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        return Message(body, {"Content-Type": "application/json", "Signature": signature})

    @operation
    def add_call(self, start_time: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        """A new call; with a start_time in the past, one that is listed late. `company` is an id or a place."""
        return self._add("calls", start_time, company, fields)

    @operation
    def edit_call(self, id: str, **fields: Any) -> None:
        """Change fields of a call; nothing tells when. `start_time` moves it."""
        number = self._number("calls", id)
        start_time = fields.pop("start_time", None)
        if start_time is not None:
            self.account.calls.move(number, self._at(start_time))
        self.account.calls.changes.setdefault(number, {}).update(fields)
        self._note("calls", number, changes=[*fields])

    @operation
    def tag_late(self, id: str, tag: str) -> None:
        """Somebody tags a call; an unknown name becomes a tag of the company."""
        number = self._number("calls", id)
        shown = call(self.account, number, "strings")
        self.account.tag_named(tag, shown["company_id"])
        self.account.calls.changes.setdefault(number, {})["tag_names"] = [*shown["tags"], tag]
        self._note("calls", number, changes=["tags"])

    @operation
    def set_tags(self, id: str, tags: list[str]) -> None:
        """Give a call these tags and no others."""
        number = self._number("calls", id)
        shown = call(self.account, number, "strings")
        for tag in tags:
            self.account.tag_named(tag, shown["company_id"])
        self.account.calls.changes.setdefault(number, {})["tag_names"] = list(tags)
        self._note("calls", number, changes=["tags"])

    @operation
    def spam_call(self, id: str) -> None:
        """Not in the list any more, 404 by itself."""
        self.account.calls.remove(self._number("calls", id))

    @operation
    def disable_company(self, id: int | str) -> None:
        row = self.account.companies[self._company_place(id)]
        row.update(status="disabled", disabled_at=_utc_text(self.now_ms()))

    @operation
    def edit_company(self, id: int | str, **fields: Any) -> None:
        self.account.companies[self._company_place(id)].update(fields)

    @operation
    def disable_tracker(self, id: str) -> None:
        row = _row(self.account.trackers, id)
        row.update(status="disabled", disabled_at=_utc_text(self.now_ms()))

    @operation
    def remove_user(self, id: str) -> None:
        self.account.users.remove(_row(self.account.users, id))

    @operation
    def disable_tag(self, id: int) -> None:
        _row(self.account.tags, id).update(status="disabled", disabled=True)

    @operation
    def add_form(self, submitted_at: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        return self._add("form_submissions", submitted_at, company, fields)

    @operation
    def edit_form(self, id: str, **fields: Any) -> None:
        number = self._number("form_submissions", id)
        self.account.forms.changes.setdefault(number, {}).update(fields)

    @operation
    def add_conversation(self, at: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        return self._add("text-messages", at, company, fields)

    @operation
    def message(
        self, id: str, content: str = "Are you coming today?", direction: str = "incoming", at: str | int | None = None
    ) -> None:
        """A new message; the conversation moves to its time."""
        number = self._number("text-messages", id)
        moment = self._at(at)
        self.account.more_messages.setdefault(number, []).append(
            {"direction": direction, "content": content, "at": moment}
        )
        self.account.conversations.move(number, moment)
        self._note("text-messages", number, content=content)

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: what a client that asks for everything should hold."""
        counted = {LISTINGS[name].key: len(store) for name, store in self.stores.items()}
        fixed = {name: len(rows) for name, rows in self.fixed.items()}
        return {"accounts": self.settings.accounts, **fixed, **counted}

    @operation
    def ids(self, name: str) -> list[str]:
        """The ids of a list, by its path name or key; the oldest first where there are dates."""
        name = "text-messages" if name in ("conversations", "text_messages") else name
        if name == "accounts":
            return [str(self.account.describe(number)["id"]) for number in range(self.settings.accounts)]
        if name in self.fixed:
            return [str(row["id"]) for row in self.fixed[name]]
        window = self.stores[name].timeline.window(None, None)
        return [self.stores[name].id_of(number) for number in window.page(0, len(window), by_time=True)]

    @operation
    def record(self, name: str, id: str) -> dict[str, Any]:
        """A record with every field."""
        if name in self.fixed:
            return _row(self.fixed[name], id)
        name = "text-messages" if name in ("conversations", "text_messages") else name
        return self.formulas[name](self._number(name, id))


def _row(rows: list[dict[str, Any]], object_id: Any) -> dict[str, Any]:
    for row in rows:
        if str(row["id"]) == str(object_id):
            return row
    raise ValueError(f"nothing with the id {object_id}")


def _utc_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo("UTC")).isoformat(timespec="milliseconds").replace("+00:00", "Z")
