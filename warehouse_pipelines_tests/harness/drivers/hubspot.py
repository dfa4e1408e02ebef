"""HubSpot, as the battery sees it."""

from datetime import UTC, datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines_tests.harness.drivers.driver import Key


class HubSpotDriver:
    """Objects, the pairs between them, and what makes their codes readable."""

    def __init__(self, simulator: HubSpot) -> None:
        self.simulator = simulator

    def _name(self, entity: Entity) -> str:
        return _plural(entity.path)

    def _ends(self, entity: Entity) -> tuple[str, str]:
        one, _, other = entity.path.partition("/")
        return _plural(one), _plural(other)

    @staticmethod
    def _lookup(entity: Entity) -> str | None:
        """Return what the simulator calls owners, pipelines and stages; None for objects and pairs."""
        kind = entity.path.rpartition("/")[2]
        if entity.path.startswith("pipelines/"):
            return "stages" if kind == "stages" else "pipelines"
        return "owners" if kind == "owners" else None

    def prepare(self, entity: Entity) -> None:
        if self._lookup(entity):
            return
        # A pair has one association then, and not a primary one as well; it can be deleted as one row.
        for _ in range(1 if entity.parent else 2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        if kind := self._lookup(entity):
            return {(key,) for key in self.simulator.lookup_ids(kind)}
        if not entity.parent:
            return {(key,) for key in self.simulator.ids(self._name(entity))}
        one, other = self._ends(entity)
        source, target = self.simulator.portal.stores[one], self.simulator.portal.stores[other]
        return {
            (source.id_of(number), target.id_of(neighbour), str(type_id))
            for number in source.live_after(-1)
            for neighbour, types in self.simulator.portal.associations.edges(one, other, number)
            for _, type_id, _ in types
        }

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if kind := self._lookup(entity):
            key = self.simulator.lookup_ids(kind)[-1]
            column, field = ("last_name", "lastName") if kind == "owners" else ("label", "label")
            self.simulator.edit_lookup(kind, key, **{field: "edited over there"})
            return (key,), column, "edited over there"
        if entity.parent:
            return None
        name = self._name(entity)
        key = self.simulator.ids(name)[-1]
        known = self.simulator.portal.stores[name].kind.properties
        column, path = next(
            (name, path.removeprefix("properties."))
            for name, column in entity.columns.items()
            for path in column.paths
            if column.kind == "text" and path.removeprefix("properties.") in known and not name.startswith("hs_")
        )
        self.simulator.edit(name, key, {path: "edited over there"})
        return (key,), column, "edited over there"

    def create(self, entity: Entity) -> Key | None:
        if kind := self._lookup(entity):
            return (self.simulator.create_lookup(kind),)
        if not entity.parent:
            return (self.simulator.create(self._name(entity)),)
        one, other = self._ends(entity)
        have = {key[:2] for key in self.keys(entity)}
        ids = ((here, there) for here in self.simulator.ids(one) for there in self.simulator.ids(other))
        here, there = next(pair for pair in ids if pair not in have)
        self.simulator.associate(one, here, other, there)
        return next(key for key in self.keys(entity) if key[:2] == (here, there))

    def delete(self, entity: Entity) -> Key:
        if kind := self._lookup(entity):
            key = self.simulator.lookup_ids(kind)[-1]
            self.simulator.remove_lookup(kind, key)
            return (key,)
        if not entity.parent:
            key = self.simulator.ids(self._name(entity))[-1]
            self.simulator.archive(self._name(entity), key)
            return (key,)
        before = self.keys(entity)
        pair = min(key for key in before if sum(other[:2] == key[:2] for other in before) == 1)
        one, other = self._ends(entity)
        self.simulator.dissociate(one, pair[0], other, pair[1])
        return pair

    def bring_back(self, entity: Entity, key: Key) -> None:
        if kind := self._lookup(entity):
            self.simulator.restore_lookup(kind, key[0])
        elif entity.parent:
            one, other = self._ends(entity)
            self.simulator.associate(one, key[0], other, key[1])
        else:
            self.simulator.restore(self._name(entity), key[0])

    def empty(self, entity: Entity) -> None:
        if kind := self._lookup(entity):
            self.simulator.clear_lookup(kind)
        elif entity.parent:
            one, other = self._ends(entity)
            for here, there in self.simulator.pairs(one, other):
                self.simulator.dissociate(one, here, other, there)
        else:
            for key in self.simulator.ids(self._name(entity)):
                self.simulator.expire(self._name(entity), key)

    def path(self, entity: Entity) -> str:
        if kind := self._lookup(entity):
            return "/owners" if kind == "owners" else "/pipelines"
        return "/associations/" if entity.parent else "/objects/"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        kind = cls._lookup(entity)
        if entity.parent or kind == "stages":
            return None  # these records are built by our own fetch
        return "created_at" if kind else entity.cursor

    def corrupt(self, entity: Entity, what: str) -> None:
        if self._lookup(entity):
            self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property="createdAt")
            return
        assert entity.cursor
        path = entity.columns[entity.cursor].path.removeprefix("properties.")
        # A read of everything begins with the ids of the archived list.
        self.simulator.set_fault("malformed", path=self.path(entity), after=1, times=1, what=what, property=path)

    def bounds(self, entity: Entity) -> list[datetime]:
        found = []
        for entry in self.simulator.requests()["log"]:
            if entry["path"].endswith("/search"):
                filters = entry["body"]["filterGroups"][0]["filters"]
                lower = next(int(one["value"]) for one in filters if one["operator"] == "GTE")
                found.append(datetime.fromtimestamp(lower / 1000, UTC))
            elif (
                entry["path"].count("/") == 4
                and entry["query"].get("archived") == ["false"]
                and "limit" in entry["query"]
            ):
                found.append(datetime.min.replace(tzinfo=UTC))
        return found

    def fixed_size(self, entity: Entity) -> bool:
        return entity.parent is not None or entity.path.startswith("pipelines/")


def _plural(path: str) -> str:
    """Return what the simulator calls an object type that a row names."""
    return path.removeprefix("custom:").removesuffix("s") + "s"


DRIVER = HubSpotDriver
