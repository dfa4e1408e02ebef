"""Make the folders of a template in Google Drive; move, rename, share, trash and restore what is there.

``apply_template`` makes, for a company, lead, deal or contact, one folder of its name below ``GDRIVE_ROOT_FOLDER_ID``
(or takes the one that PipeDesk or somebody made) and in it the folders of ``pipedesk.drive_structure_nodes``, in their
order, with their placeholders filled.

**No second folder**: two folders of Drive may have the same name, so a folder is known by its id alone. Ids are asked
of Drive beforehand and stored (``pipedesk.drive_applied_nodes``) before the first folder is made; whoever tries again,
after a kill at whatever moment, asks for the same ids. So a tree half made is completed, and a second apply makes
nothing. A folder keeps its place in the template when people rename or move it. One that people trashed is not made
again, and one that Drive no longer shows (deleted for good, or no longer shared) neither, unless that is asked for.

Whose a folder is stands in that table, so the view ``pipedesk.google_drive_folders_v`` knows it when the properties at
Drive, which the folders also get, are lost.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.google_drive import FILES, SHARING, DrivePartner
from warehouse_pipelines.outbound.ledger import Change, Item, Plan
from warehouse_pipelines.outbound.run import Outbound, connected
from warehouse_pipelines.outbound.values import Value
from warehouse_pipelines.queries import query
from warehouse_pipelines.settings import settings
from warehouse_pipelines.sources import gdrive

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

KINDS = ("company", "lead", "deal", "contact")
ROLES = ("reader", "commenter", "writer", "fileOrganizer", "organizer")


@dataclass(frozen=True)
class FolderOwner:
    """Whose folders these are: a row of PipeDesk."""

    kind: str
    id: str
    name: str
    table: str

    @property
    def subject(self) -> str:
        return f"{self.table}:{self.id}"


class _Node(NamedTuple):
    """A folder of the template; 0 stands for the one above all of them."""

    id: int
    parent: int
    name: str


def folder_owner(session: "Session", kind: str, id_: str) -> FolderOwner:
    """Return a company, lead, deal or contact. Raises ``WrongUse`` where there is none, or nothing to name it by."""
    if kind not in KINDS:
        raise WrongUse(f"{kind!r} has no folders; {', '.join(KINDS)} have.")
    try:
        uuid = UUID(id_)
    except ValueError:
        raise WrongUse(f"{id_!r} is no id of a {kind}.") from None
    row = session.execute(query("template_entity"), {"type": kind, "id": uuid}).fetchone()
    if row is None:
        raise WrongUse(f"There is no {kind} {uuid} in the schema pipedesk.")
    if row["archived"]:
        raise WrongUse(f"The {kind} {uuid} was deleted; it gets no folders.")
    if not (row["name"] or "").strip():
        raise WrongUse(f"The {kind} {uuid} has no name to call its folder by.")
    return FolderOwner(kind, str(uuid), " ".join(row["name"].split()), row["table_name"])


def _template(session: "Session", kind: str, name: str | None) -> Mapping[str, Any]:
    found = session.execute(
        "SELECT id, name FROM pipedesk.drive_structure_templates WHERE entity_type = %s AND active ORDER BY name",
        [kind],
    ).fetchall()
    chosen = [row for row in found if name in (None, row["name"])]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(row["name"] for row in found) or "none"
    if chosen:
        raise WrongUse(f"There are several templates for a {kind}; name one of: {there}.")
    raise WrongUse(f"There is no active template{f' {name!r}' if name else ''} for a {kind}. There are: {there}.")


def _nodes(session: "Session", template: Mapping[str, Any], of: FolderOwner) -> list[_Node]:
    """Return the folders to be made, parents first. Raises ``WrongUse`` for a placeholder without a value."""
    now = datetime.now(settings().warehouse_time_zone)
    values = {
        "entity_name": of.name, "entity_id": of.id, "entity_type": of.kind, "year": f"{now:%Y}", "month": f"{now:%m}",
        "date": f"{now:%Y-%m-%d}",
    }  # fmt: skip
    rows = session.execute(
        query("template_nodes"), {"template": template["id"], "values": json.dumps(values)}
    ).fetchall()
    if not rows:
        raise WrongUse(f"The template {template['name']} has no folders.")
    nodes = [_Node(row["id"], row["parent_id"] or 0, " ".join(row["name"].split())) for row in rows]
    for node in nodes:
        without_value = re.findall(r"\{\{\s*(\w+)\s*\}\}", node.name.replace(of.name, ""))
        if without_value or not node.name:
            raise WrongUse(
                f"The folder {node.name!r} of the template {template['name']} has a placeholder without a value; there "
                f"are {', '.join(values)}."
            )
    return [_Node(0, -1, of.name), *nodes]


def plan_template(
    at_work: Outbound, kind: str, id_: str, *, by: str, why: str | None = None, template: str | None = None,
    anew: bool = False,
) -> Plan:  # fmt: skip
    """Plan what is missing of the folders of a template.

    ``anew`` makes folders again that Drive no longer shows.

    Raises ``WrongUse`` for whom there is no template, no root folder, or no value for a placeholder.
    """

    def find() -> list[Item]:
        of = folder_owner(at_work.session, kind, id_)
        nodes = _nodes(at_work.session, _template(at_work.session, kind, template), of)
        return _missing(at_work, of, nodes, anew=anew)

    return at_work.plan_by_hand(find, by, why)


def _missing(at_work: Outbound, of: FolderOwner, nodes: Sequence[_Node], *, anew: bool) -> list[Item]:
    """Return the folders that are to be made, with their ids, which are stored; and what is in the way."""
    partner = at_work.partner
    assert isinstance(partner, DrivePartner)  # noqa: S101  (the partner of the target)
    session = at_work.session
    known = _stored(session, of)
    if 0 not in known and (home := session.execute(query("entity_folder"), {"type": of.kind, "id": of.id}).fetchone()):
        known[0] = home["folder_id"]
        session.execute(
            "INSERT INTO pipedesk.drive_applied_nodes (folder_id, entity_type, entity_id) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [known[0], of.kind, of.id],
        )
    there = partner.read(list(known.values()))
    root = gdrive.Settings().gdrive_root_folder_id.strip()
    if not root and known.get(0) not in there:
        raise WrongUse("GDRIVE_ROOT_FOLDER_ID is not set: it names the folder below which folders are made.")
    vanished = [node.id for node in nodes if node.id in known and known[node.id] not in there]
    made = _made_before(session, list(known.values()))
    again = [one for one in vanished if known[one] in made]
    if anew and again:
        session.execute(
            "DELETE FROM pipedesk.drive_applied_nodes WHERE folder_id = ANY(%s)", [[known[one] for one in again]]
        )
        known = {node: folder for node, folder in known.items() if node not in again}
        again = []
    known |= _reserve(session, of, [node.id for node in nodes if node.id not in known], partner)
    items = []
    refused: set[int] = set()
    for node in nodes:
        folder = known[node.id]
        parent = root if node.parent < 0 else known[node.parent]
        record = there.get(folder)
        if record is not None and not record.values["trashed"]:
            continue
        new = {
            "id": folder, "name": node.name, "parent": parent, "entity_type": of.kind, "entity_id": of.id,
        }  # fmt: skip
        item = Item(
            action="create", source_key=folder, object_id=folder, subject=of.subject,
            fields={name: Change(None, value) for name, value in new.items()},
        )  # fmt: skip
        if record is not None:
            item.reason = "somebody trashed it; `warehouse google folder restore` brings it back"
        elif node.id in again:
            item.reason = "Drive no longer shows it: deleted for good, or not shared any more; --anew makes another"
        elif node.parent in refused:
            item.reason = "the folder above it is not there"
        if item.reason:
            item.action, item.status, item.fields = "update", "refused", {}
            refused.add(node.id)
        items.append(item)
    return items


def _stored(session: "Session", of: FolderOwner) -> dict[int, str]:
    rows = session.execute(
        "SELECT coalesce(node_id, 0) AS node, folder_id FROM pipedesk.drive_applied_nodes"
        " WHERE entity_type = %s AND entity_id = %s",
        [of.kind, of.id],
    ).fetchall()
    return {row["node"]: row["folder_id"] for row in rows}


def _made_before(session: "Session", folders: Sequence[str]) -> set[str]:
    """Return which of these folders were there once, as far as the warehouse knows."""
    rows = session.execute(
        "SELECT folder_id FROM pipedesk.google_drive_folders WHERE folder_id = ANY(%(ids)s) UNION "
        "SELECT object_id FROM reverse_etl.receipt WHERE target = 'google_files' AND object_id = ANY(%(ids)s)"
        " AND action = 'create' AND status IN ('written', 'partial')",
        {"ids": list(folders)},
    ).fetchall()
    return {row["folder_id"] for row in rows}


def _reserve(session: "Session", of: FolderOwner, nodes: Sequence[int], partner: DrivePartner) -> dict[int, str]:
    """Take ids for folders and store them, committed before a folder is made."""
    if not nodes:
        return {}
    taken = dict(zip(nodes, partner.generate_ids(len(nodes)), strict=True))
    with session.transaction(), session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO pipedesk.drive_applied_nodes (folder_id, entity_type, entity_id, node_id)"
            " VALUES (%s, %s, %s, %s)",
            [(folder, of.kind, of.id, node or None) for node, folder in taken.items()],
        )
    return taken


def folder_of(session: "Session", kind: str, id_: str) -> str:
    """Return the folder above all of a template's. Raises ``WrongUse`` where there is none yet."""
    of = folder_owner(session, kind, id_)
    home = session.execute(query("entity_folder"), {"type": of.kind, "id": of.id}).fetchone()
    folder = _stored(session, of).get(0) or (home and home["folder_id"])
    if not folder:
        raise WrongUse(f"The {kind} {id_} has no folder yet.")
    return str(folder)


