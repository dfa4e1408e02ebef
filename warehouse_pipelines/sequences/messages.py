"""Messages of sequences as a person sees them, and what only a person decides: parked, uncertain, left to people."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.sequences.step import SENT
from warehouse_pipelines.unified.acting import acting

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Outcome = Literal["done", "again", "skip"]


def sequences(session: "Session", organization: UUID) -> list[dict[str, Any]]:
    """Return the sequences with their enrollments by status."""
    with acting(session, organization, "sequence"):
        return session.execute(query("sequence_list"), {"organization": organization}).fetchall()


def shown(session: "Session", organization: UUID, status: str | None, limit: int) -> list[dict[str, Any]]:
    """Return messages of a status, newest first, or those that are open; ``blocked`` says who must not be reached."""
    given = {"organization": organization, "status": status, "limit": limit}
    with acting(session, organization, "sequence"):
        return session.execute(query("sequence_messages"), given).fetchall()


def settle(session: "Session", organization: UUID, message: UUID, outcome: Outcome, result: str = "") -> str:
    """Decide what became of an open message, and have its sequence go on; return where the enrollment stands then.

    ``done``: it was sent, or done by a person, with what came of it in ``result``. ``again``: hand it over once more.
    ``skip``: leave the step out. Raises ``WrongUse`` where there is no such message, or a worker has it just now.
    """
    with acting(session, organization, "sequence"):
        found = session.execute(
            "SELECT m.enrollment_id AS enrollment, m.step, m.lead_id AS lead, m.channel, m.status, e.status AS stands"
            " FROM crm.sequence_message AS m JOIN crm.lead_sequence_enrollments AS e"
            " ON e.organization_id = m.organization_id AND e.id = m.enrollment_id"
            " WHERE m.organization_id = %s AND m.id = %s FOR UPDATE",
            [organization, message],
        ).fetchone()
        if found is None:
            raise WrongUse(f"There is no message {message}. `warehouse sequences messages` lists those that are open.")
        if found["status"] not in ("waiting", "retry", "parked", "uncertain"):
            raise WrongUse(f"Message {message} is {found['status']}; nothing is to be decided of it.")
        given = {"organization": organization, **found}
        if outcome == "again":
            _again(session, given)
        elif outcome == "done":
            status = "sent" if found["channel"] in SENT else "done"
            session.execute(query("sequence_settle"), {**given, "status": status, "reference": "a person said so"})
            session.execute(query("sequence_resume"), given)
            session.execute(
                "SELECT crm.advance_enrollment(%(enrollment)s, done_step => %(step)s, lease => interval '0',"
                " outcome => jsonb_build_object('status', %(result)s::text))",
                {**given, "result": result or "done"},
            )
        else:
            session.execute(query("sequence_note"), {**given, "status": "withheld", "problem": "left out by a person"})
            session.execute(query("sequence_skip"), given)
        now = warehouse.value(
            session,
            "SELECT status FROM crm.lead_sequence_enrollments WHERE organization_id = %s AND id = %s",
            [organization, found["enrollment"]],
        )
    return now or "deleted"


def settle_parked(session: "Session", organization: UUID, problem: str, outcome: Outcome) -> Counter[str]:
    """Decide all parked messages whose problem has these words; return how many enrollments stand where then.

    What cannot be decided so, because its enrollment has ended or somebody decided it meanwhile, is ``left as it is``.
    """
    given = {"organization": organization, "problem": problem}
    with acting(session, organization, "sequence"):
        found = session.execute(query("sequence_parked"), given).fetchall()
    stand: Counter[str] = Counter()
    for row in found:
        try:
            stand[settle(session, organization, row["id"], outcome)] += 1
        except WrongUse:
            stand["left as it is"] += 1
    return stand


def _again(session: "Session", given: dict[str, Any]) -> None:
    if given["stands"] in ("completed", "stopped"):
        raise WrongUse(f"The enrollment is {given['stands']}, so nothing more is sent. Decide `done` or `skip`.")
    session.execute(query("sequence_note"), {**given, "status": "retry", "problem": "to be tried again"})
    session.execute(query("sequence_attempts"), {**given, "change": None})
    session.execute(query("sequence_resume"), given)
    session.execute(
        "UPDATE crm.lead_sequence_enrollments SET next_run_at = now()"
        " WHERE organization_id = %(organization)s AND id = %(enrollment)s AND status = 'active'",
        given,
    )


def resume(session: "Session", organization: UUID, enrollment: UUID) -> None:
    """Have an enrollment go on that a reply paused.

    Raises ``WrongUse`` for one that is not paused, or has a message to decide.
    """
    with acting(session, organization, "sequence"):
        given = {"organization": organization, "enrollment": enrollment}
        open_ = session.execute(
            "SELECT m.id, m.status FROM crm.sequence_message AS m WHERE m.organization_id = %(organization)s"
            " AND m.enrollment_id = %(enrollment)s AND m.status IN ('parked', 'uncertain')",
            given,
        ).fetchone()
        if open_:
            raise WrongUse(f"Its message {open_['id']} is {open_['status']}: `warehouse sequences settle` decides it.")
        if not session.execute(query("sequence_resume"), given).rowcount:
            raise WrongUse(f"There is no paused enrollment {enrollment}.")
