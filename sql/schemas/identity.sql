-- Who is who: the records of all sources, and the people, households and houses that they are of.
--
-- What the tables and columns of the schema identity mean, and a function of its queries.
--
-- Run after an upgrade in which this file has changed; safe to repeat.

-- The letters and digits of a name in lower case, without accents, as `names.fold` in Python; of any script.
CREATE OR REPLACE FUNCTION identity.letters(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN normalize(regexp_replace(
    normalize(replace(replace(replace(translate(lower(name), 'øłđı', 'oldi'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), NFKD),
    '[\u0300-\u036f[:space:][:punct:]''’‘`´ʼ“”‐‑–—]', '', 'g'), NFC);

COMMENT ON TABLE identity.record IS
    'One row per record of a source that is, or names, a person: its values as they are compared.';
COMMENT ON COLUMN identity.record.record_id IS 'Key; made here, and no part of any decision.';
COMMENT ON COLUMN identity.record.source_table IS
    'The table as its asset is named, such as hubspot_contact or pipedesk.contacts.';
COMMENT ON COLUMN identity.record.source_key IS 'The key of the source''s row as text, its parts apart by blanks.';
COMMENT ON COLUMN identity.record.kind IS
    'customer; staff, who are never merged with customers; touch, which has no name of its own.';
COMMENT ON COLUMN identity.record.display_name IS 'The name as the source writes it.';
COMMENT ON COLUMN identity.record.first_name IS 'Given name: lower case, without accents.';
COMMENT ON COLUMN identity.record.middle_name IS 'Middle names or initials.';
COMMENT ON COLUMN identity.record.last_name IS 'Surname: lower case, without accents.';
COMMENT ON COLUMN identity.record.suffix IS 'jr, sr, ii, iii, iv.';
COMMENT ON COLUMN identity.record.business IS 'Name of a business, where it is no person''s.';
COMMENT ON COLUMN identity.record.emails IS 'E-mail addresses, lower case, as many as the record has.';
COMMENT ON COLUMN identity.record.phones IS 'Phone numbers in E.164.';
COMMENT ON COLUMN identity.record.street IS 'Street and number as the post writes them, lower case.';
COMMENT ON COLUMN identity.record.unit IS 'Apartment, suite or unit.';
COMMENT ON COLUMN identity.record.city IS 'City, lower case.';
COMMENT ON COLUMN identity.record.state IS 'Two letters, lower case.';
COMMENT ON COLUMN identity.record.zip IS 'Five digits.';
COMMENT ON COLUMN identity.record.ids IS
    'Tokens table:key: the record''s own, then those that it points at in other CRMs.';
COMMENT ON COLUMN identity.record.block_keys IS
    'Keys by which candidates are found; made of the values. o: stands before what was left out, as it is ours.';
COMMENT ON COLUMN identity.record.created_at IS 'When the source says the record was made.';
COMMENT ON COLUMN identity.record.updated_at IS 'When the source says it was last edited.';
COMMENT ON COLUMN identity.record.deleted IS 'The source has deleted or archived it.';
COMMENT ON COLUMN identity.record.fingerprint IS 'Hash of the values, by which an unchanged record is told.';
COMMENT ON COLUMN identity.record.changed_at IS 'When the values last changed here.';

COMMENT ON TABLE identity.read_position IS 'How far each source table has been read.';
COMMENT ON COLUMN identity.read_position.source_table IS 'Key; as in record.';
COMMENT ON COLUMN identity.read_position.read_until IS 'Rows loaded before this time are in record.';
COMMENT ON COLUMN identity.read_position.read_at IS 'When that was.';
COMMENT ON COLUMN identity.read_position.rules IS
    'By which rules its records were read and compared; if they are others now, the next run does so again.';

COMMENT ON TABLE identity.crowded_key IS
    'Keys that say nothing of two records and make no candidates: of too many records, and e-mail addresses of staff.';
COMMENT ON COLUMN identity.crowded_key.key IS
    'As in record.block_keys; o: stands before numbers and addresses of ours that the last run knew.';

COMMENT ON TABLE identity.pending IS
    'Records that the next run compares again, because of a decision or of a record that was deleted.';
COMMENT ON COLUMN identity.pending.record_id IS 'The record.';

COMMENT ON TABLE identity.pending_key IS
    'Crowded keys of records that were deleted; the next run counts them again.';
COMMENT ON COLUMN identity.pending_key.key IS 'As in record.block_keys.';

COMMENT ON TABLE identity.left_household IS
    'Households that somebody left; the next run counts their persons, and deletes those in which nobody is.';
COMMENT ON COLUMN identity.left_household.household_id IS 'The household.';

COMMENT ON TABLE identity.left_property IS
    'Properties that somebody left; the next run deletes those at which nobody lives.';
COMMENT ON COLUMN identity.left_property.property_id IS 'The property.';

COMMENT ON TABLE identity.weight_version IS 'Versions of the weights; one is current.';
COMMENT ON COLUMN identity.weight_version.version IS 'Key.';
COMMENT ON COLUMN identity.weight_version.origin IS
    'Where the weights come from: shipped, or trained by Splink and on how many records.';
COMMENT ON COLUMN identity.weight_version.same_bits IS
    'From this score on two records are one person, if the name gate allows.';
COMMENT ON COLUMN identity.weight_version.review_bits IS 'From this score on a person decides.';
COMMENT ON COLUMN identity.weight_version.is_current IS 'The version in use.';
COMMENT ON COLUMN identity.weight_version.created_at IS 'When it was made.';

COMMENT ON TABLE identity.weight IS 'Bits that a level of a comparison adds to the score of a pair.';
COMMENT ON COLUMN identity.weight.version IS 'The version.';
COMMENT ON COLUMN identity.weight.comparison IS 'What is compared, such as email.';
COMMENT ON COLUMN identity.weight.level IS 'How alike, such as equal or different.';
COMMENT ON COLUMN identity.weight.bits IS
    'Base-2 logarithm of how much likelier the level is for one person than for two.';

COMMENT ON TABLE identity.edge IS 'Two records that have to do with each other; pairs that are apart have no row.';
COMMENT ON COLUMN identity.edge.a_id IS 'The record with the smaller id.';
COMMENT ON COLUMN identity.edge.b_id IS 'The other.';
COMMENT ON COLUMN identity.edge.relation IS
    'person: one person. review: a person decides. household: one roof or one phone, and two people.';
COMMENT ON COLUMN identity.edge.score IS 'Sum of the bits.';
COMMENT ON COLUMN identity.edge.rules IS 'What joins them, such as email, phone_e164, hubspot_marketsharp_id.';
COMMENT ON COLUMN identity.edge.evidence IS 'Levels by comparison.';
COMMENT ON COLUMN identity.edge.version IS 'Version of the weights.';

COMMENT ON TABLE identity.property IS 'Houses, by their address.';
COMMENT ON COLUMN identity.property.property_id IS 'Key.';
COMMENT ON COLUMN identity.property.street IS 'As in record.';
COMMENT ON COLUMN identity.property.unit IS 'Empty where there is none.';
COMMENT ON COLUMN identity.property.city IS 'As in record.';
COMMENT ON COLUMN identity.property.state IS 'As in record.';
COMMENT ON COLUMN identity.property.zip IS 'Five digits.';
COMMENT ON COLUMN identity.property.created_at IS 'When it was first seen here.';

COMMENT ON TABLE identity.household IS 'People of one roof, or of one family with one phone.';
COMMENT ON COLUMN identity.household.household_id IS 'Key; it stays while the heavier part of its people stays.';
COMMENT ON COLUMN identity.household.property_id IS 'Where they live; null when they share a phone only.';
COMMENT ON COLUMN identity.household.last_name IS 'The surname of most of them.';
COMMENT ON COLUMN identity.household.phones IS 'Numbers that several of them use.';
COMMENT ON COLUMN identity.household.person_count IS 'How many people it has.';
COMMENT ON COLUMN identity.household.created_at IS 'When it was first seen here.';
COMMENT ON COLUMN identity.household.updated_at IS 'When it last changed.';

COMMENT ON TABLE identity.person IS 'People: one row each, with the best value of every field.';
COMMENT ON COLUMN identity.person.person_id IS
    'Key; crm.leads.golden_id. It never becomes another person''s; see alias.';
COMMENT ON COLUMN identity.person.household_id IS 'Whom the person lives with.';
COMMENT ON COLUMN identity.person.property_id IS 'Where the person lives.';
COMMENT ON COLUMN identity.person.kind IS 'customer or staff.';
COMMENT ON COLUMN identity.person.display_name IS 'The name as it is written.';
COMMENT ON COLUMN identity.person.first_name IS 'Given name as it is written.';
COMMENT ON COLUMN identity.person.last_name IS 'Surname as it is written.';
COMMENT ON COLUMN identity.person.business IS 'Name of a business, where it is no person''s.';
COMMENT ON COLUMN identity.person.email IS 'The best address.';
COMMENT ON COLUMN identity.person.phone IS 'The best number, in E.164.';
COMMENT ON COLUMN identity.person.emails IS 'All addresses of its records.';
COMMENT ON COLUMN identity.person.phones IS 'All numbers of its records.';
COMMENT ON COLUMN identity.person.street IS 'Street and number.';
COMMENT ON COLUMN identity.person.unit IS 'Apartment, suite or unit.';
COMMENT ON COLUMN identity.person.city IS 'City.';
COMMENT ON COLUMN identity.person.state IS 'State.';
COMMENT ON COLUMN identity.person.zip IS 'Five digits.';
COMMENT ON COLUMN identity.person.origins IS
    'For each field the record, the time and the rule that its value comes from.';
COMMENT ON COLUMN identity.person.record_count IS 'How many source records it has.';
COMMENT ON COLUMN identity.person.source_tables IS 'The tables of those.';
COMMENT ON COLUMN identity.person.first_seen_at IS 'When the oldest of its records was made at its source.';
COMMENT ON COLUMN identity.person.last_seen_at IS 'When the latest was edited.';
COMMENT ON COLUMN identity.person.created_at IS 'When the person was made here.';
COMMENT ON COLUMN identity.person.updated_at IS 'When a value last changed.';

COMMENT ON TABLE identity.member IS 'Which source records are which person.';
COMMENT ON COLUMN identity.member.record_id IS 'The record.';
COMMENT ON COLUMN identity.member.person_id IS 'Its person.';
COMMENT ON COLUMN identity.member.source_table IS 'As in record.';
COMMENT ON COLUMN identity.member.source_key IS 'As in record.';
COMMENT ON COLUMN identity.member.evidence IS 'The strongest edges that hold it there.';
COMMENT ON COLUMN identity.member.since IS 'Since when it belongs to this person.';

COMMENT ON TABLE identity.touch IS
    'Calls, texts and forms without a name, and whose they are as far as that can be told.';
COMMENT ON COLUMN identity.touch.record_id IS 'The record.';
COMMENT ON COLUMN identity.touch.source_table IS 'As in record.';
COMMENT ON COLUMN identity.touch.source_key IS 'As in record.';
COMMENT ON COLUMN identity.touch.person_id IS 'Whose it is, or may be.';
COMMENT ON COLUMN identity.touch.household_id IS 'Or the household whose number it was.';
COMMENT ON COLUMN identity.touch.certainty IS
    'certain: one person used the number at that time. likely: the name fits one of several. household: one of it. unknown: nobody can be told.';
COMMENT ON COLUMN identity.touch.rule IS 'What it was found by, or none.';
COMMENT ON COLUMN identity.touch.reason IS 'Why, in words.';
COMMENT ON COLUMN identity.touch.touched_at IS 'When the call, text or form was.';
COMMENT ON COLUMN identity.touch.updated_at IS 'When this row last changed.';

COMMENT ON TABLE identity.alias IS
    'Ids of people that were merged into others: they stay valid, and lead to the person that has the records now.';
COMMENT ON COLUMN identity.alias.alias_id IS 'The id that is no longer used.';
COMMENT ON COLUMN identity.alias.person_id IS 'The person, or the id that is looked up in turn.';
COMMENT ON COLUMN identity.alias.reason IS 'Why, such as merged.';
COMMENT ON COLUMN identity.alias.born_at IS 'When the person was made.';
COMMENT ON COLUMN identity.alias.created_at IS 'When it was merged.';

COMMENT ON TABLE identity.former_member IS
    'The records that a merged id had: when the merge is undone they get it back.';
COMMENT ON COLUMN identity.former_member.alias_id IS 'The merged id.';
COMMENT ON COLUMN identity.former_member.source_table IS 'As in record.';
COMMENT ON COLUMN identity.former_member.source_key IS 'As in record.';

COMMENT ON TABLE identity.decision IS 'What people decided of two records; it holds in every run, a full one too.';
COMMENT ON COLUMN identity.decision.decision_id IS 'Key.';
COMMENT ON COLUMN identity.decision.verdict IS 'same: one person. apart: two.';
COMMENT ON COLUMN identity.decision.a_table IS 'The first record''s table.';
COMMENT ON COLUMN identity.decision.a_key IS 'Its key.';
COMMENT ON COLUMN identity.decision.b_table IS 'The second''s table.';
COMMENT ON COLUMN identity.decision.b_key IS 'Its key.';
COMMENT ON COLUMN identity.decision.command IS 'The command that wrote it.';
COMMENT ON COLUMN identity.decision.reason IS 'Why, as the person said.';
COMMENT ON COLUMN identity.decision.decided_by IS 'Who.';
COMMENT ON COLUMN identity.decision.decided_at IS 'When.';
COMMENT ON COLUMN identity.decision.withdrawn_at IS 'When it was taken back; null while it holds.';

COMMENT ON TABLE identity.review IS 'Pairs for a person to decide: warehouse identity review.';
COMMENT ON COLUMN identity.review.a_id IS 'As in edge.';
COMMENT ON COLUMN identity.review.b_id IS 'As in edge.';
COMMENT ON COLUMN identity.review.score IS 'As in edge.';
COMMENT ON COLUMN identity.review.reason IS 'Why it was not decided.';
COMMENT ON COLUMN identity.review.evidence IS 'What speaks for and against, in words.';
COMMENT ON COLUMN identity.review.since IS 'Since when it waits.';

COMMENT ON TABLE identity.survivorship IS
    'Rules by which a field''s best value is chosen, the first that decides. May be edited.';
COMMENT ON COLUMN identity.survivorship.field IS 'Column of person.';
COMMENT ON COLUMN identity.survivorship.position IS 'Order.';
COMMENT ON COLUMN identity.survivorship.rule IS 'trusted (source_trust), frequent, newest or longest.';

COMMENT ON TABLE identity.source_trust IS 'Which sources are trusted more. May be edited.';
COMMENT ON COLUMN identity.source_trust.source_table IS 'As in record.';
COMMENT ON COLUMN identity.source_trust.field IS 'Column of person, or * for all.';
COMMENT ON COLUMN identity.source_trust.rank IS 'The smaller, the more trusted.';

COMMENT ON VIEW identity.match_evidence IS 'Each piece of evidence by itself, with the two records that it joins.';
COMMENT ON COLUMN identity.match_evidence.rule IS 'The piece of evidence, such as phone_e164.';
COMMENT ON COLUMN identity.match_evidence.a_table IS 'Table of the first record.';
COMMENT ON COLUMN identity.match_evidence.a_key IS 'Its key.';
COMMENT ON COLUMN identity.match_evidence.b_table IS 'Table of the second.';
COMMENT ON COLUMN identity.match_evidence.b_key IS 'Its key.';
COMMENT ON COLUMN identity.match_evidence.relation IS 'As in edge, or touch.';
COMMENT ON COLUMN identity.match_evidence.score IS 'As in edge; null for a touch.';

COMMENT ON TABLE identity.erasure_key IS 'The key of the hashes in identity.tombstone, made once for this warehouse.';
COMMENT ON COLUMN identity.erasure_key.only_one IS 'True: there is one row.';
COMMENT ON COLUMN identity.erasure_key.key IS 'A secret. Whoever has it can test a guess; without it nobody is recognised.';
COMMENT ON TABLE identity.erasure IS
    'The certificate of each erasure: what was done to how many rows of which tables. It names nobody.';
COMMENT ON COLUMN identity.erasure.erasure_id IS 'Number of the certificate.';
COMMENT ON COLUMN identity.erasure.asked_by IS
    'By what the person was asked for: email, phone, person (an id), record (of a source), or a proposal that the vendor''s deletion made.';
COMMENT ON COLUMN identity.erasure.erased_by IS 'Who erased: a user of the machine.';
COMMENT ON COLUMN identity.erasure.erased_at IS 'When.';
COMMENT ON COLUMN identity.erasure.persons IS 'How many persons of identity it was about.';
COMMENT ON COLUMN identity.erasure.rows IS 'How many rows were changed or deleted.';
COMMENT ON COLUMN identity.erasure.counts IS
    'An array: table, action (empty, delete, replace, erase, hash) and rows; docs/erasure.md says what they mean.';
COMMENT ON COLUMN identity.erasure.residual IS
    'An array: rows of a table in which something of the person is still found, and why.';
COMMENT ON COLUMN identity.erasure.files IS
    'An array: files and tables of Dagster in which something was replaced, or has to be by hand.';
COMMENT ON TABLE identity.tombstone IS
    'What must not come back: erased records, e-mail addresses and phone numbers, as keyed hashes.';
COMMENT ON COLUMN identity.tombstone.kind IS
    'record (a table and a key), email (lower case, or a mailbox at Gmail) or phone (E.164; formerly its last ten digits).';
COMMENT ON COLUMN identity.tombstone.digest IS 'The first 16 bytes of its HMAC-SHA256 with identity.erasure_key.';
COMMENT ON COLUMN identity.tombstone.source_table IS 'The table of a record.';
COMMENT ON COLUMN identity.tombstone.erasure_id IS 'The certificate.';
COMMENT ON COLUMN identity.tombstone.created_at IS 'When it was listed.';
COMMENT ON TABLE identity.erasure_proposal IS
    'Records that their vendor deleted for good, as for the sake of privacy: a person decides whether to erase.';
COMMENT ON COLUMN identity.erasure_proposal.source_table IS 'The table of the record.';
COMMENT ON COLUMN identity.erasure_proposal.source_key IS 'Its key.';
COMMENT ON COLUMN identity.erasure_proposal.reason IS 'Why it is proposed.';
COMMENT ON COLUMN identity.erasure_proposal.found_at IS 'Since when.';
COMMENT ON COLUMN identity.erasure_proposal.dismissed_at IS 'When somebody decided against it.';
COMMENT ON COLUMN identity.erasure_proposal.dismissed_by IS 'Who decided against it.';