def plan_change(
    at_work: Outbound, files: Sequence[str], changes: Mapping[str, Value], *, by: str, why: str | None = None
) -> Plan:
    """Plan to rename, move (``parent``), trash or restore (``trashed``) files and folders.

    Raises ``WrongUse`` for one that Drive does not show, for one in the trash that is not to be restored, for a folder
    that would lie in itself, and for a destination that is deleted, in the trash or no folder.
    """

    for one in [*files, *filter(None, [changes.get("parent")])]:
        _require_id(one)

    def find() -> list[Item]:
        assert isinstance(at_work.partner, DrivePartner)  # noqa: S101  (the partner of the target)
        if (parent := changes.get("parent")) and (problem := at_work.partner.no_destination(parent)):
            raise WrongUse(f"{problem}.")
        there = at_work.partner.read(list(files))
        items = []
        for one in dict.fromkeys(files):
            record = there.get(one)
            if record is None:
                raise WrongUse(f"Google Drive shows no file {one} to the service account.")
            if record.values["trashed"] and "trashed" not in changes:
                raise WrongUse(f"{one} is in the trash; `warehouse google folder restore` brings it back.")
            if changes.get("parent"):
                _require_outside(at_work, one, str(changes["parent"]))
            fields = {
                name: Change(record.values[name], value)
                for name, value in changes.items()
                if record.values[name] != value
            }
            if fields:
                items.append(Item(action="update", source_key=one, object_id=one, fields=fields))
        return items

    return at_work.plan_by_hand(find, by, why)


