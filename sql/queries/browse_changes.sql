-- What changed in a row since it was first loaded, the newest first.
--
-- table, key (its parts apart by blanks), most
SELECT c.column_name, c.old_value, c.new_value, c.changed_at FROM orchestration.change_log AS c
WHERE c.table_name = %(table)s AND c.record_key = %(key)s ORDER BY c.changed_at DESC, c.id DESC LIMIT %(most)s
