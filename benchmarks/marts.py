"""How long the marts take from nothing, and after a hundred records changed.

    python benchmarks/marts.py                          # 1,000,000 activities
    python benchmarks/marts.py --rows 460000            # twenty times the demo
    python benchmarks/marts.py --rows 100000 --assert-seconds 15

Sources and identity are filled by SQL, with as many rows of each kind a person as the demo has; the feed and the
resolver do not run, so ``crm.leads`` is empty. Then all marts are computed from nothing, once without a change, and
after ``--changed`` rows of sources changed and a tenth as many records went to another person. After that everything is
computed again, and must have nothing to write. Seconds are told by mart; the last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import measure

from warehouse_pipelines import warehouse
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.unified import marts

ROWS_PER_PERSON = 14.5

# One person in two is visited, one in four buys; times are spread over two years.
FILL = """
CREATE TEMP TABLE drawn AS
SELECT i, ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid AS person_id,
    now() - interval '60 days' - ((hashint8extended(i, 1) & 1048575) * 60) * interval '1 second' AS at,
    (ARRAY['Radio', 'Google Ads', 'Referral', 'Direct mail', 'Home show']
        )[1 + (hashint8extended(i, 2) & 1023) %% 5] AS source,
    lpad((43001 + i %% 90)::text, 5, '0') AS zip
FROM generate_series(1, %(people)s) AS i;
INSERT INTO genius_user (user_id, firstname, raw_data) SELECT n, 'Rep', '{}' FROM generate_series(1, 40) AS n;
INSERT INTO genius_division (id, label, raw_data) SELECT n, 'Branch ' || n, '{}' FROM generate_series(1, 5) AS n;
INSERT INTO genius_marketing_source (id, label, raw_data)
    SELECT n, 'Source ' || n, '{}' FROM generate_series(1, 8) AS n;
INSERT INTO genius_appointment_outcome (id, label, raw_data) VALUES (1, 'Sold', '{}'), (2, 'Not home', '{}');
INSERT INTO hubspot_pipeline_stage (id, label, is_closed, probability, raw_data) VALUES ('won', 'Won', true, 1, '{}');
INSERT INTO hubspot_contact (id, createdate, lastmodifieddate, hge_primary_source, division, raw_data)
    SELECT i::text, at + interval '30 minutes', at, source, 'Branch ' || i %% 5, '{}' FROM drawn;
INSERT INTO marketsharp_contact (id, created_date, source, raw_data)
    SELECT i::text, at + interval '4 hours', source, '{}' FROM drawn;
INSERT INTO marketsharp_inquiry (id, contact_id, inquiry_date, raw_data)
    SELECT i::text, i::text, at + interval '5 hours', '{}' FROM drawn WHERE i %% 4 > 0;
INSERT INTO salesrabbit_lead (id, created_at, last_modified, owner_modified, user_id, status, raw_data)
    SELECT i, at, at, at, i %% 40, 'Not home', '{}' FROM drawn;
INSERT INTO salesrabbit_lead_status_history (id, lead_id, status, status_updated, raw_data)
    SELECT i || '-' || n, i, 'Contacted', at + n * interval '1 hour', '{}' FROM drawn, generate_series(1, 2) AS n;
INSERT INTO callrail_call (id, start_time, direction, answered, source, raw_data)
    SELECT i::text, at + interval '10 minutes', 'inbound', i %% 3 > 0, source, '{}' FROM drawn WHERE i %% 2 = 0;
INSERT INTO five9_contact (id, sys_last_disposition, sys_last_disposition_time, raw_data)
    SELECT i::text, 'No answer', at + interval '1 day', '{}' FROM drawn WHERE i %% 3 > 0;
INSERT INTO genius_lead (lead_id, created, agent_id, marketing_source, division_id, raw_data)
    SELECT i, at + interval '2 hours', 1 + i %% 40, 1 + i %% 8, 1 + i %% 5, '{}' FROM drawn;
INSERT INTO genius_prospect (prospect_id, add_date, user_id, division_id, raw_data)
    SELECT i, at + interval '3 hours', 1 + i %% 40, 1 + i %% 5, '{}' FROM drawn WHERE i %% 3 < 2;
INSERT INTO genius_prospect_source (id, prospect_id, marketing_source_id, source_date, raw_data)
    SELECT i, i, 1 + i %% 8, at + interval '3 hours', '{}' FROM drawn WHERE i %% 3 < 2;
INSERT INTO genius_appointment (appointment_id, prospect_id, add_date, assign_date, appointment_date, appointment_time,
                                complete_outcome_id, user_id, add_user_id, raw_data)
    SELECT i, i, at + interval '1 day', at + interval '1 day', (at + interval '6 days')::date, '10:30:00',
        1 + (i %% 4 > 0)::int, 1 + i %% 40, 1 + i %% 7, '{}' FROM drawn WHERE i %% 2 = 0;
INSERT INTO genius_quote (id, prospect_id, appointment_id, job_id, amount, add_date, raw_data)
    SELECT i, i, i, i, 5000 + i %% 60000, at + interval '6 days', '{}' FROM drawn WHERE i %% 4 = 0;
INSERT INTO genius_job (id, prospect_id, contract_date, contract_amount, sold_user_id, division_id, finish_date,
                        is_payment_finalized, payment_amount, raw_data)
    SELECT i, i, (at + interval '8 days')::date, 5000 + i %% 60000 + 0.1, 1 + i %% 40, 1 + i %% 5,
        (at + interval '45 days')::date, true, 5000 + i %% 60000 + 0.1, '{}' FROM drawn WHERE i %% 4 = 0;
INSERT INTO genius_job_change_order (id, job_id, total_amount, sold_date, raw_data)
    SELECT i, i, i %% 900, at + interval '13 days', '{}' FROM drawn WHERE i %% 5 = 0;
