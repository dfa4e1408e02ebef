"""The marts, in the order in which they build on each other: a row per mart, and nothing else.

To add one: its row here, its SELECT in ``sql/marts/<name>.sql``, and its table with a comment on each column in a file
``sql/migrations/versions/0016_marts_<n>_<what>.sql``. ``mart`` says what a row may say.
"""

from collections.abc import Mapping

from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.marts.answer_rows import ANSWERS
from warehouse_pipelines.unified.marts.declared import tables_of_leads
from warehouse_pipelines.unified.marts.mart import Check, Mart

_READ_BY_ACTIVITIES = tuple(
    dict.fromkeys(
        table for row in ACTIVITIES if row.crm != "crm" for table in (row.table, *(join.table for join in row.joins))
    )
)

MARTS: tuple[Mart, ...] = (
    Mart(
        name="activity_timeline",
        about="What happened with whom, over all sources: calls, forms, visits, offers, jobs, payments.",
        grain="One activity of one kind that one row of a source tells of.",
        key="source_table source_key kind",
        reads=(
            *_READ_BY_ACTIVITIES, "identity.person", "identity.member", "identity.touch", "crm.leads",
            "crm.lead_status_history", "crm.lead_assignments", "crm.lead_audit_log", "crm.lead_sequence_enrollments",
        ),
        scope="activities",
        checks=(
            Check(
                name="has_people",
                about="Whoever an activity names is a person of identity.",
                faults="SELECT FROM marts.activity_timeline AS t WHERE t.person_id IS NOT NULL AND NOT EXISTS"
                " (SELECT FROM identity.person AS p WHERE p.person_id = t.person_id)",
                blocking=True,
            ),
            Check(
                name="whole_amounts",
                about="Amounts of jobs are those of Genius, to the cent.",
                faults="SELECT FROM (SELECT (SELECT sum(t.amount) FROM marts.activity_timeline AS t"
                " WHERE t.source_table = 'genius_job' AND t.kind = 'job') AS ours, (SELECT"
                " sum(round(coalesce(j.contract_amount, j.job_value), 2)) FROM genius_job AS j WHERE NOT j.archived AND"
                " abs(coalesce(j.contract_amount, j.job_value)) < 1e9 AND"
                " coalesce(j.contract_date, j.sold_date, j.add_date::date) IS NOT NULL) AS theirs) AS sums"
                " WHERE ours IS DISTINCT FROM theirs",
            ),
        ),
    ),
    Mart(
        name="sale",
        about="Sales in the real world, each once, whichever CRMs know of it.",
        grain="One sale; the record named is the leading CRM's, Genius before MarketSharp, HubSpot and SalesPro.",
        key="source_table source_key",
        reads=("marts.activity_timeline", "identity.person"),
        scope="persons",
        touched=True,
        nobody=True,
        checks=(
            Check(
                name="each_record_once",
                about="Every job and every won deal is a part of one sale, and of one alone.",
                faults="SELECT FROM marts.activity_timeline AS t LEFT JOIN (SELECT unnest(records) AS record FROM"
                " marts.sale) AS s ON s.record = t.source_table || ' ' || t.source_key WHERE t.kind IN ('job', 'sale')"
                " GROUP BY t.source_table, t.source_key HAVING count(s.record) <> 1",
                blocking=True,
            ),
            Check(
                name="money_of_jobs",
                about="Amounts of sales that Genius has a contract of add up to its contracts, to the cent.",
                faults="SELECT FROM (SELECT (SELECT sum(amount) FROM marts.sale WHERE amount_from = 'genius_job') AS"
                " ours, (SELECT sum(amount) FROM marts.activity_timeline WHERE source_table = 'genius_job' AND kind ="
                " 'job') AS theirs) AS sums WHERE ours IS DISTINCT FROM theirs",
                blocking=True,
            ),
        ),
    ),
    Mart(
        name="lead_journey",
        about="How each lead and customer came from the first touch to the paid job, or where it stopped.",
        grain="One person whom a source calls a lead or a customer.",
        key="person_id",
        reads=("marts.activity_timeline", "marts.sale", "identity.person"),
        scope="persons",
        checks=(
            Check(
                name="money_of_sales",
                about="Sold and paid amounts add up to those of the standing sales of people.",
                faults="SELECT FROM (SELECT sum(sold_amount) AS sold, sum(paid_amount) AS paid FROM marts.lead_journey)"
                " AS j, (SELECT coalesce(sum(s.amount), 0) AS sold, coalesce(sum(s.paid_amount), 0) AS paid FROM"
                " marts.sale AS s JOIN identity.person AS p USING (person_id) WHERE s.is_standing AND p.kind ="
                " 'customer') AS s WHERE (coalesce(j.sold, 0), coalesce(j.paid, 0)) <> (s.sold, s.paid)",
                blocking=True,
            ),
        ),
    ),
    Mart(
        name="lead_lifecycle",
        about="What became of each lead of each source: qualified, disqualified, deleted, or open.",
        grain="One lead of one source, deleted ones too.",
        key="source_system source_id",
        reads=(*tables_of_leads(), "crm.status_mapping", "identity.member"),
        scope="records",
        checks=(
            Check(
                name="qualified_first",
                about="A lead with a time of qualifying is qualified, whatever was done with it later.",
                faults="SELECT FROM marts.lead_lifecycle WHERE qualified_at IS NOT NULL AND lifecycle <> 'qualified'",
                blocking=True,
            ),
        ),
    ),
    Mart(
        name="funnel_daily",
        about="How many people reached each stage on a day, by source, division, rep and zip.",
        grain="A day, a source, a division, a rep and a zip.",
        key="day source division rep zip",
        reads=("marts.lead_journey",),
        scope="sums",
        sums_of="lead_journey",
        checks=(
            Check(
                name="adds_up",
                about="Its sums are the people and the money of lead_journey.",
                faults="SELECT FROM (SELECT coalesce(sum(leads), 0) AS leads, coalesce(sum(sold), 0) AS sold,"
                " coalesce(sum(sold_amount), 0) AS amount FROM marts.funnel_daily) AS f, (SELECT count(lead_at) AS"
                " leads, count(sold_at) AS sold, coalesce(sum(sold_amount), 0) AS amount FROM marts.lead_journey) AS j"
                " WHERE (f.leads, f.sold, f.amount) IS DISTINCT FROM (j.leads, j.sold, j.amount)",
                blocking=True,
            ),
        ),
    ),
    Mart(
        name="attribution_credit",
        about="To which sources each lead, appointment and sale is credited, by first touch, last touch or all alike.",
        grain="A conversion and a source that has credit of it.",
        key="conversion conversion_key source",
        reads=("marts.activity_timeline", "marts.lead_journey", "marts.sale", "identity.person"),
        scope="persons",
        touched=True,
        nobody=True,
        checks=(
            Check(
                name="credit_is_one",
                about="The credit of a conversion adds up to one in each model.",
                faults="SELECT FROM marts.attribution_credit GROUP BY conversion, conversion_key HAVING"
                " (sum(first_credit), sum(last_credit), sum(linear_credit)) <> (1, 1, 1)",
                blocking=True,
            ),
            Check(
                name="money_of_sales",
                about="Each model gives out the money of the standing sales, to the cent.",
                faults="SELECT FROM (SELECT coalesce(sum(first_amount), 0) AS f, coalesce(sum(last_amount), 0) AS l,"
                " coalesce(sum(linear_amount), 0) AS a FROM marts.attribution_credit) AS c, (SELECT"
                " coalesce(sum(amount), 0) AS m FROM marts.sale WHERE is_standing) AS s"
                " WHERE (c.f, c.l, c.a) <> (s.m, s.m, s.m)",
                blocking=True,
            ),
        ),
    ),
    Mart(
        name="source_roi",
        about="What each source of leads cost in a month, and what leads, appointments, sales and money it brought.",
        grain="A month and a source; `unattributed` is one of them.",
        key="month source",
        reads=("marts.attribution_credit", "marts.refused_costs", "crm.lead_source_costs"),
        scope="sums",
        sums_of="attribution_credit",
        checks=(
            Check(
                name="money_spent",
                about="What was spent is what crm has, and what of the sheet it has not though it is in dollars.",
                faults="SELECT FROM (SELECT coalesce(sum(spent), 0) AS spent FROM marts.source_roi) AS r, (SELECT"
                " coalesce((SELECT sum(amount_usd) FROM crm.lead_source_costs), 0) + coalesce((SELECT"
                " sum(amount::numeric) FROM marts.refused_costs WHERE currency = 'USD' AND amount ~"
                " '^-?[0-9]+([.][0-9]+)?$' AND reason <> 'the amount is a billion or more'), 0) AS spent) AS s"
                " WHERE r.spent <> round(s.spent, 2)",
                blocking=True,
            ),
        ),
    ),
    *ANSWERS,
)  # fmt: skip

BY_NAME: Mapping[str, Mart] = {mart.name: mart for mart in MARTS}
