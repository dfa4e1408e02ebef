"""What ``warehouse outbound`` and the assets do, with a session and a vendor that share the budget of all runs."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, SyncRunning, WrongUse
from warehouse_pipelines.loading import vendor_account
from warehouse_pipelines.loading.erased import last_erasure
from warehouse_pipelines.loading.request_budget import RequestBudget
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound import applying, ledger, planning, undoing
from warehouse_pipelines.outbound.ledger import Item, Plan
from warehouse_pipelines.outbound.partner import Partner
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.outbound.undoing import Verdict
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


@dataclass(frozen=True)
class Outbound:
    """One target at work."""

    target: Target
    session: "Session"
    partner: Partner
    context: ReadContext
    url: str = ""

    def plan(self, by: str) -> Plan:
        """Make a plan. What an earlier one sent without learning the outcome is read back first.

        Raises as ``planning.make`` does, ``SyncRunning`` while another run writes, and ``ActionNeeded`` while an undo
        waits: a plan would write again what the undo has taken back so far.
        """
        with self._alone():
            self._close_open(by)
            made = planning.make(self.session, self.target, self.partner, by=by)
        return ledger.plan(self.session, str(made))

    def plan_by_hand(self, find: Callable[[], Sequence[Item]], by: str, why: str | None = None) -> Plan:
        """Make a plan of the items that ``find`` returns, where somebody's wish says what to write and no query.

        It says nothing of other plans of the target, so it neither supersedes them nor is superseded.
        What an earlier plan sent without learning the outcome, an undo included, is read back and the plan closed
        before ``find`` is called. Raises as ``find`` does, as ``ledger.write_plan`` does, and ``SyncRunning`` while
        another run writes.
        """
        with self._alone():
            self._close_open(by)
            erased = last_erasure(self.session)
            items = find()
            made = ledger.write_plan(
                self.session, self.target.name, items, rows=max(1, len(items)), unchanged=int(not items), kept=0, by=by,
                last_erasure=erased, why=why, supersedes=False,
            )  # fmt: skip
        return ledger.plan(self.session, str(made))

    def apply(self, plan: Plan, by: str, *, force: bool = False, allow_archive: int = 0) -> Plan:
        """Apply a plan; see ``applying.run``. Raises ``WrongUse`` in a warehouse that was not restored to the end."""
        self._require_restored()
        return applying.run(
            self.session, self.target, plan, self.partner, self.context, by=by, force=force,
            allow_archive=allow_archive, url=self.url,
        )  # fmt: skip

    def prepare(self) -> list[str]:
        """Make what the vendor lacks; return what was made. Raises ``WrongUse`` while the stop file is there."""
        self._require_restored()
        if stopped := applying.stop_reason():
            raise WrongUse(stopped)
        return self.partner.prepare()

    def verify(self, plan: Plan) -> list[Verdict]:
        """Read back what a plan wrote."""
        return undoing.verify(self.session, self.target, plan, self.partner)

    def plan_undo(self, plan: Plan, by: str) -> Plan:
        """Make the plan that undoes a plan, or return the one that was begun and not applied to its end.

        Raises as ``undoing.make`` does, ``SyncRunning`` as ``plan`` does, and, of a target with a query,
        ``ActionNeeded`` while the undo of another plan waits: it could not be continued any more.
        """
        with self._alone():
            waiting = self._waiting_undos(ledger.open_plans(self.session, self.target.name))
            if begun := [one for one in waiting if one.undoes == plan.plan_id]:
                return begun[-1]
            self._require_none(waiting)
            made = undoing.make(self.session, self.target, plan, self.partner, by=by)
        return ledger.plan(self.session, str(made))

    def give_up_undo(self, plan: Plan, by: str) -> Plan:
        """Close the undo of a plan that was begun and not applied to its end, and return it as it stands then.

        What it has not taken back stays as it is. Raises ``WrongUse`` where there is none, which names those that wait,
        ``SyncRunning`` as ``plan`` does, and as the vendor's client does.
        """
        with self._alone():
            waiting = self._waiting_undos(ledger.open_plans(self.session, self.target.name))
            begun = [one for one in waiting if one.undoes == plan.plan_id]
            if not begun:
                those = ", ".join(str(one.undoes) for one in waiting)
                others = f" Undos of these plans do: {those}." if those else ""
                raise WrongUse(f"no undo of plan {plan.plan_id} waits to be continued.{others}")
            self._close(begun, by, "given up")
        return ledger.plan(self.session, str(begun[-1].plan_id))

    def _waiting_undos(self, open_plans: Sequence[Plan]) -> list[Plan]:
        """Return the undos that were begun, not applied to their end, and not followed by another plan."""
        return [
            one
            for one in open_plans
            if one.undoes and not (self.target.source and ledger.newer_plan(self.session, one))
        ]

    def _require_none(self, waiting: Sequence[Plan]) -> None:
        """Raise ``ActionNeeded`` for an undo that waits, where the target has a query.

        A plan by hand says nothing of its records, and what is left of it can be undone again.
        """
        for one in waiting if self.target.source else ():
            raise ActionNeeded(
                f"the undo of plan {one.undoes} (plan {one.plan_id}) was not applied to its end. "
                f"`warehouse outbound undo {one.undoes} --yes` continues it; `warehouse outbound undo {one.undoes} "
                "--give-up` leaves the rest as it is."
            )

    def _close_open(self, by: str) -> None:
        """Close the plans that were not applied to their end. Raises as ``_require_none`` does for undos that wait."""
        begun = ledger.open_plans(self.session, self.target.name)
        self._require_none(self._waiting_undos(begun))
        self._close(begun, by, "a newer plan was made")

    def _close(self, plans: Sequence[Plan], by: str, problem: str) -> None:
        applying.close(
            self.session, self.target, plans, self.partner, self.context, url=self.url, by=by, problem=problem
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._require_restored()
        with warehouse.try_lock(self.session, f"warehouse:outbound:{self.target.name}") as free:
            if not free:
                raise SyncRunning(f"another run writes to {self.target.name}; try again when it has ended")
            yield

    def _require_restored(self) -> None:
        if any(row["unfinished"] for row in self.session.execute(query("restore_unfinished"))):
            raise WrongUse(
                f"{self.target.name}: the restore of this warehouse did not end, so what it says is not known to be "
                "true. `warehouse db verify` says what to do."
            )


@contextlib.contextmanager
def connected(url: str, target: Target, cancelled: threading.Event | None = None) -> Iterator[Outbound]:
    """Lend a target at work for the block.

    Raises as the vendor's settings and the session do, and ``WrongAccount`` for the credential of another account than
    the target's rows are of: its records have the same ids.
    """
    stopped = cancelled or threading.Event()
    with warehouse.session(url) as session, RequestBudget(url, stopped, target.crm) as budget:
        context = ReadContext(acquire=budget.acquire, cancelled=stopped)
        source = next(one for one in SOURCES if one.name == target.crm)
        vendor_account.require(source, vendor_account.known(session, source), context)
        yield Outbound(target, session, target.partner(target, context), context, url)
