-- How far each mart was computed, and the timeline that most of them are computed from.

CREATE TABLE marts.position (
    mart         text        PRIMARY KEY,
    read_until   timestamptz NOT NULL,
    fingerprint  text        NOT NULL,
    changed_at   timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE marts.position IS 'How far each mart was computed.';
COMMENT ON COLUMN marts.position.mart IS 'The table, without its schema.';
COMMENT ON COLUMN marts.position.read_until IS 'What was committed before is in the mart.';
COMMENT ON COLUMN marts.position.fingerprint IS 'The hash of its SQL: with another one everything is computed.';
COMMENT ON COLUMN marts.position.changed_at IS 'When a run last wrote something.';
COMMENT ON COLUMN marts.position.refreshed_at IS 'When it was last run.';

CREATE TABLE marts.touched_person (
    mart       text        NOT NULL,
    person_id  uuid        NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (mart, person_id)
);
CREATE INDEX touched_person_at ON marts.touched_person (mart, touched_at);
COMMENT ON TABLE marts.touched_person IS 'Of whom a row of a mart was written or deleted: the marts built on it compute them again.';
COMMENT ON COLUMN marts.touched_person.mart IS 'The mart of which a row was written or deleted.';
COMMENT ON COLUMN marts.touched_person.person_id IS 'The person, who may be no more.';
COMMENT ON COLUMN marts.touched_person.touched_at IS 'When that was last.';

CREATE TABLE marts.activity_timeline (
    source_table text           NOT NULL,
    source_key   text           NOT NULL,
    kind         text           NOT NULL,
    person_table text,
    person_key   text,
    person_id    uuid,
    household_id uuid,
    certainty    numeric(2, 1)  NOT NULL,
    crm_source   text           NOT NULL,
    occurred_at  timestamptz    NOT NULL,
    occurred_day date           NOT NULL,
    direction    text           CONSTRAINT activity_timeline_direction CHECK (direction IN ('inbound', 'outbound')),
    user_table   text,
    user_key     text,
    our_user_id  uuid,
    our_user     text,
    outcome      text,
    is_held      boolean,
    amount       numeric(14, 2),
    lead_source  text,
    title        text,
    division     text,
    links        text[],
    PRIMARY KEY (source_table, source_key, kind)
);
CREATE INDEX activity_timeline_person ON marts.activity_timeline (person_id, occurred_at);
CREATE INDEX activity_timeline_of ON marts.activity_timeline (person_table, person_key);
CREATE INDEX activity_timeline_user ON marts.activity_timeline (user_table, user_key) WHERE user_key IS NOT NULL;
CREATE INDEX activity_timeline_our_user ON marts.activity_timeline (our_user_id) WHERE our_user_id IS NOT NULL;
CREATE INDEX activity_timeline_nobody ON marts.activity_timeline (kind) WHERE person_id IS NULL;
CREATE INDEX activity_timeline_day ON marts.activity_timeline (occurred_day, kind);
COMMENT ON TABLE marts.activity_timeline IS
    'What happened with whom, over all sources: one row per activity of one kind that one row of a source tells of.';
COMMENT ON COLUMN marts.activity_timeline.source_table IS 'The table that tells of it, as its asset is named.';
COMMENT ON COLUMN marts.activity_timeline.source_key IS 'The key of the row there, its columns apart by blanks.';
COMMENT ON COLUMN marts.activity_timeline.kind IS
    'form, call, text, lead, door_knock, appointment_set, appointment, visit, booking, task, estimate, credit_application, '
    'deal, deal_lost, lost, sale, job, change_order, cancellation, installation, payment, calendar_event, file, note, '
    'status_change or assignment.';
COMMENT ON COLUMN marts.activity_timeline.person_table IS 'The table of the record by which it is known whose it is.';
COMMENT ON COLUMN marts.activity_timeline.person_key IS 'The key of that record.';
COMMENT ON COLUMN marts.activity_timeline.person_id IS 'Whose it is, in identity.person; null where that is not known.';
COMMENT ON COLUMN marts.activity_timeline.household_id IS 'The household, in identity.household.';
COMMENT ON COLUMN marts.activity_timeline.certainty IS
    'How sure that is: 1 certain, 0.8 likely, 0.5 one of the household, 0 nobody is known.';
COMMENT ON COLUMN marts.activity_timeline.crm_source IS 'Whose table it is: hubspot, genius, callrail, ...';
COMMENT ON COLUMN marts.activity_timeline.occurred_at IS
    'When. Of a day without a time, when that day begins where the business is.';
COMMENT ON COLUMN marts.activity_timeline.occurred_day IS 'The day, where the business is (WAREHOUSE_TIME_ZONE).';
COMMENT ON COLUMN marts.activity_timeline.direction IS 'inbound: they came to us; outbound: we to them; null: neither, or not known.';
COMMENT ON COLUMN marts.activity_timeline.user_table IS 'The table of staff that says who of us it was.';
COMMENT ON COLUMN marts.activity_timeline.user_key IS 'The key there.';
COMMENT ON COLUMN marts.activity_timeline.our_user_id IS 'Who of us, in identity.person: one id for all CRMs.';
COMMENT ON COLUMN marts.activity_timeline.our_user IS 'The name of who of us it was, or what the source says instead.';
COMMENT ON COLUMN marts.activity_timeline.outcome IS 'What came of it, in the word of the source.';
COMMENT ON COLUMN marts.activity_timeline.is_held IS 'Of an appointment or a visit: whether it took place, by the word of its outcome.';
COMMENT ON COLUMN marts.activity_timeline.amount IS 'The money that it is about, as the source says.';
COMMENT ON COLUMN marts.activity_timeline.lead_source IS
    'What brought it about, by its name in crm.lead_source_alias, else as the source has it, in lower case.';
COMMENT ON COLUMN marts.activity_timeline.title IS 'What the source calls it.';
COMMENT ON COLUMN marts.activity_timeline.division IS 'The branch of the business, in the word of the source.';
COMMENT ON COLUMN marts.activity_timeline.links IS
    'Rows of other tables that the source says it belongs to, each as the table and the key, such as the visit of a job.';
