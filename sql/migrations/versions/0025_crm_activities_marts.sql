-- What a mart knew when it was computed last, and columns that say what a figure rests on.

ALTER TABLE marts.position
    ADD COLUMN counts jsonb NOT NULL DEFAULT '{}' CONSTRAINT position_counts_are_an_object
        CHECK (jsonb_typeof(counts) = 'object'),
    ADD COLUMN computed_at timestamptz;
COMMENT ON COLUMN marts.position.counts IS
    'How many rows the tables had from which rows vanish without a trace; with other numbers the mart is computed again.';
COMMENT ON COLUMN marts.position.computed_at IS 'When its SQL was last run, whether that changed anything or not.';

ALTER TABLE marts.follow_up_recommendations ADD COLUMN bases text[] NOT NULL DEFAULT '{}';
COMMENT ON TABLE marts.follow_up_recommendations IS
    'Whom to contact today, why, and by which channel. Nobody with a do-not-call entry in force, for any channel, is here. '
    'Calls and e-mails of this list are made by hand, one by one: for those a business relationship is enough. Programs '
    'that send or dial by themselves ask crm.lead_block_reason, which asks for consent.';
COMMENT ON COLUMN marts.follow_up_recommendations.channels IS
    'By which the person may be contacted, of call, sms, email and mail, the first the best. bases says why.';
COMMENT ON COLUMN marts.follow_up_recommendations.bases IS
    'Why each of channels is permitted: consent; customer: bought of us within 18 months; inquiry: came to us within three '
    'months, by a form, a call, an appointment; none needed: post. For a text consent alone counts.';

ALTER TABLE marts.rep_performance ADD COLUMN leads_assigned integer NOT NULL DEFAULT 0;
COMMENT ON TABLE marts.rep_performance IS
    'What each of us has done, over all CRMs: one row per user to whom a lead is, or was, assigned in crm (leads_assigned), '
    'and per user whom an appointment, an estimate or a sale names. Those with leads_assigned > 0 are the users of '
    'crm.lead_assignments.';
COMMENT ON COLUMN marts.rep_performance.leads_assigned IS
    'Leads of crm that are, or ever were, the user''s: more than 0 for each user of crm.lead_assignments.';

COMMENT ON COLUMN marts.sale.paid_at IS
    'By when it was paid. Genius says that a job is paid, and not when: this is the day it was finished, or its last edit, '
    'whichever is later, so it is the latest time that it can have been, and a later edit moves it.';
COMMENT ON COLUMN marts.lead_journey.paid_at IS 'By when the first sale was paid, as in marts.sale: the latest it can have been.';
COMMENT ON TABLE marts.sale IS
    'Sales in the real world, each once, whichever CRMs know of it. Two records of one CRM are two sales: a second deal that '
    'was won in HubSpot and that no job belongs to is one of its own, and source_table says hubspot_deal.';

COMMENT ON COLUMN marts.activity_timeline.amount IS
    'The money that it is about, in US dollars; of another currency by crm.fx_rate, and null without a rate.';
COMMENT ON COLUMN marts.activity_timeline.kind IS
    'form, call, text, email, letter, lead, door_knock, appointment_set, appointment, visit, booking, task, estimate, '
    'credit_application, deal, deal_lost, lost, sale, job, change_order, cancellation, installation, payment, '
    'calendar_event, file, note, status_change, assignment or tags.';
COMMENT ON COLUMN marts.activity_timeline.crm_source IS
    'Whose table it is: hubspot, genius, callrail, ...; crm for what was entered or done in the schema crm.';
