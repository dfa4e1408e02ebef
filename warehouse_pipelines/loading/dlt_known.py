"""What a ``fetch`` may ask where there is no warehouse: the vendor again, dlt's state, or nobody.

- ``keys`` and ``records`` of another table of the same vendor are read from the vendor once more. Of the table that is
  read itself no key is known.
- ``archived`` is in dlt's state.
- ``records`` and ``hashes`` of the table that is read are nowhere. A read of everything does without them; a read that
  would go on from a stored record gets ``NotStored`` and is begun again as a read of everything (``dlt_read``).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from warehouse_pipelines.loading.dlt_state import DltState
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json, NotStored, Window


class DltKnown:
    """Answers one read of ``entity``; ``anew`` says that it reads everything and goes on from nothing.

    ``read_again`` reads another entity of the vendor and yields its tables.
    """

    def __init__(
        self, entity: Entity, entities: Iterable[Entity], state: DltState, *, anew: bool,
        read_again: Callable[[Entity], Iterable[pa.Table]],
    ) -> None:  # fmt: skip
        self._entity, self._state, self._anew, self._read_again = entity, state, anew, read_again
        self._others = {other.table: other for other in entities if other.table != entity.table}
        self._read: dict[str, dict[str, Json]] = {}

    def keys(self, table: str) -> Iterator[str]:
        """Yield the keys of another table of this vendor, in order; none of the one that is read."""
        return iter(sorted(self._records(table))) if table in self._others else iter(())

    def keys_in(self, entity: Entity, window: Window) -> Iterator[tuple[str, ...]]:
        """Yield nothing: no row of the table that is read is known."""
        return iter(())

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return the keys that the vendor archived at ``since`` or later, as far as the state has them."""
        return self._state.archived(since) if table == self._entity.table else set()

    def records(self, table: str, keys: Sequence[str], key: str = "id", *, living: bool = False) -> dict[str, Json]:
        """Return records of another table of this vendor. Raises ``NotStored`` for the one that is read."""
        if table in self._others:
            found = self._records(table)
            return {key: found[key] for key in keys if key in found}
        if not self._anew:
            raise NotStored(f"{table}: without a warehouse there are no stored records")
        return {}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield nothing. Raises ``NotStored`` unless everything is read anyway."""
        if not self._anew:
            raise NotStored(f"{entity.table}: without a warehouse there are no stored rows")
        return iter(())

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return nothing: no value is kept where the vendor sends none any more."""
        return set()

    def _records(self, table: str) -> dict[str, Json]:
        """Return the records of another table, read once."""
        if table not in self._read:
            entity = self._others[table]
            found = self._read[table] = {}
            for batch in self._read_again(entity):
                keys = zip(*(batch[key].to_pylist() for key in entity.keys), strict=True)
                found |= {
                    " ".join(map(str, parts)): record.encode()
                    for parts, record in zip(keys, batch["raw_data"].to_pylist(), strict=True)
                }
        return self._read[table]
