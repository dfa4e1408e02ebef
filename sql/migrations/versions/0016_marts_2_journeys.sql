-- Sales, journeys, the funnel, and what sources of leads are worth.

CREATE TABLE marts.sale (
    source_table text NOT NULL,
    source_key   text NOT NULL,
    person_id    uuid,
    household_id uuid,
    sold_at      timestamptz NOT NULL,
    sold_day     date NOT NULL,
    amount       numeric(14, 2),
    amount_from  text,
    rep_id       uuid,
    rep          text,
    division     text,
    installed_at timestamptz,
    paid_at      timestamptz,
    paid_amount  numeric(14, 2),
    cancelled_at timestamptz,
    is_standing  boolean NOT NULL,
    records      text[] NOT NULL,
    matched_by   text NOT NULL,
    PRIMARY KEY (source_table, source_key)
);
CREATE INDEX sale_person ON marts.sale (person_id);
CREATE INDEX sale_day ON marts.sale (sold_day);
COMMENT ON TABLE marts.sale IS
    'Sales in the real world, each once, whichever CRMs know of it: Genius, MarketSharp, HubSpot, SalesPro.';
COMMENT ON COLUMN marts.sale.source_table IS 'The table of the record of the leading CRM.';
COMMENT ON COLUMN marts.sale.source_key IS 'Its key there.';
COMMENT ON COLUMN marts.sale.person_id IS 'The customer, in identity.person; null where that is not known.';
COMMENT ON COLUMN marts.sale.household_id IS 'The household of the customer.';
COMMENT ON COLUMN marts.sale.sold_at IS 'When it was sold, by the leading record.';
COMMENT ON COLUMN marts.sale.sold_day IS 'The day, where the business is.';
COMMENT ON COLUMN marts.sale.amount IS
    'What it is worth: the contract of Genius, else the deal of HubSpot, else the estimate of SalesPro.';
COMMENT ON COLUMN marts.sale.amount_from IS 'The table that the amount is from.';
COMMENT ON COLUMN marts.sale.rep_id IS 'Who of us sold it, in identity.person.';
COMMENT ON COLUMN marts.sale.rep IS 'The name of who sold it.';
COMMENT ON COLUMN marts.sale.division IS 'The branch of the business.';
COMMENT ON COLUMN marts.sale.installed_at IS 'When the work was finished.';
COMMENT ON COLUMN marts.sale.paid_at IS 'When it was paid, or at the latest known: no source says when.';
COMMENT ON COLUMN marts.sale.paid_amount IS 'What was paid.';
COMMENT ON COLUMN marts.sale.cancelled_at IS 'When it was called off.';
COMMENT ON COLUMN marts.sale.is_standing IS 'Whether it was not called off.';
COMMENT ON COLUMN marts.sale.records IS
    'All records that are this sale, each as the table and the key; the leading one first.';
COMMENT ON COLUMN marts.sale.matched_by IS
    'By what they are known to be one sale; what is only near in time may be wrong.';

CREATE TABLE marts.lead_journey (
    person_id            uuid NOT NULL,
    household_id         uuid,
    first_touch_at       timestamptz,
    first_touch_source   text,
    last_touch_source    text,
    lead_at              timestamptz NOT NULL,
    appointment_at       timestamptz,
    visited_at           timestamptz,
    sold_at              timestamptz,
    installed_at         timestamptz,
    paid_at              timestamptz,
    lost_at              timestamptz,
    days_to_appointment  integer,
    days_to_visit        integer,
    days_to_sale         integer,
    days_to_installation integer,
    days_to_payment      integer,
    stage                text NOT NULL,
    stopped_at           text,
    division             text,
    rep                  text,
    rep_id               uuid,
    zip                  text,
    jobs                 integer NOT NULL,
    sold_amount          numeric(14, 2) NOT NULL,
    paid_amount          numeric(14, 2) NOT NULL,
    PRIMARY KEY (person_id)
);
COMMENT ON TABLE marts.lead_journey IS
    'How each lead and customer came from the first touch to the paid job: when each stage was reached first.';
