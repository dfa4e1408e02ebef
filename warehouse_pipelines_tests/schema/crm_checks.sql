-- What the conditions of test_crm_tables and test_pipedesk_schema call.

CREATE SCHEMA IF NOT EXISTS chk;

-- rows returned = wanted columns that are missing
CREATE OR REPLACE FUNCTION chk.cols(tbl text, want text) RETURNS TABLE(missing text)
LANGUAGE sql STABLE AS $f$
  SELECT w FROM unnest(string_to_array(want,' ')) AS w
  WHERE w <> '' AND NOT EXISTS (
    SELECT 1 FROM pg_attribute a
    WHERE a.attrelid = to_regclass(tbl) AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped)
$f$;

-- true when some index starts with exactly these columns (optionally unique / partial / of one method)
CREATE OR REPLACE FUNCTION chk.idx(tbl text, want text, uniq boolean DEFAULT false,
                                   partial boolean DEFAULT false, method text DEFAULT NULL)
RETURNS boolean LANGUAGE sql STABLE AS $f$
  SELECT EXISTS (
    SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
    WHERE i.indrelid = to_regclass(tbl) AND i.indisvalid
      AND (NOT uniq OR i.indisunique) AND (NOT partial OR i.indpred IS NOT NULL)
      AND (method IS NULL OR m.amname = method)
      AND concat((SELECT string_agg(coalesce(a.attname::text,'(expr)'), ' ' ORDER BY k.ord)
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
           LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0), ' ')
          LIKE concat(want, ' %'))
$f$;

CREATE OR REPLACE FUNCTION chk.pk(tbl text) RETURNS text LANGUAGE sql STABLE AS $f$
  SELECT string_agg(a.attname::text, ' ' ORDER BY k.ord)
  FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = to_regclass(tbl) AND i.indisprimary
$f$;

CREATE OR REPLACE FUNCTION chk.typ(tbl text, col text) RETURNS text LANGUAGE sql STABLE AS $f$
  SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
  WHERE a.attrelid = to_regclass(tbl) AND a.attname = col AND NOT a.attisdropped
$f$;

-- runs a statement, always undoes it, returns 'accepted' or the SQLSTATE
CREATE OR REPLACE FUNCTION chk.state(stmt text) RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
  BEGIN
    EXECUTE stmt;
    RAISE EXCEPTION USING ERRCODE = 'P0C0K';
  EXCEPTION WHEN OTHERS THEN
    RETURN CASE SQLSTATE WHEN 'P0C0K' THEN 'accepted' ELSE SQLSTATE END;
  END;
END $f$;

CREATE OR REPLACE FUNCTION chk.trg(tbl text) RETURNS bigint LANGUAGE sql STABLE AS $f$
  SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = to_regclass(tbl) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
$f$;
