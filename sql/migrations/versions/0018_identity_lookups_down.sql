-- Undo 0018: what it adds is made again by it, and no run needs it to be right.
DROP INDEX identity.touch_orphaned;
DROP INDEX identity.record_touch_emails;
DROP TRIGGER person_left ON identity.person;
DROP FUNCTION identity.leave_home();
DROP TABLE identity.left_property, identity.left_household;
