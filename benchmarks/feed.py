"""How long do who is who and the feed of ``crm`` take: everything, everything again, and a hundred changed records?

    python benchmarks/feed.py --leads 50000 --changed 100

Every lead is a contact of HubSpot. Half of them are contacts of Five9 too, two fifths prospects of Genius, a fifth
have a job there, three in ten a deal, a fifth a lead of PipeDesk with a tag; for each there are two calls. So several
sources tell of a lead's status, and one in fifty asked not to be called. They are made as rows of the sources, resolved
and fed; then everything is fed again, then once more after every contact has another status, so that each lead has a
history, and then after ``--changed`` contacts changed. The last line is one JSON object.
"""

import argparse
import json
import time
from typing import Any

import measure

from warehouse_pipelines import warehouse
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.unified import feed
from warehouse_pipelines.unified.identity import resolve

FILL = """
CREATE TEMP TABLE drawn AS
SELECT i, (ARRAY['Ada','Ben','Cleo','Dan','Eve','Fay','Gus','Hal','Ida','Jon'])[1 + i %% 10] AS first,
    initcap(translate(i::text, '0123456789', 'abcdefghij')) || 'son' AS last,
    'lead' || i || '@example.com' AS email, '+1216' || 2000000 + i AS phone,
    now() - (i %% 300) * interval '1 day' AS made
FROM generate_series(1, %(leads)s) AS i;

INSERT INTO hubspot_contact (id, raw_data, firstname, lastname, email, phone_e164, address, zip, lifecyclestage,
    hs_analytics_source, lead_is_dnc, createdate, lastmodifieddate)
SELECT i::text, '{}', first, last, email, phone, i || ' Elm St', '44101',
    (ARRAY['lead','opportunity','marketingqualifiedlead'])[1 + i %% 3],
    (ARRAY['ORGANIC_SEARCH','PAID_SEARCH','REFERRALS'])[1 + i %% 3], i %% 50 = 0, made, made FROM drawn;
INSERT INTO five9_contact (id, raw_data, first_name, last_name, email, phone_e164, sys_last_disposition,
    sys_last_disposition_time, attempts, created_date, last_modified_date)
SELECT i::text, '{}', first, last, email, phone, (ARRAY['No Answer','Not Interested','Appointment Set'])[1 + i %% 3],
    made + interval '1 day', 2, made, made + interval '1 day' FROM drawn WHERE i %% 2 = 0;
INSERT INTO genius_prospect (prospect_id, raw_data, firstname, lastname, email, phone_e164, add_date, modified)
SELECT i, '{}', first, last, email, phone, made, made FROM drawn WHERE i %% 5 < 2;
INSERT INTO genius_job_status (id, raw_data, label) VALUES (1, '{}', 'Sold'), (2, '{}', 'Cancelled');
INSERT INTO genius_job (id, raw_data, prospect_id, status, contract_amount, add_date, modified)
SELECT i, '{}', i, 1 + i %% 2, 9000 + i %% 100, made, made + interval '9 days' FROM drawn WHERE i %% 5 = 1;
INSERT INTO hubspot_pipeline_stage (id, raw_data, label, is_closed, probability)
VALUES ('s1', '{}', 'Quoted', false, 0.5), ('s2', '{}', 'Won', true, 1);
INSERT INTO hubspot_deal (id, raw_data, dealname, dealstage, amount, createdate, hs_lastmodifieddate)
SELECT i::text, '{}', 'Roof', 's' || 1 + i %% 2, 8000, made, made + interval '5 days' FROM drawn WHERE i %% 10 < 3;
INSERT INTO hubspot_contact_to_deal_association (contact_id, deal_id, association_type_id, raw_data)
SELECT i::text, i::text, 4, '{}' FROM drawn WHERE i %% 10 < 3;
INSERT INTO callrail_call (id, raw_data, customer_phone_number_e164, direction, start_time, created_at, lead_status,
    source)
SELECT i || 'c' || n, '{}', phone, 'inbound', made + n * interval '1 hour', made, 'good_lead', 'Google Ads'
FROM drawn, generate_series(1, 2) AS n;
INSERT INTO pipedesk.lead_statuses (id, raw_data, code, label)
SELECT md5(code)::uuid, '{}', code, code FROM unnest('{new,qualified,closed_won}'::text[]) AS code;
INSERT INTO pipedesk.tags (id, raw_data, name) VALUES (md5('hot')::uuid, '{}', 'Hot');
INSERT INTO pipedesk.contacts (id, raw_data, name, email, updated_at)
SELECT md5('c' || i)::uuid, '{}', first || ' ' || last, email, made FROM drawn WHERE i %% 5 = 3;
INSERT INTO pipedesk.leads (id, raw_data, legal_name, lead_status_id, created_at, updated_at)
SELECT md5('l' || i)::uuid, '{}', 'x', md5((ARRAY['new','qualified'])[1 + i %% 2])::uuid, made, made
FROM drawn WHERE i %% 5 = 3;
INSERT INTO pipedesk.lead_contacts (lead_id, contact_id, raw_data, is_primary)
SELECT md5('l' || i)::uuid, md5('c' || i)::uuid, '{}', true FROM drawn WHERE i %% 5 = 3;
INSERT INTO pipedesk.lead_tags (lead_id, tag_id, raw_data)
SELECT md5('l' || i)::uuid, md5('hot')::uuid, '{}' FROM drawn WHERE i %% 5 = 3
"""

