"""Columns whose member the vendor no longer sends: their stored values are kept, and so is its deleted flag.

``observability.lost_values`` says what counts as absent, and what a run keeps of it for the next one.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pyarrow as pa

from warehouse_pipelines.loading.record_paths import ANY, has_member
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.observability.lost_values import ENOUGH_RECORDS, EXPECTED_VALUES, Sent, Standing

FLAG_SAMPLE, ALWAYS = 20, 0.9
"""Records of a batch in which the deleted flag is looked for, and the share from which a vendor always sends it."""

READ_AGAIN = 500
"""Records of a batch that are read again for a member that lies deep."""


class MissingColumns:
    """Finds batch by batch which columns of an entity are absent.

    ``absent``     columns that were filled before and whose member no record has; the tables lack them
    ``vanished``   columns that the source itself reports as absent (``ReadContext.mark_absent``)
    ``flag_sent``  of a sample of the records: how many had the vendor's deleted flag, be it null
    ``has_archived``  whether the table has rows that the flag tombstoned; asked once, when no record of a batch has it
    """

    def __init__(self, entity: Entity, flag_column: Column | None) -> None:
        """``flag_column`` is read from the vendor's deleted flag, if it has one."""
        self.entity = entity
        self.absent: set[str] = set()
        self.vanished: set[str] = set()
        self.flag_sent = Sent(0, 0)
        self.has_archived: Callable[[], bool] = lambda: True
        self._flag, self._flag_column = entity.deletes.column, flag_column
        self._flag_expected: Sent | None = None
        self._flag_was_kept = False
        self._expected: dict[str, float] = {}
        self._unseen: Mapping[str, int] = {}

    def expect(self, shares: Mapping[str, float], stood: Standing) -> None:
        """Set which share of the records had a value in each column the last time, and how the columns stood."""
        entity, absent = self.entity, stood.absent
        needed = {*entity.keys, entity.cursor, entity.version, entity.deletes.merged_keys}
        self._expected = {name: share for name, share in shares.items() if name in entity.columns.keys() - needed}
        self.absent = set(absent) & entity.columns.keys() - needed
        self._expected |= dict.fromkeys(self.absent, 1.0)
        self._unseen = stood.unseen
        if self._flag:
            self._flag_expected = stood.flag
            self.absent |= {self._flag} & absent

    def unseen(self, read: int) -> dict[str, int]:
        """Return how many records, of earlier runs too, came since one had the member of a column; where one is due.

        ``read`` is how many records this run has read.
        """
        return {
            name: without
            for name in self._expected.keys() - self.absent
            if (without := self._unseen.get(name, 0) + read)
        }

    def kept(self, arrays: Mapping[str, pa.Array], raws: Sequence[bytes], read: int) -> set[str]:
        """Return the columns that the batch of ``raws`` is loaded without; ``read`` counts the records up to here."""
        self._look_for_absent(arrays, raws, read)
        flag_kept = self._keeps_flag(raws, read)
        self.absent |= self.vanished_values
        kept = self.absent | {name for name, phone in self.entity.e164.items() if phone in self.absent}
        if self._flag:
            kept -= {self._flag}
            kept |= {"archived", "deleted_at"} & arrays.keys() if flag_kept else set()
        return kept

    @property
    def vanished_values(self) -> set[str]:
        """Those of the vanished columns that a merge can do without."""
        entity = self.entity
        values = {*entity.columns, *([self._flag] if self._flag else [])}
        return (self.vanished & values) - {*entity.keys, entity.cursor, entity.version, entity.deletes.merged_keys}

    def _look_for_absent(self, arrays: Mapping[str, pa.Array], raws: Sequence[bytes], read: int) -> None:
        """Note the expected columns that no record had so far; one that is there, be it null, is expected no more."""
        if not raws:
            return
        for name, share in list(self._expected.items()):
            array = arrays[name]
            if array.null_count < len(array) or _is_sent(self.entity.columns[name], raws):
                del self._expected[name]
                self.absent.discard(name)
            else:
                without = self._unseen.get(name, 0) + read
                if without >= ENOUGH_RECORDS and share * without >= EXPECTED_VALUES:
                    self.absent.add(name)

    def _keeps_flag(self, raws: Sequence[bytes], read: int) -> bool:
        """Whether what the vendor deleted stays so in this batch, because no record of it has the deleted flag.

        A vendor that sends the flag with every record would send it as false, or null, with one that it restored. Of
        one that sends it now and then, or of which nothing is known yet, so many records must lack it as of a column.
        """
        if not self._flag or self._flag_column is None:
            return False
        if self._flag in self.vanished:
            return True
        if not raws or self._flag_expected is None:
            return False
        paths = _paths(self._flag_column)
        sample = [ANY.decode(raw) for raw in raws[:FLAG_SAMPLE]]
        sent = sum(any(has_member(record, path) for path in paths) for record in sample)
        self.flag_sent = Sent(self.flag_sent.sent + sent, self.flag_sent.of + len(sample))
        if sent or _is_sent(self._flag_column, raws):
            if not self._flag_was_kept:
                self.absent.discard(self._flag)
            return False
        usual = self._flag_expected
        share = usual.sent / usual.of if usual.of >= ENOUGH_RECORDS else 1.0
        always = share >= ALWAYS and usual.of >= ENOUGH_RECORDS
        enough = read >= ENOUGH_RECORDS and share * read >= EXPECTED_VALUES
        if self._flag in self.absent or ((always or enough) and self.has_archived()):
            self.absent.add(self._flag)
            self._flag_was_kept = True
            return True
        return False


def _is_sent(column: Column, raws: Sequence[bytes]) -> bool:
    """Whether a record of the batch has the member of a column; of those that lie deep, a few hundred are read."""
    paths = _paths(column)
    spelled = {msgspec.json.encode(path[-1]) for path in paths}
    likely = [raw for raw in raws if any(name in raw for name in spelled)]
    return any(has_member(ANY.decode(raw), path) for raw in likely[:READ_AGAIN] for path in paths)


def _paths(column: Column) -> list[list[str]]:
    return [path.split(".") for path in column.members]