def _require_id(text: str) -> None:
    if not re.fullmatch(r"[\w-]+", text):
        raise WrongUse(f"{text!r} is no id of a file or folder: it is the last part of its address in Drive.")


def _require_outside(at_work: Outbound, file: str, parent: str) -> None:
    above: str | None = parent
    seen: set[str] = set()
    while above and above not in seen:
        if above == file:
            raise WrongUse(f"{file} cannot be moved to {parent}, which lies in it.")
        seen.add(above)
        record = at_work.partner.read([above]).get(above)
        above = record.values["parent"] if record else None


def shares(text: Sequence[str]) -> dict[str, Value]:
    """Return roles by address of texts such as ``writer:anna@example.com`` and ``reader:group:sales@example.com``.

    Raises ``WrongUse`` for anything else; the role ``none`` takes the address out.
    """
    found: dict[str, Value] = {}
    for one in text:
        role, _, address = one.strip().partition(":")
        type_, _, email = address.partition(":") if address.startswith(("user:", "group:")) else ("user", "", address)
        if role not in (*ROLES, "none") or not re.fullmatch(r"[^\s@;,]+@[^\s@;,]+", email):
            raise WrongUse(
                f"{one!r} does not say with whom to share; write ROLE:ADDRESS or ROLE:group:ADDRESS, with one of "
                f"{', '.join(ROLES)}, or none."
            )
        found[f"{type_}:{email.lower()}"] = None if role == "none" else role
    return found