INSERT INTO hubspot_deal (id, createdate, hs_lastmodifieddate, closedate, dealstage, amount, raw_data)
    SELECT i::text, at + interval '1 day', at, at + interval '9 days', 'won', i %% 30000, '{}'
    FROM drawn WHERE i %% 4 = 0;
INSERT INTO hubspot_contact_to_deal_association (contact_id, deal_id, association_type_id, raw_data)
    SELECT i::text, i::text, 3, '{}' FROM drawn WHERE i %% 4 = 0;
INSERT INTO marketsharp_job (id, contact_id, sale_date, raw_data)
    SELECT i::text, i::text, at + interval '8 days', '{}' FROM drawn WHERE i %% 5 = 0;
INSERT INTO crm.lead_source_costs (organization_id, source, month, amount)
    SELECT gen_random_uuid(), 'radio', date_trunc('month', now())::date - n * interval '1 month', 1000
    FROM generate_series(1, 24) AS n;
INSERT INTO identity.person (person_id, kind, zip, record_count, source_tables, updated_at)
    SELECT person_id, 'customer', zip, 1, '{}', now() FROM drawn;
CREATE TEMP TABLE owned AS
    SELECT t.name AS source_table, d.i::text AS source_key, d.person_id,
        CASE WHEN t.name = 'callrail_call' THEN 'touch' ELSE 'customer' END AS kind
    FROM drawn AS d, (VALUES ('hubspot_contact', 1, 0), ('marketsharp_contact', 1, 0), ('salesrabbit_lead', 1, 0),
        ('callrail_call', 2, 0), ('five9_contact', 1, 0), ('genius_lead', 1, 0), ('genius_prospect', 1, 0),
        ('genius_appointment', 2, 0)) AS t (name, each_, place)
    WHERE d.i %% t.each_ = t.place;
INSERT INTO identity.record (source_table, source_key, kind, fingerprint)
    SELECT source_table, source_key, kind, '' FROM owned;
INSERT INTO identity.member (record_id, person_id, source_table, source_key)
    SELECT r.record_id, o.person_id, o.source_table, o.source_key FROM owned AS o JOIN identity.record AS r
        USING (source_table, source_key) WHERE o.kind = 'customer';
INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)
    SELECT r.record_id, o.source_table, o.source_key, o.person_id, 'certain', 'phone_e164', ''
    FROM owned AS o JOIN identity.record AS r USING (source_table, source_key) WHERE o.kind = 'touch'
"""

CHANGE = """
UPDATE hubspot_contact SET hge_primary_source = 'Billboard', sync_updated_at = now()
    WHERE id IN (SELECT id FROM hubspot_contact ORDER BY md5(id) LIMIT %(some)s);
UPDATE genius_job SET contract_amount = contract_amount + 1, sync_updated_at = now()
    WHERE id IN (SELECT id FROM genius_job ORDER BY md5(id::text) LIMIT %(some)s);
UPDATE genius_appointment SET complete_outcome_id = 1, sync_updated_at = now() WHERE appointment_id IN
    (SELECT appointment_id FROM genius_appointment ORDER BY md5(appointment_id::text) LIMIT %(some)s);
UPDATE callrail_call SET archived = true, sync_updated_at = now()
    WHERE id IN (SELECT id FROM callrail_call ORDER BY md5(id) LIMIT %(some)s);
UPDATE identity.member SET since = now(), person_id = (SELECT min(p.person_id::text)::uuid FROM identity.person AS p)
    WHERE record_id IN (SELECT record_id FROM identity.member ORDER BY md5(record_id::text) LIMIT %(few)s)
"""


def run_script(session: "warehouse.Session", script: str, given: dict[str, int]) -> None:
    """Run the statements of a script."""
    for statement in script.split(";\n"):
        session.execute(statement, given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the timeline, about")
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--assert-seconds", type=float, help="end with 1 when the change takes longer")
    asked = parser.parse_args(arguments)
    told: dict[str, Any] = {"people": max(100, round(asked.rows / ROWS_PER_PERSON)), "changed": asked.changed}
    with measure.server() as server:
        url = server.create_database("marts")
        migrate(url)
        with warehouse.session(url) as session:
            began = time.perf_counter()
            run_script(session, FILL, {"people": told["people"]})
            session.execute("ANALYZE")
            print(f"{told['people']:,} people were written in {time.perf_counter() - began:.0f} s", flush=True)
            for what in ("from_nothing", "no_change", "change", "everything_again"):
                if what == "from_nothing":
                    # What was written just now lies before the position, as it does a second later.
                    time.sleep(1.5)
                if what == "change":
                    time.sleep(1.5)
                    run_script(session, CHANGE, {"some": asked.changed // 4, "few": max(1, asked.changed // 10)})
                with measure.measured(server) as cost:
                    done = marts.run(session, full=what == "everything_again")
                told[what] = cost.as_dict()
                print(f"\n{what}: {cost.seconds:.1f} s, of PostgreSQL {cost.postgres_seconds:.1f}")
                for one in done:
                    counts = f"{one.inserted:>9,} {one.updated:>9,} {one.deleted:>9,}"
                    print(f"  {one.name:<24}{one.seconds:>8.2f} s {counts}", flush=True)
                if what == "everything_again":
                    told["same"] = not any(one.inserted or one.updated or one.deleted for one in done)
            told["rows"] = _count(session)
    print(json.dumps(told))
    late = asked.assert_seconds is not None and told["change"]["seconds"] > asked.assert_seconds
    return 1 if late or not told["same"] else 0


def _count(session: "warehouse.Session") -> int:
    row = session.execute("SELECT count(*) AS n FROM marts.activity_timeline").fetchone()
    return int(row["n"]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
