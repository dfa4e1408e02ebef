"""Composes the statements that merge a staged batch into the table of an entity; it sends none.

``MergeStatements`` belongs to one run. What changes from batch to batch is ``kept``: the columns that the batch lacks,
whose stored values stay.

Every statement has one plan, whatever the statistics say, for which ``stored_rows`` gives the reason: what belongs
together is looked up row by row in a ``LATERAL`` subquery that PostgreSQL cannot turn round (``OFFSET 0``), or by an
array; a table of many rows never stands in a join that the planner may order.
"""

import zlib
from collections.abc import Sequence, Set

from psycopg import sql

from warehouse_pipelines.loading.change_log import ChangeLog
from warehouse_pipelines.loading.record_paths import declared_members
from warehouse_pipelines.loading.stored_rows import StoredRows, name_list
from warehouse_pipelines.model.entity import EDITED_AT

_WRITTEN_BESIDE = ("deleted_at", "delete_reason", "sync_hash")
"""Columns of our bookkeeping that a merge writes after those of the record."""


class MergeStatements:
    """The statements of one run. With ``force`` unchanged and older records are written too.

    With a ``log`` they write there what they change.
    """

    def __init__(self, stored: StoredRows, *, force: bool, log: ChangeLog | None = None) -> None:
        self.stored, self.source, self.entity, self.force = stored, stored.source, stored.entity, force
        self.log = log

    @property
    def incoming_columns(self) -> list[sql.Composable]:
        """The definition of ``incoming``, which holds a batch before it is merged."""
        loose = {"numeric": "text", "jsonb": "text"}
        types = {name: declared.split(" ")[0] for name, declared in self.entity.pg_types.items()}
        return [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(loose.get(types[name], types[name])))
            for name in (*self.entity.columns, *self.entity.e164, "raw_data", "archived", "deleted_at")
        ]

    def hash_seed(self, kept: Set[str]) -> int:
        """Return the seed of the record hashes: another one with kept columns, so that their return is a change.

        A mirrored source computes the hashes itself and knows of none; it reads everything when a column returns.
        """
        if self.source.mirrored:
            return self.entity.hash_seed
        return self.entity.hash_seed ^ zlib.crc32(" ".join(sorted(kept)).encode())

    def merge(self, kept: Set[str], which: sql.Composable | None = None) -> sql.Composed:
        """Compose the merge of ``incoming``, or of ``which`` of its rows.

        It returns how many rows were created, updated, restored and tombstoned by the vendor's deleted flag, and how
        many stay because they were newer before this run.
        """
        entity = self.entity
        own = self._own(kept)
        written = [*own, *_WRITTEN_BESIDE]
        # A mirrored source compares by this hash, so a row is written to store it.
        compared = [*own, "sync_hash"] if self.source.mirrored else own
        not_older, newer = self._version_conditions()
        differs = sql.SQL("true") if self.force else sql.SQL("t.sync_hash IS DISTINCT FROM h.sync_hash")
        versioned = bool(entity.version) and not self.force
        found = ["archived", "sync_hash", *([entity.version, "sync_updated_at"] if entity.version else [])]
        return sql.SQL("""
            WITH changed AS MATERIALIZED (
                SELECT * FROM (
                    SELECT {typed}, i.sync_hash, i.was_archived, i.was_newer, i.was_there
                    FROM (
                        SELECT i.*, h.sync_hash, t.archived AS was_archived,
                            {was_newer} AS was_newer, {was_there} AS was_there
                        FROM (SELECT * FROM incoming i WHERE {which} OFFSET 0) i
                        CROSS JOIN LATERAL (SELECT hashtextextended(i.raw_data, {hash_seed}) AS sync_hash OFFSET 0) h
                        LEFT JOIN LATERAL (SELECT {found} FROM {target} t WHERE {place}) t ON true
                        WHERE t.archived IS NULL OR {differs} OR t.archived <> coalesce(i.archived, false)
                        OFFSET 0
                    ) i CROSS JOIN LATERAL (SELECT {document} AS document OFFSET 0) d
                    OFFSET 0
                ) n
                WHERE n.was_archived IS NULL OR n.was_newer OR NOT coalesce((
                    SELECT ({mine}) IS NOT DISTINCT FROM ({theirs})
                    FROM {target} t WHERE {row_place}), false)
            ), fresh AS NOT MATERIALIZED (
                SELECT * FROM changed WHERE NOT was_newer
            ), merged AS (
                INSERT INTO {target} AS t ({written}) SELECT {written} FROM fresh
                ON CONFLICT ({key}) DO UPDATE SET {assignments}{edited_at}, sync_updated_at = now() {newer}
                RETURNING (xmax = 0) AS created
            ){logged}
            SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created),
                (SELECT count(*) FROM fresh WHERE was_archived AND NOT archived),
                (SELECT count(*) FROM fresh WHERE archived AND NOT coalesce(was_archived, false)),
                (SELECT count(*) FROM changed WHERE was_newer AND was_there)
            FROM merged
        """).format(
            which=which or sql.SQL("true"),
            found=sql.SQL(", ").join(sql.Identifier("t", name) for name in found),
            hash_seed=sql.Literal(self.hash_seed(kept)),
            typed=self._new_values(own, unless_newer=versioned),
            document=_unless_newer(sql.SQL("i.raw_data::jsonb")) if versioned else sql.SQL("i.raw_data::jsonb"),
            differs=differs,
            was_newer=sql.SQL("NOT {}").format(not_older) if versioned else sql.SQL("false"),
            was_there=sql.SQL("t.sync_updated_at < now()" if versioned else "true"),
            target=self.stored.table,
            place=self.stored.place("i"),
            row_place=self.stored.place("n"),
            mine=sql.SQL(", ").join(sql.Identifier("t", name) for name in compared),
            theirs=sql.SQL(", ").join(sql.Identifier("n", name) for name in compared),
            written=name_list(written),
            key=name_list(entity.keys),
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in written
                if name not in entity.keys
            ),
            edited_at=self._edited_at(own),
            newer=newer,
            logged=self.log.merged([*own, "deleted_at", "delete_reason"]) if self.log else sql.SQL(""),
        )

    def insert(self, kept: Set[str]) -> sql.Composed:
        """Compose the insert of ``incoming`` into a table that has none of its keys; it returns what ``merge`` does.

        A key that is there all the same is an error of PostgreSQL (23505).
        """
        own = self._own(kept)
        return sql.SQL("""
            WITH created AS (
                INSERT INTO {target} ({written})
                SELECT {typed}, hashtextextended(i.raw_data, {hash_seed})
                FROM incoming i CROSS JOIN LATERAL (SELECT i.raw_data::jsonb AS document OFFSET 0) d
                RETURNING archived
            )
            SELECT count(*), 0, 0, count(*) FILTER (WHERE archived), 0 FROM created
        """).format(
            target=self.stored.table,
            written=name_list([*own, *_WRITTEN_BESIDE]),
            typed=self._new_values(own),
            hash_seed=sql.Literal(self.hash_seed(kept)),
        )

    def _own(self, kept: Set[str]) -> list[str]:
        """Return the columns that a batch without the ``kept`` ones writes, but for those of our bookkeeping."""
        entity = self.entity
        own = [*entity.columns, *entity.e164, *(["custom_properties"] if entity.custom else []), "raw_data", "archived"]
        return [name for name in own if name not in kept]

    def _new_values(self, own: Sequence[str], *, unless_newer: bool = False) -> sql.Composed:
        """Compose what a row of ``incoming`` becomes: its ``own`` columns, when it was deleted and why.

        With ``unless_newer`` nothing is read of one whose stored row ``was_newer``.
        """
        return sql.SQL(
            "{}, CASE WHEN i.archived THEN coalesce(i.deleted_at, now()) END AS deleted_at,"
            " CASE WHEN i.archived THEN 'archived' END AS delete_reason"
        ).format(sql.SQL(", ").join(self._typed(name, unless_newer=unless_newer) for name in own))

    def _typed(self, name: str, *, unless_newer: bool) -> sql.Composable:
        """Return the expression that gives a column of the table from a row of ``incoming``."""
        entity, column = self.entity, sql.Identifier("i", name)
        if name == "custom_properties":
            return sql.SQL("jsonb_strip_nulls(d.document #> {}) - {}::text[] AS custom_properties").format(
                (entity.custom or "").split("."), declared_members(entity)
            )
        if name == "raw_data":
            return sql.SQL("d.document AS raw_data")
        type_ = entity.pg_types[name]
        if type_.startswith(("numeric", "jsonb")):
            cast = sql.SQL("{}::{}").format(column, sql.SQL(type_.split(" ")[0]))
            return sql.SQL("{} AS {}").format(_unless_newer(cast) if unless_newer else cast, sql.Identifier(name))
        if name == "archived":
            return sql.SQL("coalesce(i.archived, false) AS archived")
        return column

    def _version_conditions(self) -> tuple[sql.Composable, sql.Composable]:
        """Return the conditions by which only newer wins.

        The first is asked before anything is parsed or counted, the second of a row that another session wrote
        meanwhile.
        """
        name = self.entity.version
        if not name or self.force:
            return sql.SQL("true"), sql.SQL("")
        rule = "t.{0} IS NULL OR {1} IS NULL OR {1} >= t.{0}"
        if self.entity.pg_types[name].startswith("timestamptz"):
            # What lies ahead (9999-12-31) is no time of an edit: it must not refuse every later one.
            rule += " OR t.{0} > now() + interval '1 day'"
        stored = sql.Identifier(name)
        return (
            sql.SQL(f"({rule})").format(stored, sql.Identifier("i", name)),
            sql.SQL(f"WHERE {rule}").format(stored, sql.Identifier("excluded", name)),
        )

    def _edited_at(self, own: Sequence[str]) -> sql.Composable:
        """Compose what a stored row's ``source_edited_at`` becomes: what it was unless somebody edited the record.

        Nobody did where the vendor says no other time, or where no more differs than the warehouse writes itself. An
        edit is not later than what the vendor says now: a time may have been one to come (9999-12-31).
        """
        entity = self.entity
        if not entity.written_back:
            return sql.SQL("")
        compared = {*entity.edits, *entity.e164, "archived"}
        sides: list[sql.Composable] = []
        for row in ("t", "excluded"):
            values: list[sql.Composable] = [sql.Identifier(row, name) for name in own if name in compared]
            if "custom_properties" in own:
                values.append(
                    sql.SQL("{} - {}::text[]").format(
                        sql.Identifier(row, "custom_properties"), sql.Literal(list(entity.written_back))
                    )
                )
            sides.append(sql.SQL(", ").join(values))
        return sql.SQL(
            ", {edited} = CASE WHEN t.{updated} IS NOT DISTINCT FROM excluded.{updated}"
            " OR ({mine}) IS NOT DISTINCT FROM ({theirs})"
            " THEN nullif(least(coalesce(t.{edited}, t.{updated}), excluded.{updated}), excluded.{updated}) END"
        ).format(
            edited=sql.Identifier(EDITED_AT),
            updated=sql.Identifier(entity.source_times["source_updated_at"]),
            mine=sides[0],
            theirs=sides[1],
        )

    def merge_in_halves(self, kept: Set[str]) -> sql.Composed:
        """Compose the function ``pg_temp.merge_in_halves``, which merges what PostgreSQL accepts of ``incoming``."""
        return sql.SQL(_MERGE_IN_HALVES).format(
            merge=self.merge(kept, sql.SQL("i.ctid BETWEEN places[low] AND places[high]")),
            keys=sql.SQL(", ").join(sql.SQL("i.{}::text").format(sql.Identifier(key)) for key in self.entity.keys),
        )

    def keep_archived(self) -> sql.Composed:
        """Give the records of ``incoming``, which lack the deleted flag, what it says of their rows."""
        return sql.SQL("""
            UPDATE incoming i SET (archived, deleted_at) = (
                SELECT true, t.deleted_at
                FROM (SELECT t.delete_reason, t.deleted_at FROM {target} t WHERE {place}) t
                WHERE t.delete_reason = 'archived'
            )
        """).format(target=self.stored.table, place=self.stored.place("i"))