MOVE = """
UPDATE hubspot_contact SET lastmodifieddate = now(), sync_updated_at = clock_timestamp(),
    lifecyclestage = CASE lifecyclestage WHEN 'opportunity' THEN 'lead' ELSE 'opportunity' END WHERE id::integer <= %s
"""


def fill(session: "warehouse.Session", leads: int) -> None:
    """Write the rows of the sources, as loads of mirrored sources do: without foreign keys and triggers."""
    with session.transaction():
        session.execute("SET LOCAL session_replication_role = replica")
        for statement in FILL.split(";\n"):
            session.execute(statement, {"leads": leads} if "%(" in statement else {})
    session.execute("ANALYZE")


def measured(session: "warehouse.Session", *, full: bool) -> dict[str, Any]:
    """Resolve and feed; return what each did and took."""
    began = time.perf_counter()
    resolved = resolve.run(session, full=full)
    between = time.perf_counter()
    fed = feed.run(session, full=full)
    ended = time.perf_counter()
    return {
        "identity_seconds": round(between - began, 2), "feed_seconds": round(ended - between, 2),
        "identity": resolved.seconds, "feed": fed.seconds, "people": fed.people, **fed.counts,
    }  # fmt: skip


def run(leads: int, changed: int) -> dict[str, Any]:
    """Run it, print a table, and return the summary."""
    with measure.server() as server:
        migrate(server.url())
        with warehouse.session(server.url()) as session:
            fill(session, leads)
            found = {"everything": measured(session, full=False), "again": measured(session, full=True)}
            session.execute(MOVE, [leads])
            found["all moved"] = measured(session, full=False)
            session.execute(MOVE, [changed])
            found[f"{changed} changed"] = delta = measured(session, full=False)
            row = session.execute(
                "SELECT count(*) AS leads, (SELECT count(*) FROM crm.lead_status_history) AS history FROM crm.leads"
            ).fetchone()
    print(measure.table(["what", "figures"], [[what, json.dumps(figures)] for what, figures in found.items()]))
    return {
        **(row or {}),
        "full_seconds": found["everything"]["feed_seconds"],
        "again_seconds": found["again"]["feed_seconds"],
        "moved_seconds": found["all moved"]["feed_seconds"],
        "changed_people": delta["people"],
        "changed_seconds": delta["feed_seconds"],
        "changed_identity_seconds": delta["identity_seconds"],
    }


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--leads", type=int, default=50_000)
    parser.add_argument("--changed", type=int, default=100)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.leads, chosen.changed)))


if __name__ == "__main__":
    main()
