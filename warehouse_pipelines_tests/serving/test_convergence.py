"""Events come shuffled, three times, some never, some forged: the tables end as polls alone would leave them."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from warehouse_pipelines.serving.work import work
from warehouse_pipelines_tests.harness.serving import SECRETS, Serving, serving
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, rows, source_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

OURS = {"sync_created_at", "sync_updated_at", "deleted_at", "xmin"}
"""Columns that say when this warehouse learned of something."""


def seen(harness: SourceHarness, url: str) -> dict[Any, dict[str, Any]]:
    return {
        key: {name: value for name, value in row.items() if name not in OURS}
        for key, row in rows(url, harness.entity).items()
    }


def work_off(harness: SourceHarness, serve: Serving) -> None:
    while worked := work((harness.source,), url=harness.url):
        assert worked.failures == []
        if not worked.taken:
            break
    assert {row["status"] for row in serve.inbox()} == {"done"}


def change_contacts(portal: Any, count: int, seed: int) -> None:
    """Edit, create, archive, restore, merge and erase, in an order that is always the same."""
    chance = random.Random(seed)  # noqa: S311
    alive, archived = portal.ids("contacts"), []
    for number in range(count):
        what = chance.random()
        key = alive[chance.randrange(len(alive))]
        if what < 0.7:
            portal.edit("contacts", key, {"city": f"city {number}"})
        elif what < 0.8:
            alive.append(portal.create("contacts", {"email": f"new{number}@example.test"}))
        elif what < 0.88:
            portal.archive("contacts", key)
            alive.remove(key)
            archived.append(key)
        elif what < 0.92 and archived:
            alive.append(archived.pop())
            portal.restore("contacts", alive[-1])
        elif what < 0.97 and len(alive) > 10:
            other = next(one for one in alive if one != key)
            alive.remove(other)
            portal.merge("contacts", key, other)
        else:
            portal.gdpr_delete(key)
            alive.remove(key)


def change_calls(account: Any, count: int, seed: int) -> None:
    chance, ids = random.Random(seed), account.ids("calls")  # noqa: S311
    for number in range(count):
        if chance.random() < 0.9:
            account.edit_call(ids[chance.randrange(len(ids))], note=f"note {number}")
        else:
            account.add_call()


def change_tasks(company: Any, count: int, seed: int) -> None:
    chance, ids = random.Random(seed), company.ids("tasks")  # noqa: S311
    for number in range(count):
        what, key = chance.random(), ids[chance.randrange(len(ids))]
        if what < 0.7:
            company.edit("tasks", key, {"title": f"title {number}"})
        elif what < 0.8:
            company.reschedule("tasks", key)
        elif what < 0.9:
            ids.append(company.create("tasks"))
        else:
            company.delete("tasks", key)
            ids.remove(key)


@pytest.mark.parametrize(
    ("table", "change", "count"),
    [
        ("hubspot_contact", change_contacts, 500),
        ("callrail_call", change_calls, 60),
        ("arrivy_task", change_tasks, 60),
        pytest.param("hubspot_contact", change_contacts, 2_000, marks=pytest.mark.slow("many records")),
    ],
)
def test_the_tables_end_as_polls_alone_would_leave_them(
    table: str, change: Callable[[Any, int, int], None], count: int, database_url: str, shared_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    contacts = max(200, count // 3)
    with source_harness(table, database_url, monkeypatch, contacts=contacts) as harness:
        by_polls = SourceHarness(harness.source, harness.entity, harness.simulators, shared_url)
        by_polls.execute("TRUNCATE orchestration.sync_history CASCADE")
        by_polls.execute(f"TRUNCATE {table}")
        harness.sync()
        by_polls.sync()
        harness.simulator.outbox.take()
        change(harness.simulator, count, 7)
        settings = getattr(harness.simulator, "portal", harness.simulator).settings
        words = {
            "hubspot_client_secret": getattr(settings, "client_secret", None),
            "callrail_signing_keys": f"another,{getattr(settings, 'signing_key', 'one')}",
            "arrivy_webhook_secret": getattr(settings, "webhook_secret", None),
        }
        with serving(database_url, **{**SECRETS, **words}, warehouse_public_url="") as serve:
            sent = harness.simulator.deliver(
                f"{serve.address}/webhooks/{harness.source.name}", copies=3, lost=0.05, shuffle=True, forged=5, seed=3
            )
            assert sent["401"] == 5
            assert set(sent) == {"events", "lost", "200", "401"}
            assert sent["lost"] > 0
            assert serve.outcomes(harness.source.name)["duplicate"] >= 2 * len(serve.inbox())
            work_off(harness, serve)
        by_webhooks = seen(harness, database_url)
        by_polls.sync(full=True)
        truth = seen(harness, shared_url)
        wrong = [key for key in truth if by_webhooks.get(key) != truth[key]]
        assert len(wrong) <= sent["lost"], "only what no event named is missing"
        healed = harness.sync(full=True)
        assert healed.created + healed.updated + healed.deleted <= 2 * sent["lost"]
        assert seen(harness, database_url) == truth


def test_poll_heals_missed_webhook(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that never came, and a cursor that reads by key have not moved: the next delta finds the records."""
    with source_harness("hubspot_contact", database_url, monkeypatch) as harness:
        harness.sync()
        told, untold, *_ = harness.simulator.ids("contacts")
        harness.simulator.outbox.take()
        harness.simulator.edit("contacts", untold, {"city": "Untold"})
        harness.simulator.outbox.take()
        harness.simulator.edit("contacts", told, {"city": "Told"})
        with serving(database_url, hubspot_client_secret=harness.simulator.settings.client_secret,
                     warehouse_public_url="") as serve:  # fmt: skip
            harness.simulator.deliver(f"{serve.address}/webhooks/hubspot")
            work_off(harness, serve)
        assert (harness.rows()[told,]["city"], harness.rows()[untold,]["city"]) != ("Told", "Untold")
        assert harness.rows()[told,]["city"] == "Told"
        harness.sync()
        assert harness.rows()[untold,]["city"] == "Untold"


def test_a_subscribed_vendor_sends_each_event_until_it_is_taken(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("arrivy_task", database_url, monkeypatch) as harness:
        first, *_ = harness.simulator.ids("tasks")
        secret = harness.simulator.settings.webhook_secret
        with serving(database_url, arrivy_webhook_secret=secret) as serve:
            serve.client.get("/health")
            harness.simulator.subscribe(f"{serve.address}/webhooks/arrivy")
            harness.execute("ALTER TABLE orchestration.webhook_inbox RENAME TO away")
            harness.simulator.edit("tasks", first, {"title": "edited"})
            eventually(lambda: serve.client.get("/health").status_code == 503, "the inbox is away")
            time.sleep(0.2)
            harness.execute("ALTER TABLE orchestration.away RENAME TO webhook_inbox")
            eventually(lambda: bool(serve.inbox()), "the event is taken")
            assert serve.outcomes("arrivy").get("away", 0) >= 1
            assert [row["event_ids"] for row in serve.inbox()] == [["1"]]
