-- The folders of a template, parents before their children and each level in its order, with their names filled in.
WITH RECURSIVE tree AS (
    SELECT n.id, n.parent_id, n.name, ARRAY[n."order", n.id] AS place
    FROM pipedesk.drive_structure_nodes AS n WHERE n.template_id = %(template)s AND n.parent_id IS NULL
    UNION ALL
    SELECT n.id, n.parent_id, n.name, t.place || ARRAY[n."order", n.id]
    FROM pipedesk.drive_structure_nodes AS n JOIN tree AS t ON n.parent_id = t.id
    WHERE n.template_id = %(template)s
)
SELECT id, parent_id, pipedesk.render_node_name(name, %(values)s) AS name FROM tree ORDER BY place
