"""Random plans, applied and undone, while people edit, the vendor refuses and fails, and whoever applies is killed.

After each apply and each undo the portal is compared with what must be there (``expected_portal``).

Plans come in blocks of ``BLOCK``; each begins with new records, made from the seed and the number of the block, so that
a block can be repeated without those before it.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, VendorUnavailable
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.hubspot import MOST
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines_tests.harness.expected_portal import (
    BAD,
    PEOPLES,
    Applied,
    WrongState,
    check_undone,
    require,
)
from warehouse_pipelines_tests.harness.fault_points import Killed, apply_and_kill, killed_at
from warehouse_pipelines_tests.harness.portal_target import BY, PortalTarget, rows

BLOCK = 50
BIG = 1_000
FIRST_KEY = 90_001
KEYS = [str(FIRST_KEY + number) for number in range(25)]
VALUES = (None, "", "Lake", "Erie", "Geauga", "x" * 300, "ß — 'quoted' 100 %", "614 555 0123", " blanks ")
BRANCHES = (None, "Dayton", "Toledo")
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limit"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "html"},
    {"kind": "lost_answer"},
    {"kind": "reset"},
    {"kind": "truncated"},
)
TRIES = 8


class People:
    """What people do in the portal meanwhile."""

    def __init__(self, portal: PortalTarget, chance: random.Random, counts: Counter[str]) -> None:
        self._portal, self._random, self._counts = portal, chance, counts
        self._edit_no = 0

    def edit(self, *, unique: bool = False) -> dict[tuple[str, str], Any]:
        """Do what people do; return what they changed, by record and field. ``unique`` values are nobody else's."""
        hubspot = self._portal.hubspot
        done: dict[tuple[str, str], Any] = {}
        ids, divisions = list(self._portal.state()), hubspot.ids("divisions")
        for one in self._random.choices(ids, k=self._random.randint(1, 4)) if ids else ():
            if one not in self._portal.state():
                continue
            kind = self._random.random()
            self._edit_no += 1
            if kind < 0.1 and not unique:
                hubspot.archive("zipcodes", one)
            elif kind < 0.2 and not unique:
                hubspot.associate("zipcodes", one, "divisions", divisions[2])
                done[one, "divisions"] = None
            elif kind < 0.25 and not unique:
                hubspot.dissociate("zipcodes", one, "divisions", self._random.choice(divisions[:3]))
                done[one, "divisions"] = None
            else:
                name = self._random.choice(("city", "county", "state", "genius_phone", PEOPLES))
                value = (
                    f"edited {self._edit_no}"
                    if unique or self._random.random() < 0.5
                    else self._random.choice(VALUES) or None
                )
                hubspot.edit("zipcodes", one, {name: value})
                done[one, name] = value
            self._counts["edits by people"] += 1
        return done


