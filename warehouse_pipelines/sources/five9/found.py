"""Keep which contacts were found, so that each becomes one record whichever answers show it.

**The key** ``id`` is the ``contactID`` if the domain has such a field and the contact a value, else a hash of number1,
first and last name. A contact that two answers show is one record. Of two contacts with one key and different creation
times the second gets a hash of both; without creation times they count as one (``listed_again``). A contact that gets
an id, or without one another name or number, becomes another row; the former is marked as missing.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from warehouse_pipelines.errors import CursorStuck
from warehouse_pipelines.sources.five9.answers import Shown
from warehouse_pipelines.sources.five9.domain import Domain, digest


class FoundContacts:
    """The contacts found so far, by key; ``again`` counts those that were listed more than once."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.again = 0
        self._keyless = 0
        self._created: dict[str, int] = {}
        self._answers: set[bytes] = set()

    @property
    def number(self) -> int:
        """How many contacts were found."""
        return len(self._created) + self._keyless

    def __contains__(self, key: str) -> bool:
        return key in self._created

    def new(self, shown: Shown, *, elsewhere: bool = False, listed_again: bool = True) -> Iterator[list[bytes]]:
        """Yield the records of the contacts that were not found before, if there are any.

        Raises ``CursorStuck`` if two answers are the same, unless this one may repeat contacts of other parts
        (``elsewhere``). Contacts that were found before count as ``again``, unless ``listed_again`` is False because
        the lookup was made to show them.
        """
        if not shown.rows:
            return
        if not elsewhere:
            answer = hashlib.sha256(b"".join(sorted(map(msgspec.json.encode, shown.rows)))).digest()
            if answer in self._answers:
                raise CursorStuck("Five9 answered two lookups with the same contacts; reading on would prove nothing.")
            self._answers.add(answer)
        records = []
        for key, created, row in self.domain.contacts(shown):
            if key is None:
                self._keyless += 1
                records.append(self.domain.record(None, shown.names, row))
                continue
            mine = self.identity(key, created)
            if mine in self._created:
                self.again += listed_again
            else:
                self._created[mine] = hash(created)
                records.append(self.domain.record(mine, shown.names, row))
        if records:
            yield records

    def identity(self, key: str, created: str) -> str:
        """Return the key, or a hash if a contact of another creation time has the same key."""
        return key if self._created.get(key, hash(created)) == hash(created) else digest(key, created)