def _unless_newer(value: sql.Composable) -> sql.Composed:
    """Compose the value of a record whose stored row is not newer: what of another cannot be read harms nobody."""
    return sql.SQL("CASE WHEN NOT i.was_newer THEN {} END").format(value)


_MERGE_IN_HALVES = """
    CREATE OR REPLACE FUNCTION pg_temp.merge_in_halves(
        OUT all_created bigint, OUT all_updated bigint, OUT all_restored bigint, OUT all_deleted bigint,
        OUT all_older bigint
    ) LANGUAGE plpgsql AS $function$
    #variable_conflict use_column
    DECLARE
        places tid[] := ARRAY(SELECT ctid FROM incoming ORDER BY ctid);
        ranges integer[] := ARRAY[1, cardinality(places)];
        low integer; high integer;
        one_created bigint; one_updated bigint; one_restored bigint; one_deleted bigint;
        one_older bigint;
    BEGIN
        all_created := 0; all_updated := 0; all_restored := 0; all_deleted := 0; all_older := 0;
        WHILE cardinality(ranges) > 0 LOOP
            high := ranges[cardinality(ranges)];
            low := ranges[cardinality(ranges) - 1];
            ranges := trim_array(ranges, 2);
            BEGIN
                {merge} INTO one_created, one_updated, one_restored, one_deleted, one_older;
                all_created := all_created + one_created;
                all_updated := all_updated + one_updated;
                all_restored := all_restored + one_restored;
                all_deleted := all_deleted + one_deleted;
                all_older := all_older + one_older;
            EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
                IF low = high THEN
                    INSERT INTO refused SELECT {keys}, i.raw_data, SQLSTATE, SQLERRM
                        FROM incoming i WHERE i.ctid = places[low];
                    DELETE FROM incoming i WHERE i.ctid = places[low];
                ELSIF high - low < 16 THEN -- one by one, which saves half of the tries where all are bad
                    FOR place IN low..high LOOP
                        ranges := ranges || ARRAY[place, place];
                    END LOOP;
                ELSE
                    ranges := ranges || ARRAY[(low + high) / 2 + 1, high] || ARRAY[low, (low + high) / 2];
                END IF;
            END;
        END LOOP;
    END
    $function$
"""
"""Merges ``incoming``; a part that is refused is tried in halves, down to the one record, which goes to ``refused``.

No row is touched twice: a try that fails is undone completely."""
