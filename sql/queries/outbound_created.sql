-- Records of a target that were created from here, and not archived from here since.
SELECT r.object_id, r.source_key
FROM reverse_etl.receipt AS r
WHERE r.target = %(target)s AND r.action = 'create' AND r.status IN ('written', 'partial') AND NOT EXISTS (
    SELECT FROM reverse_etl.receipt AS a
    WHERE a.target = r.target AND a.object_id = r.object_id AND a.action = 'archive' AND a.status = 'written')
