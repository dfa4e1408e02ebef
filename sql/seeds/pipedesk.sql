-- The templates of folders that PipeDesk begins with (D-029): `warehouse migrate --seed`.
--
-- Safe to repeat: a template that is there, known by its name, stays as it is, with whatever was done to its folders.

WITH wanted (template, entity_type, folder, parent, "order") AS (VALUES
    ('Company Standard', 'company', 'Contracts', NULL, 1),
    ('Company Standard', 'company', 'Drafts', 'Contracts', 1),
    ('Company Standard', 'company', 'Signed', 'Contracts', 2),
    ('Company Standard', 'company', 'Correspondence', NULL, 2),
    ('Company Standard', 'company', 'Finance', NULL, 3),
    ('Company Standard', 'company', '{{year}}', 'Finance', 1),
    ('Lead Standard', 'lead', 'Qualification', NULL, 1),
    ('Lead Standard', 'lead', 'Proposals', NULL, 2),
    ('Deal Standard', 'deal', '{{year}} - {{entity_name}}', NULL, 1),
    ('Deal Standard', 'deal', 'Proposal', '{{year}} - {{entity_name}}', 1),
    ('Deal Standard', 'deal', 'Contract', '{{year}} - {{entity_name}}', 2),
    ('Contact Standard', 'contact', 'Documents', NULL, 1)
), made AS (
    INSERT INTO pipedesk.drive_structure_templates (name, entity_type) SELECT DISTINCT template, entity_type FROM wanted
    ON CONFLICT (name) DO NOTHING
    RETURNING id, name
), top AS (
    INSERT INTO pipedesk.drive_structure_nodes (template_id, name, "order")
    SELECT m.id, w.folder, w."order" FROM wanted AS w JOIN made AS m ON m.name = w.template
    WHERE w.parent IS NULL ORDER BY w.template, w."order"
    RETURNING id, template_id, name
)
INSERT INTO pipedesk.drive_structure_nodes (template_id, parent_id, name, "order")
SELECT t.template_id, t.id, w.folder, w."order"
FROM wanted AS w
    JOIN made AS m ON m.name = w.template
    JOIN top AS t ON t.template_id = m.id AND t.name = w.parent
ORDER BY t.id, w."order";
