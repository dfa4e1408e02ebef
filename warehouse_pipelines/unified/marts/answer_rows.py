"""The marts that answer questions of calls, reps, jobs, places and people: a row per mart, and nothing else."""

from warehouse_pipelines.unified.marts.accounts import all_rows
from warehouse_pipelines.unified.marts.mart import Check, Mart

CONTACTS = (
    "hubspot_contact", "genius_lead", "genius_prospect", "genius_contact", "genius_marketsharp_contact",
    "marketsharp_contact", "salesrabbit_lead", "five9_contact", "leadconduit_lead", "gsheet_marketing_lead",
    "salespro_customer", "pipedesk.contacts",
)  # fmt: skip
"""The tables in which a person ought to stand once; ``duplicates.sql`` names them too."""

ANSWERS: tuple[Mart, ...] = (
    Mart(
        name="job_change_orders",
        about="Jobs with change orders, by how much these change the contract, and whose jobs they are.",
        grain="One job with change orders that count.",
        key="job_id",
        reads=(
            "genius_job", "genius_job_change_order", "genius_job_change_order_status", "genius_job_change_order_reason",
            "genius_division", "identity.person", "identity.member",
        ),
        scope="everything",
        checks=(
            Check(
                name="no_more_than_genius",
                about="No job has more change orders than in Genius.",
                faults="SELECT FROM marts.job_change_orders AS m WHERE m.change_orders >"
                " (SELECT count(*) FROM genius_job_change_order AS o WHERE o.job_id = m.job_id AND NOT o.archived)",
            ),
        ),
    ),
    Mart(
        name="rep_performance",
        about="What each of us has done, over all CRMs: set, held, sold, cancelled, changed.",
        grain="One user to whom anything is, or was, assigned.",
        key="rep_id",
        reads=(
            "marts.activity_timeline", "marts.sale", "marts.job_change_orders", "crm.leads", "crm.lead_assignments",
            "identity.person", "identity.alias",
        ),
        scope="everything",
        checks=(
            Check(
                name="revenue_is_conserved",
                about="Revenue is that of all standing sales that name one of us, to the cent.",
                faults="SELECT FROM (SELECT (SELECT coalesce(sum(r.revenue), 0) FROM marts.rep_performance AS r)"
                " AS ours, (SELECT coalesce(sum(s.amount), 0) FROM marts.sale AS s"
                " WHERE s.is_standing AND s.rep_id IS NOT NULL) AS theirs) AS sums WHERE ours <> theirs",
            ),
            Check(
                name="has_users",
                about="Whoever is a person of identity is one of us.",
                faults="SELECT FROM marts.rep_performance AS r JOIN identity.person AS p USING (person_id)"
                " WHERE p.kind <> 'staff'",
            ),
        ),
    ),
    Mart(
        name="call_conversion",
        about="The calls that led to an appointment, or to a sale without one, and what came of them.",
        grain="A person's call within 90 days before that.",
        key="person_id call_id",
        reads=("callrail_call", "marts.activity_timeline", "marts.sale", "marts.lead_journey"),
        scope="persons",
    ),
    Mart(
        name="call_performance",
        about="Calls by month, tracker and hour: how many were answered, and how many became appointments and jobs.",
        grain="One month, tracker and hour of the day with calls.",
        key="month tracker_id hour",
        reads=("callrail_call", "callrail_tracker", "marts.call_conversion"),
        scope="hours",
        checks=(
            Check(
                name="calls_are_conserved",
                about="There are as many calls as CallRail has.",
                faults="SELECT FROM (SELECT (SELECT coalesce(sum(p.calls + p.outbound), 0)"
                " FROM marts.call_performance AS p) AS ours, (SELECT count(*) FROM callrail_call AS c"
                " WHERE NOT c.archived AND c.start_time IS NOT NULL) AS theirs) AS sums WHERE ours <> theirs".replace(
                    "callrail_call", all_rows("callrail_call")
                ),
            ),
            Check(
                name="no_more_than_sold",
                about="Callers bought no more than all who bought.",
                faults="SELECT FROM (SELECT (SELECT coalesce(sum(p.revenue), 0) FROM marts.call_performance AS p)"
                " AS ours, (SELECT coalesce(sum(j.sold_amount), 0) FROM marts.lead_journey AS j) AS theirs) AS sums"
                " WHERE ours > theirs",
            ),
        ),
    ),
    Mart(
        name="zip_performance",
        about="Leads, visits, sales and revenue by zip code.",
        grain="One zip code where somebody lives who is a lead or a customer.",
        key="zip",
        reads=("marts.lead_journey",),
        scope="sums",
        sums_of="lead_journey",
        ratios={
            "win_rate": "CASE WHEN s.sold < 100 * s.visits THEN round(s.sold::numeric / nullif(s.visits, 0), 4)"
            " END::numeric(6, 4)"
        },
        checks=(
            Check(
                name="sums_are_conserved",
                about="Leads and revenue add up to those of all journeys.",
                faults="SELECT FROM (SELECT coalesce(sum(z.leads), 0) AS leads, coalesce(sum(z.revenue), 0) AS revenue"
                " FROM marts.zip_performance AS z) AS ours, (SELECT count(*) AS leads,"
                " coalesce(sum(j.sold_amount), 0) AS revenue FROM marts.lead_journey AS j) AS theirs"
                " WHERE (ours.leads, ours.revenue) <> (theirs.leads, theirs.revenue)",
            ),
        ),
    ),
    Mart(
        name="duplicates",
        about="Who stands in one table of one CRM more than once, and what the further records cost.",
        grain="One person and table with several of its records.",
        key="person_id source_table",
        reads=(*CONTACTS, "leadconduit_event", "identity.person", "identity.member", "identity.record"),
        scope="persons",
        touched=True,
        checks=(
            Check(
                name="duplicates_are_of_people",
                about="Everybody is a person of identity.",
                faults="SELECT FROM marts.duplicates AS d WHERE NOT EXISTS"
                " (SELECT FROM identity.person AS p WHERE p.person_id = d.person_id)",
            ),
        ),
    ),
    Mart(
        name="relationships",
        about="Who has to do with whom: spouses, households, referrals, companies, properties.",
        grain="One pair of people and relation.",
        key="a_id b_id relation",
        reads=(
            "marts.activity_timeline", "identity.person", "identity.member", "hubspot_company",
            "hubspot_contact_to_company_association",
            "pipedesk.companies", "pipedesk.contacts", "genius_job", "genius_job_financing", "crm.leads",
        ),
        scope="pairs",
        checks=(
            Check(
                name="relationships_are_of_people",
                about="Both are people of identity.",
                faults="SELECT FROM marts.relationships AS r, LATERAL (VALUES (r.a_id), (r.b_id)) AS w (id)"
                " WHERE NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = w.id)",
            ),
        ),
    ),
    Mart(
        name="follow_up_recommendations",
        about="Whom to contact today, why, by which channel, and on what basis.",
        grain="One lead that is to be contacted today.",
        key="organization_id lead_id",
        reads=(
            "crm.leads", "crm.dnc_list", "marts.activity_timeline", "marts.sale", "identity.person",
        ),
        scope="everything",
        ages=True,
        checks=(
            Check(
                name="nobody_is_listed",
                about="Nobody has a do-not-call entry in force.",
                faults="SELECT FROM marts.follow_up_recommendations AS f JOIN crm.leads AS l"
                " ON l.organization_id = f.organization_id AND l.id = f.lead_id"
                " WHERE crm.lead_block_reason(l, NULL) = 'dnc'",
                blocking=True,
            ),
            Check(
                name="channels_are_permitted",
                about="Every channel is one that the person agreed to, or a call or e-mail by hand that has a basis.",
                faults="SELECT FROM marts.follow_up_recommendations AS f JOIN crm.leads AS l"
                " ON l.organization_id = f.organization_id AND l.id = f.lead_id, unnest(f.channels, f.bases) AS c"
                " (channel, basis) WHERE crm.lead_block_reason(l, c.channel) IS NOT NULL AND NOT coalesce("
                "c.channel IN ('call', 'email') AND c.basis IN ('customer', 'inquiry')"
                " AND crm.lead_block_reason(l, c.channel) = 'consent', false)",
                blocking=True,
            ),
        ),
    ),
)  # fmt: skip