COMMENT ON COLUMN marts.lead_journey.person_id IS 'The person, in identity.person.';
COMMENT ON COLUMN marts.lead_journey.household_id IS 'The household.';
COMMENT ON COLUMN marts.lead_journey.first_touch_at IS
    'When they first had to do with us: a form, a call, a text, a door knock, a lead.';
COMMENT ON COLUMN marts.lead_journey.first_touch_source IS 'The source of the first touch that names one.';
COMMENT ON COLUMN marts.lead_journey.last_touch_source IS
    'The source of the last touch that names one, up to a day after the first sale.';
COMMENT ON COLUMN marts.lead_journey.lead_at IS
    'When a source first called them a lead, or else the first stage after that.';
COMMENT ON COLUMN marts.lead_journey.appointment_at IS 'When the first appointment was made.';
COMMENT ON COLUMN marts.lead_journey.visited_at IS 'When the first visit took place.';
COMMENT ON COLUMN marts.lead_journey.sold_at IS 'When the first sale that stands was made.';
COMMENT ON COLUMN marts.lead_journey.installed_at IS 'When the first work was finished.';
COMMENT ON COLUMN marts.lead_journey.paid_at IS 'When the first sale was paid, as far as that is known.';
COMMENT ON COLUMN marts.lead_journey.lost_at IS
    'When a source gave them up, if they did not buy and nothing came after.';
COMMENT ON COLUMN marts.lead_journey.days_to_appointment IS 'Days from the lead to the appointment being made.';
COMMENT ON COLUMN marts.lead_journey.days_to_visit IS 'Days from then to the visit.';
COMMENT ON COLUMN marts.lead_journey.days_to_sale IS 'Days from the visit to the sale.';
COMMENT ON COLUMN marts.lead_journey.days_to_installation IS 'Days from the sale to the end of the work.';
COMMENT ON COLUMN marts.lead_journey.days_to_payment IS 'Days from then to the payment.';
COMMENT ON COLUMN marts.lead_journey.stage IS
    'The furthest stage: lead, appointment, visited, sold, installed or paid.';
COMMENT ON COLUMN marts.lead_journey.stopped_at IS 'The stage at which it stopped, of those who were lost.';
COMMENT ON COLUMN marts.lead_journey.division IS 'The branch: of the sale, else of the last activity that names one.';
COMMENT ON COLUMN marts.lead_journey.rep IS 'Who of us: who sold it, else who visited last, else who was given it.';
COMMENT ON COLUMN marts.lead_journey.rep_id IS 'The same, in identity.person.';
COMMENT ON COLUMN marts.lead_journey.zip IS 'Where they live, in five digits.';
COMMENT ON COLUMN marts.lead_journey.jobs IS 'Sales that stand.';
COMMENT ON COLUMN marts.lead_journey.sold_amount IS 'What these are worth.';
COMMENT ON COLUMN marts.lead_journey.paid_amount IS 'What of it was paid.';

CREATE TABLE marts.lead_lifecycle (
    source_system   text NOT NULL,
    source_id       text NOT NULL,
    source_table    text NOT NULL,
    lifecycle       text NOT NULL,
    person_id       uuid,
    created_at      timestamptz,
    qualified_at    timestamptz,
    disqualified_at timestamptz,
    deleted_at      timestamptz,
    PRIMARY KEY (source_system, source_id)
);
CREATE INDEX lead_lifecycle_person ON marts.lead_lifecycle (person_id);
COMMENT ON TABLE marts.lead_lifecycle IS
    'What became of each lead of each source: qualified before disqualified, that before deleted, that before open.';
COMMENT ON COLUMN marts.lead_lifecycle.source_system IS 'Whose lead it is: pipedesk, genius, hubspot, ...';
COMMENT ON COLUMN marts.lead_lifecycle.source_id IS 'Its key there.';
COMMENT ON COLUMN marts.lead_lifecycle.source_table IS 'The table of the warehouse that it stands in.';
COMMENT ON COLUMN marts.lead_lifecycle.lifecycle IS
    'qualified, disqualified, deleted or open: the first of these that holds.';
COMMENT ON COLUMN marts.lead_lifecycle.person_id IS 'Who it is, in identity.person.';
COMMENT ON COLUMN marts.lead_lifecycle.created_at IS 'When it was made.';
COMMENT ON COLUMN marts.lead_lifecycle.qualified_at IS
    'When it was qualified, or its status last changed to one that says so.';
