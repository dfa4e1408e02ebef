"""``feed_scores``: all scores by one statement, and the history; and that a delta ends as a run of everything does."""

import random
from typing import Any

import pytest

from warehouse_pipelines.unified import feed
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

CONSENT = '[{"channel": "sms", "at": "2026-01-01", "source": "form", "text_version": "1"}]'
REVOKED = CONSENT.replace('"1"', '"1", "revoked_at": "2026-02-01"')


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_the_statement_equals_the_function_of_each_lead(fed: FeedDatabase) -> None:
    fed.session.execute(
        "INSERT INTO crm.leads (organization_id, last_name, email, phone, status, source, consent, status_changed_at)"
        " SELECT %s, CASE WHEN n %% 2 = 0 THEN 'X' END, CASE WHEN n %% 3 = 0 THEN 'a@example.com' END,"
        " CASE WHEN n %% 5 < 3 THEN '+1216555' || 1000 + n END,"
        " ('{new,contacted,qualified,appointment_set,proposal,nurturing,won,lost,disqualified}'::text[])[1 + n %% 9],"
        " ('{google,referral,radio}'::text[])[1 + n %% 4], (ARRAY['[]', %s, %s])[1 + n %% 3]::jsonb,"
        " now() - n * interval '2 days' FROM generate_series(0, 99) AS n", [ORGANIZATION, CONSENT, REVOKED],
    )  # fmt: skip
    for weights in (None, '{"reachable": 41.5, "source": 22, "consent": 9}'):
        if weights:
            fed.session.execute(
                "INSERT INTO crm.system_config (organization_id, key, value) VALUES (%s, 'scoring.weights', %s),"
                " (%s, 'scoring.sources', '{\"referral\": 0.7, \"radio\": 3}')", [ORGANIZATION, weights, ORGANIZATION],
            )  # fmt: skip
        assert feed.score(fed.session) > 50
        scored = {lead["id"]: (lead["lead_score"], lead["lead_score_factors"]) for lead in fed.leads()}
        assert len({score for score, _ in scored.values()}) > 10
        with fed.session.transaction(force_rollback=True):
            fed.session.execute("UPDATE crm.leads SET lead_score = 0, lead_score_factors = '{}'")
            fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
            fed.session.execute("SELECT crm.calculate_lead_score(id) FROM crm.leads")
            assert {l["id"]: (l["lead_score"], l["lead_score_factors"]) for l in fed.leads()} == scored  # noqa: E741
    assert fed.all("SELECT FROM crm.leads AS l WHERE NOT EXISTS (SELECT FROM crm.lead_score_history AS h"
                   " WHERE h.lead_id = l.id)") == []  # fmt: skip
    before = fed.one("SELECT count(*) AS n FROM crm.lead_score_history")
    assert feed.score(fed.session) == 0
    assert fed.one("SELECT count(*) AS n FROM crm.lead_score_history") == before


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_delta_ends_as_a_run_of_everything_does(fed: FeedDatabase) -> None:
    """Random changes, fed as they come, and the same sources fed from nothing."""
    dice = random.Random(11)  # noqa: S311
    people = []
    for number in range(12):
        names = [
            fed.source("hubspot_contact", id=str(number)),
            fed.source("genius_lead", lead_id=number),
            fed.source("five9_contact", id=f"f{number}"),
            fed.source("marketsharp_contact", id=f"m{number}"),
        ]
        people.append(fed.person(*names, phones=(f"+1216555{number // 2:04}",), first_name=f"First{number}"))
    fed.source("marketsharp_inquiry_status", id=1, name="Sold")
    fed.source("marketsharp_inquiry_status", id=2, name="Dead & Gone")
    for step in range(40):
        number, at = dice.randrange(12), f"2026-{1 + step // 20:02}-{1 + step % 20:02}T00:00:00Z"
        changes: list[tuple[str, dict[str, Any]]] = [
            ("hubspot_contact", {"id": str(number), "lifecyclestage": dice.choice(["lead", "customer", "opportunity"]),
                                 "lastmodifieddate": at}),
            ("genius_lead", {"lead_id": number, "is_dnc": dice.random() < 0.3, "modified": at}),
            ("five9_contact", {"id": f"f{number}", "status": dice.choice(["New", "Dead", "Working"]),
                               "last_modified_date": at, "division": dice.choice(["Dayton", None])}),
            ("marketsharp_inquiry", {"id": f"i{number}", "contact_id": f"m{number}", "last_update": at,
                                     "inquiry_status_id": dice.choice([1, 2, None])}),
        ]  # fmt: skip
        table, values = dice.choice(changes)
        fed.source(table, **values)
        if step % 8 == 7:
            assert not fed.feed().full or step == 7
    fed.feed()

    def state() -> list[Any]:
        return fed.all(
            "SELECT golden_id, status, value_usd, division, tags, consent, source_metadata - 'shared_phones' AS m,"
            " lead_score FROM crm.leads ORDER BY golden_id"
        )

    found = state()
    assert len(found) == 12
    assert fed.feed(full=True).counts["updated"] == 0
    assert state() == found
    log = fed.one("SELECT count(*) AS n FROM crm.dnc_list")
    # From nothing: what was withdrawn meanwhile is not known any more, so the list is compared as it grew.
    fed.session.execute("DELETE FROM crm.leads")
    fed.session.execute("DELETE FROM crm.lead_feed")
    fed.feed(full=True)
    assert [row["status"] for row in state()] == [row["status"] for row in found]
    assert [row["consent"] for row in state()] == [row["consent"] for row in found]
    assert fed.one("SELECT count(*) AS n FROM crm.dnc_list WHERE phone IS NOT NULL")["n"] <= log["n"]
