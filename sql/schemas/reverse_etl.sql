-- What is written back to vendors: plans, what they change, and a receipt of each write. It holds values of people.
--
-- What the tables and columns of the schema reverse_etl mean.
--
-- Run after an upgrade in which this file has changed; safe to repeat.

COMMENT ON TABLE reverse_etl.plan IS 'One row per plan of a target, and per undo. Written by `warehouse outbound`.';
COMMENT ON COLUMN reverse_etl.plan.plan_id IS 'Key; what `warehouse outbound apply` takes.';
COMMENT ON COLUMN reverse_etl.plan.target IS 'The target, as `warehouse outbound list` names it.';
COMMENT ON COLUMN reverse_etl.plan.undoes IS 'The plan that this one undoes; null for any other.';
COMMENT ON COLUMN reverse_etl.plan.status IS
    'planned; applying; applied; partial: some records were not written; undone; superseded by a newer plan.';
COMMENT ON COLUMN reverse_etl.plan.rows IS 'Rows of the target''s query.';
COMMENT ON COLUMN reverse_etl.plan.unchanged IS 'Rows that the vendor has already.';
COMMENT ON COLUMN reverse_etl.plan.kept IS 'Fields that a person changed at the vendor and that stay as they are.';
COMMENT ON COLUMN reverse_etl.plan.last_erasure IS 'The last erasure that the plan knew of.';
COMMENT ON COLUMN reverse_etl.plan.why IS 'Why somebody asked for it; null where a target''s query did.';
COMMENT ON COLUMN reverse_etl.plan.problem IS 'Why applying it ended early; null where it did not.';
COMMENT ON COLUMN reverse_etl.plan.created_by IS 'Who planned.';
COMMENT ON COLUMN reverse_etl.plan.created_at IS 'When.';
COMMENT ON COLUMN reverse_etl.plan.applied_by IS 'Who applied it.';
COMMENT ON COLUMN reverse_etl.plan.applied_at IS 'When applying it began.';
COMMENT ON COLUMN reverse_etl.plan.finished_at IS 'When applying it ended.';

COMMENT ON TABLE reverse_etl.plan_item IS 'One row per record that a plan changes, or refuses to change.';
COMMENT ON COLUMN reverse_etl.plan_item.plan_id IS 'The plan.';
COMMENT ON COLUMN reverse_etl.plan_item.item_no IS 'The place in the plan, from 1.';
COMMENT ON COLUMN reverse_etl.plan_item.action IS 'create, update or archive.';
COMMENT ON COLUMN reverse_etl.plan_item.source_key IS 'The key of the row in the target''s query.';
COMMENT ON COLUMN reverse_etl.plan_item.subject IS 'Of whom the row is, table:key; null where it is of nobody.';
COMMENT ON COLUMN reverse_etl.plan_item.object_id IS 'The vendor''s id of the record; of one that is created, once it is.';
COMMENT ON COLUMN reverse_etl.plan_item.operation_id IS 'Names this write for ever: of a created record, the vendor keeps it.';
COMMENT ON COLUMN reverse_etl.plan_item.fields IS 'By field: old, what the vendor had when it was planned, and new.';
COMMENT ON COLUMN reverse_etl.plan_item.status IS
    'planned, also while it waits to be sent; sending: sent, outcome unknown; written; partial; refused; moved: the vendor''s value is not the old one, '
    'or the warehouse no longer says the new one; withheld: it must not leave the warehouse.';
COMMENT ON COLUMN reverse_etl.plan_item.reason IS 'Why it was not written, or not as a whole.';

COMMENT ON TABLE reverse_etl.receipt IS
    'One row per record that was sent, written before it is sent: what the vendor had, what was sent, what it has.';
COMMENT ON COLUMN reverse_etl.receipt.operation_id IS 'Key; as in plan_item.';
COMMENT ON COLUMN reverse_etl.receipt.plan_id IS 'The plan.';
COMMENT ON COLUMN reverse_etl.receipt.target IS 'The target.';
COMMENT ON COLUMN reverse_etl.receipt.action IS 'create, update or archive.';
COMMENT ON COLUMN reverse_etl.receipt.source_key IS 'As in plan_item.';
COMMENT ON COLUMN reverse_etl.receipt.subject IS 'As in plan_item.';
COMMENT ON COLUMN reverse_etl.receipt.object_id IS 'The vendor''s id of the record; null for a create that failed.';
COMMENT ON COLUMN reverse_etl.receipt.fields IS
    'By field: before, sent, and stored, which is what the vendor made of it. Without stored it was not written by us.';
COMMENT ON COLUMN reverse_etl.receipt.status IS
    'sending: the outcome is unknown, or a part is written and the rest waits, as message says; written; partial; refused: '
    'by the vendor, or put off, as message says.';
COMMENT ON COLUMN reverse_etl.receipt.message IS 'What the vendor said, or what was found; null while it is sent.';
COMMENT ON COLUMN reverse_etl.receipt.attempts IS 'How often it was sent.';
COMMENT ON COLUMN reverse_etl.receipt.sent_at IS 'When it was last sent.';
COMMENT ON COLUMN reverse_etl.receipt.settled_at IS 'When it was read back.';