def default_shares() -> dict[str, Value]:
    """Return what ``GDRIVE_SHARE`` says. Raises ``NotConfigured`` when a setting of Drive is missing."""
    gdrive.GDRIVE.require_settings()
    return shares([one for one in gdrive.Settings().gdrive_share.split(",") if one.strip()])


def plan_shares(
    at_work: Outbound, file: str, wanted: Mapping[str, Value], *, by: str, why: str | None = None, subject: str = "",
    once: bool = False,
) -> Plan:  # fmt: skip
    """Plan with whom a file or folder is shared; of others that it is shared with nothing changes.

    ``once`` leaves out whom it was shared with from here before: what became of that since is somebody's decision.

    Raises ``WrongUse`` for a file that Drive does not show. Its owner stays its owner.
    """

    _require_id(file)

    def find() -> list[Item]:
        there = at_work.partner.read([f"{file} {address}" for address in wanted])
        if wanted and not there:
            raise WrongUse(f"Google Drive shows no file {file} to the service account.")
        sent = ledger.last_sent(at_work.session, SHARING.name, list(there)) if once else {}
        return [
            Item(
                action="update", source_key=key, object_id=key, subject=subject or None,
                fields={"role": Change(record.values["role"], wanted[key.split(" ")[1]])},
            )
            for key, record in there.items()
            if record.values["role"] not in (wanted[key.split(" ")[1]], "owner") and (key, "role") not in sent
        ]  # fmt: skip

    return at_work.plan_by_hand(find, by, why)


def apply_template(
    url: str, kind: str, id_: str, *, by: str, why: str | None = None, template: str | None = None,
    anew: bool = False, share: Mapping[str, Value] | None = None,
) -> list[Plan]:  # fmt: skip
    """Make what is missing of the folders of a template, and share the topmost (as ``GDRIVE_SHARE`` says by default).

    Returns the plans as they were applied. Raises as ``plan_template`` and ``applying.run`` do.
    """
    with connected(url, FILES) as at_work:
        plan = plan_template(at_work, kind, id_, by=by, why=why, template=template, anew=anew)
        done = [at_work.apply(plan, by, force=True) if plan.changes else plan]
        of = folder_owner(at_work.session, kind, id_)
        folder = folder_of(at_work.session, kind, id_)
        shown = folder in at_work.partner.read([folder])
    wanted = default_shares() if share is None else share
    if wanted and shown:
        with connected(url, SHARING) as at_work:
            plan = plan_shares(at_work, folder, wanted, by=by, why=why, subject=of.subject, once=share is None)
            done.append(at_work.apply(plan, by, force=True) if plan.changes else plan)
    return done


def change_files(
    url: str, files: Sequence[str], changes: Mapping[str, Value], *, by: str, why: str | None = None
) -> Plan:
    """Rename, move, trash or restore files and folders; see ``plan_change``."""
    with connected(url, FILES) as at_work:
        plan = plan_change(at_work, files, changes, by=by, why=why)
        return at_work.apply(plan, by, force=True) if plan.changes else plan
