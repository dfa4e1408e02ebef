DROP VIEW IF EXISTS answers.quality;
ALTER TABLE marts.activity_timeline DROP COLUMN refused_amount;