COMMENT ON COLUMN marts.lead_lifecycle.disqualified_at IS
    'When it was disqualified, or its status last changed to one that says so.';
COMMENT ON COLUMN marts.lead_lifecycle.deleted_at IS 'When it was deleted, or was no longer found.';

CREATE TABLE marts.funnel_daily (
    day                 date NOT NULL,
    source              text NOT NULL,
    division            text NOT NULL,
    rep                 text NOT NULL,
    zip                 text NOT NULL,
    leads               integer NOT NULL,
    appointments        integer NOT NULL,
    visits              integer NOT NULL,
    sold                integer NOT NULL,
    installed           integer NOT NULL,
    paid                integer NOT NULL,
    lost                integer NOT NULL,
    sold_amount         numeric(16, 2) NOT NULL,
    paid_amount         numeric(16, 2) NOT NULL,
    cohort_appointments integer NOT NULL,
    cohort_visits       integer NOT NULL,
    cohort_sold         integer NOT NULL,
    cohort_sold_amount  numeric(16, 2) NOT NULL,
    PRIMARY KEY (day, source, division, rep, zip)
);
COMMENT ON TABLE marts.funnel_daily IS
    'How many people reached each stage on a day; sums over any of its columns add up.';
COMMENT ON COLUMN marts.funnel_daily.day IS 'The day, where the business is.';
COMMENT ON COLUMN marts.funnel_daily.source IS 'The source of the first touch; unknown where none is named.';
COMMENT ON COLUMN marts.funnel_daily.division IS 'The branch, or unknown.';
COMMENT ON COLUMN marts.funnel_daily.rep IS 'Who of us, or unknown.';
COMMENT ON COLUMN marts.funnel_daily.zip IS 'Where they live, or unknown.';
COMMENT ON COLUMN marts.funnel_daily.leads IS 'People who became leads that day.';
COMMENT ON COLUMN marts.funnel_daily.appointments IS 'People whose first appointment was made that day.';
COMMENT ON COLUMN marts.funnel_daily.visits IS 'People who were first visited that day.';
COMMENT ON COLUMN marts.funnel_daily.sold IS 'People who first bought that day.';
COMMENT ON COLUMN marts.funnel_daily.installed IS 'People whose first work was finished that day.';
COMMENT ON COLUMN marts.funnel_daily.paid IS 'People whose first sale was paid that day.';
COMMENT ON COLUMN marts.funnel_daily.lost IS 'People who were given up that day.';
COMMENT ON COLUMN marts.funnel_daily.sold_amount IS 'All that those who first bought that day have bought.';
COMMENT ON COLUMN marts.funnel_daily.paid_amount IS 'All that those who first paid that day have paid.';
COMMENT ON COLUMN marts.funnel_daily.cohort_appointments IS
    'Of the leads of that day those with an appointment, whenever it was made.';
COMMENT ON COLUMN marts.funnel_daily.cohort_visits IS 'Of the leads of that day those who were visited, whenever.';
COMMENT ON COLUMN marts.funnel_daily.cohort_sold IS 'Of the leads of that day those who bought, whenever.';
COMMENT ON COLUMN marts.funnel_daily.cohort_sold_amount IS 'What the leads of that day have bought.';

CREATE TABLE marts.attribution_credit (
    conversion     text NOT NULL,
    conversion_key text NOT NULL,
    source         text NOT NULL,
    person_id      uuid,
    converted_at   timestamptz NOT NULL,
    converted_day  date NOT NULL,
    first_credit   numeric(9, 6) NOT NULL,
    last_credit    numeric(9, 6) NOT NULL,
    linear_credit  numeric(9, 6) NOT NULL,
    first_amount   numeric(14, 2) NOT NULL,
    last_amount    numeric(14, 2) NOT NULL,
    linear_amount  numeric(14, 2) NOT NULL,
    PRIMARY KEY (conversion, conversion_key, source)
);
CREATE INDEX attribution_credit_person ON marts.attribution_credit (person_id);
COMMENT ON TABLE marts.attribution_credit IS
    'To which sources each lead, appointment and sale is credited, by three models side by side.';