class RandomPlans:
    """Plans of one seed against one portal; ``counts`` is what happened."""

    def __init__(
        self, portal: PortalTarget, seed: int, *, edits: bool = True, kills: bool = True, big_share: float = 0.01
    ) -> None:
        self.portal, self.seed, self.edits, self.kills, self.big_share = portal, seed, edits, kills, big_share
        self.counts: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []
        self.random = random.Random(seed)  # noqa: S311
        self._people = People(portal, self.random, self.counts)
        portal.hubspot.define_property("zipcodes", PEOPLES)
        self.divisions = {
            portal.hubspot.record("divisions", one)["properties"]["division_name"]: one
            for one in portal.hubspot.ids("divisions")
        }

    def run(self, first: int, number: int, done: Callable[[int], None] = lambda place: None) -> None:
        """Try so many plans from the first one on, which begins a block. Raises ``WrongState``."""
        place, block = first, -1
        while place < first + number:
            if place // BLOCK != block:
                block = place // BLOCK
                self._begin_block(block)
            place += self._plan(nested=self._chance(0.3))
            done(place)

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _begin_block(self, block: int) -> None:
        self.random.seed(f"{self.seed}/{block}")
        hubspot = self.portal.hubspot
        hubspot.clear_faults()
        hubspot.configure(refused_values=[], phones_as="sent", multi_status=False)
        hubspot.outbox.take()
        for one in hubspot.ids("zipcodes"):
            hubspot.archive("zipcodes", one)
        for place in (1, 2, 3, 3):
            hubspot.create("zipcodes", {"zipcode": KEYS[place], "county": "theirs", "state": "PA"})
        self.portal.give(*self._rows(12))
        self.portal.apply()

    def _rows(self, count: int) -> list[dict[str, Any]]:
        choose = self.random.choice
        if count > len(KEYS):
            made = [
                {**row, "city": choose(VALUES), "county": choose(VALUES), "branch": choose(BRANCHES)}
                for row in rows(count, first=FIRST_KEY)
            ]
            self.random.shuffle(made)
            return made
        return [
            {
                "key": key, "zipcode": choose((key, key, None)), "city": choose(VALUES), "county": choose(VALUES),
                "state": choose(VALUES), "genius_phone": choose((None, "+16145550123", "(614) 555-0123")),
                "genius_score": choose((None, "0", "7", "7.50")), "genius_served": choose((None, "true", "false")),
                "branch": choose(BRANCHES),
            }
            for key in self.random.sample(KEYS, count)
        ]  # fmt: skip

    def _size(self) -> int:
        if self._chance(self.big_share):
            return BIG
        return min(self.random.randint(1, 10), self.random.randint(1, 15))

    def _plan(self, *, nested: bool) -> int:
        """Plan, apply and undo, and another plan between if it is ``nested``; return how many plans that were."""
        hubspot, size = self.portal.hubspot, self._size()
        given = self._rows(size)
        hubspot.configure(
            phones_as=self.random.choice(("sent", "national")), multi_status=self._chance(0.5), refused_values=[BAD]
        )
        if self._chance(0.2):
            for row in self.random.sample(given, self.random.randint(1, 3) if size == BIG else 1):
                row["city"] = BAD
        self.portal.give(*given)
        plan = self.portal.plan()
        self.sizes.append((size, plan.changes))
        edited = self._people.edit() if self.edits and self._chance(0.2) else {}
        before = self.portal.state()
        plans, mid = self._applied(plan)
        after = self.portal.state()
        for (one, name), value in mid.items():
            if one in before:
                before[one][name] = value
        touched = {one for one, _ in mid}
        items = {item["source_key"]: item for each in plans for item in self.portal.items(each)}
        for row in given:
            item = items.get(row["key"])
            self.counts[f"records {item['status'] if item else 'unchanged'}"] += 1
        applied = Applied(before, after, {**edited, **mid}, touched, self.divisions)
        applied.check(given, items, several=len(plans) > 1)
        tried = 1
        if nested:
            tried += self._plan(nested=False)
        if self.edits and len(plans) == 1 and self._chance(0.4):
            self._people.edit()
        now = self.portal.state()
        for each in reversed(plans):
            self._undo(each)
        check_undone(before, after, now, self.portal.state(), touched)
        self.counts["plans"] += 1
        return tried

    def _applied(self, plan: Plan) -> tuple[list[Plan], dict[tuple[str, str], Any]]:
        """Apply a plan to its end, however often that fails; return the plans that did it, and edits meanwhile."""
        if not self._killed(plan):
            return [self._finish(plan)], {}
        mid = self._people.edit(unique=True) if self.edits and self._chance(0.3) else {}
        if not mid and self._chance(0.3):
            self.counts["continued by a new plan"] += 1
            newer = self._until_it_works(self.portal.plan)
            return [plan, self._finish(newer)], {}
        return [self._finish(plan)], mid

    def _killed(self, plan: Plan) -> bool:
        """Apply a plan and perhaps die of it; return whether that happened."""
        if not self.kills or not self._chance(0.3):
            return False
        if self._chance(0.03):
            with self._failing():
                child = apply_and_kill(self.portal.url, plan, after=self.random.randint(1, 3), most=MOST)
            require(child.returncode in (0, -9), "the child says", child.stderr)
            self.counts["killed by SIGKILL"] += child.returncode == -9
            self.portal.wait_until_free()
            return self.portal.status(plan) != "applied"
        try:
            with killed_at(self.random.randint(0, 300 if plan.changes > 100 else 60)), self._failing():
                self.portal.apply(plan)
        except Killed:
            self.counts["killed at a point"] += 1
            return True
        except (ActionNeeded, VendorUnavailable):
            return True
        return False

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Let the vendor fail now and then during the block."""
        if self._chance(0.25):
            action = self.random.choice(("batch/", "batch/read", "batch/create", "batch/update", "batch/archive"))
            limits: dict[str, Any] = {"times": self.random.randint(1, 3), "after": self.random.randint(0, 4)}
            fault: dict[str, Any]
            if self._chance(0.15):
                fault = {"kind": "lost_inputs", "keep": self.random.randint(0, 3), "path": "batch/create"}
            else:
                fault = {**self.random.choice(FAULTS), "path": action}
            self.portal.hubspot.set_fault(**fault, **limits)
        try:
            yield
        finally:
            self.counts["faults of the vendor"] += sum(one["fired"] for one in self.portal.hubspot.list_faults())
            self.portal.hubspot.clear_faults()

    def _until_it_works(self, work: Callable[[], Plan]) -> Plan:
        problem = ""
        for _ in range(TRIES):
            try:
                with self._failing():
                    return work()
            except (ActionNeeded, VendorUnavailable) as error:
                self.counts["attempts that the vendor's answers ended"] += 1
                problem = str(error)
        raise WrongState(f"does not come to its end: {problem}")

    def _finish(self, plan: Plan) -> Plan:
        return self._until_it_works(lambda: self.portal.finish(plan))

    def _undo(self, plan: Plan) -> None:
        """Undo until the vendor took back all that nobody changed."""
        with warehouse.session(self.portal.url) as session:
            if not ledger.receipts(session, plan.plan_id):
                return
        for _ in range(TRIES):
            with self.portal.outbound() as outbound:
                undo = outbound.plan_undo(plan, BY)
            if not self._killed(undo) or self._chance(0.7):
                self._finish(undo)
            elif self.portal.status(undo) == "applying" and self._chance(0.5):
                self._give_up(plan)
            else:
                self.counts["undo asked for again"] += 1
            if self.portal.status(plan) == "undone":
                return
        raise WrongState(f"plan {plan.plan_id} is not undone after {TRIES} attempts")

    def _give_up(self, plan: Plan) -> None:
        """Give up an undo that was begun, after nothing could be planned because of it."""
        self.counts["undo given up, and asked for again"] += 1
        with self.portal.outbound() as outbound:
            try:
                made = outbound.plan(BY)
            except ActionNeeded:
                outbound.give_up_undo(plan, BY)
            else:
                raise WrongState(f"plan {made.plan_id} was made while the undo of plan {plan.plan_id} waits")