COMMENT ON COLUMN marts.attribution_credit.conversion IS 'lead, appointment or sale.';
COMMENT ON COLUMN marts.attribution_credit.conversion_key IS
    'The person of a lead or an appointment; of a sale the table and the key in marts.sale.';
COMMENT ON COLUMN marts.attribution_credit.source IS
    'The source that has credit; unattributed where no touch names one.';
COMMENT ON COLUMN marts.attribution_credit.person_id IS 'The person, in identity.person.';
COMMENT ON COLUMN marts.attribution_credit.converted_at IS 'When.';
COMMENT ON COLUMN marts.attribution_credit.converted_day IS 'The day, where the business is.';
COMMENT ON COLUMN marts.attribution_credit.first_credit IS 'Its share if the first touch has all: 1 or 0.';
COMMENT ON COLUMN marts.attribution_credit.last_credit IS 'Its share if the last touch has all: 1 or 0.';
COMMENT ON COLUMN marts.attribution_credit.linear_credit IS 'Its share if all touches have the same.';
COMMENT ON COLUMN marts.attribution_credit.first_amount IS 'The money of a sale by the first share.';
COMMENT ON COLUMN marts.attribution_credit.last_amount IS 'The money of a sale by the last share.';
COMMENT ON COLUMN marts.attribution_credit.linear_amount IS 'The money of a sale by the linear share.';

CREATE TABLE marts.source_roi (
    month               date NOT NULL,
    source              text NOT NULL,
    spent               numeric(16, 2) NOT NULL,
    leads_first         numeric(18, 6) NOT NULL,
    leads_last          numeric(18, 6) NOT NULL,
    leads_linear        numeric(18, 6) NOT NULL,
    appointments_first  numeric(18, 6) NOT NULL,
    appointments_last   numeric(18, 6) NOT NULL,
    appointments_linear numeric(18, 6) NOT NULL,
    sold_first          numeric(18, 6) NOT NULL,
    sold_last           numeric(18, 6) NOT NULL,
    sold_linear         numeric(18, 6) NOT NULL,
    revenue_first       numeric(16, 2) NOT NULL,
    revenue_last        numeric(16, 2) NOT NULL,
    revenue_linear      numeric(16, 2) NOT NULL,
    PRIMARY KEY (month, source)
);
COMMENT ON TABLE marts.source_roi IS
    'What each source of leads cost in a month, and what it brought by three models of attribution side by side.';
COMMENT ON COLUMN marts.source_roi.month IS
    'The first day of the month: of the spending, and of the lead, the appointment or the sale.';
COMMENT ON COLUMN marts.source_roi.source IS 'The source, in lower case; unattributed is what has none.';
COMMENT ON COLUMN marts.source_roi.spent IS 'What was spent, in US dollars.';
COMMENT ON COLUMN marts.source_roi.leads_first IS 'Leads, by the first touch.';
COMMENT ON COLUMN marts.source_roi.leads_last IS 'Leads, by the last touch.';
COMMENT ON COLUMN marts.source_roi.leads_linear IS 'Leads, by all touches alike.';
COMMENT ON COLUMN marts.source_roi.appointments_first IS 'Appointments made, by the first touch.';
COMMENT ON COLUMN marts.source_roi.appointments_last IS 'Appointments made, by the last touch.';
COMMENT ON COLUMN marts.source_roi.appointments_linear IS 'Appointments made, by all touches alike.';
COMMENT ON COLUMN marts.source_roi.sold_first IS 'Sales, by the first touch.';
COMMENT ON COLUMN marts.source_roi.sold_last IS 'Sales, by the last touch.';
COMMENT ON COLUMN marts.source_roi.sold_linear IS 'Sales, by all touches alike.';
COMMENT ON COLUMN marts.source_roi.revenue_first IS 'Money of the sales, by the first touch.';
COMMENT ON COLUMN marts.source_roi.revenue_last IS 'Money of the sales, by the last touch.';
COMMENT ON COLUMN marts.source_roi.revenue_linear IS 'Money of the sales, by all touches alike.';
