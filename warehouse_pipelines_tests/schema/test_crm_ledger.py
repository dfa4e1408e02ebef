"""The ledger: it only grows, and its chain of balances has no gap, however many write at a time."""

import threading
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from warehouse_pipelines_tests.harness.crm_database import USER, A, B, Connection, add, one, session, sqlstate

GAPS = """SELECT count(*) FROM (SELECT balance_before_usd, lag(balance_after_usd)
    OVER (PARTITION BY account_id ORDER BY created_at, id) AS prev FROM crm.budget_transactions) x
    WHERE prev IS NOT NULL AND prev <> balance_before_usd"""
"""Counts the entries that do not begin with the balance of the one before."""


def entries(connection: Connection, account: str) -> list[Any]:
    return connection.execute(
        "SELECT entry_no, balance_before_usd, amount_usd, balance_after_usd FROM crm.budget_transactions"
        " WHERE account_id = %s ORDER BY created_at, id",
        [account],
    ).fetchall()


@pytest.mark.slow("a schema that is migrated again")
def test_ledger_50_concurrent_writers(shared_url: str) -> None:
    """Fifty connections, each with two entries for a shared account and one for its own, in one go."""
    shared, start = str(uuid.uuid4()), threading.Barrier(50)
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with session(shared_url, keep=True) as connection:
                own = str(uuid.uuid4())
                start.wait(30)
                add(connection, "budget_transactions", account_id=shared, amount_usd=number + 1)
                add(connection, "budget_transactions", account_id=own, amount_usd=1)
                add(connection, "budget_transactions", account_id=shared, amount_usd=-1)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=[number]) for number in range(50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert failed == []
    with session(shared_url, role=None) as connection:
        chain = entries(connection, shared)
        assert [row[0] for row in chain] == list(range(1, 101))
        assert [row[1] for row in chain] == [Decimal(0), *(row[3] for row in chain[:-1])]
        assert chain[-1][3] == sum(range(1, 51)) - 50
        assert one(connection, GAPS) == 0
        assert one(connection, "SELECT count(*) FROM crm.budget_transactions"
                   " WHERE balance_after_usd <> balance_before_usd + amount_usd") == 0  # fmt: skip


@pytest.mark.parametrize("role", [None, "crm_owner", "crm_app", "crm_read"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE crm.budget_transactions SET amount_usd = 0",
        "UPDATE crm.budget_transactions SET paired_entry_id = NULL",
        "DELETE FROM crm.budget_transactions",
        "TRUNCATE crm.budget_transactions",
        "TRUNCATE crm.budget_transactions CASCADE",
        "INSERT INTO crm.budget_transactions (id, organization_id, account_id, amount_usd, kind)"
        f" VALUES (gen_random_uuid(), '{A}', gen_random_uuid(), 1, 'x') ON CONFLICT (organization_id, id)"
        f" DO UPDATE SET kind = 'y'",
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_nobody_changes_an_entry(shared_url: str, role: str | None, statement: str, rows: int) -> None:
    """Also on an empty table, and for the superuser, whom no privilege stops."""
    with session(shared_url, role=None) as connection:
        if rows:
            add(connection, "budget_transactions", account_id=str(uuid.uuid4()))
        if role:
            connection.execute(f"SET LOCAL ROLE {role}")
        assert sqlstate(connection, statement) in {"42501", "P0001"}


def test_a_replica_session_changes_nothing_either(shared_url: str) -> None:
    with session(shared_url, role=None) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        assert sqlstate(connection, "DELETE FROM crm.budget_transactions") == "42501"


def test_the_database_computes_the_chain(shared_url: str) -> None:
    """What a client gives for balances, number and time does not count."""
    account = str(uuid.uuid4())
    with session(shared_url) as connection:
        add(connection, "budget_transactions", account_id=account, amount_usd=100)
        add(
            connection, "budget_transactions", account_id=account, amount_usd=-30,
            balance_before_usd=1, balance_after_usd=2, entry_no=99, created_at="1999-01-01",
        )  # fmt: skip
        assert entries(connection, account) == [(1, 0, 100, 100), (2, 100, -30, 70)]
        assert one(connection, "SELECT balance_usd FROM crm.account_balances WHERE account_id = %s", account) == 70
        assert str(one(connection, "SELECT created_by FROM crm.budget_transactions LIMIT 1")) == USER


def test_entries_of_one_statement_are_in_order(shared_url: str) -> None:
    account = str(uuid.uuid4())
    with session(shared_url) as connection:
        connection.execute(
            "INSERT INTO crm.budget_transactions (organization_id, account_id, amount_usd, kind)"
            " SELECT %s, %s, n, 'deposit' FROM generate_series(1, 200) AS n",
            [A, account],
        )
        assert [row[0] for row in entries(connection, account)] == list(range(1, 201))
        assert one(connection, GAPS) == 0


def test_a_clock_that_was_set_back_makes_no_gap(shared_url: str) -> None:
    account = str(uuid.uuid4())
    with session(shared_url, role=None) as connection:
        connection.execute("ALTER TABLE crm.budget_transactions DISABLE TRIGGER chain")
        add(
            connection, "budget_transactions", account_id=account, amount_usd=5, entry_no=1, balance_before_usd=0,
            balance_after_usd=5, created_at="2999-01-01",
        )  # fmt: skip
        connection.execute("ALTER TABLE crm.budget_transactions ENABLE TRIGGER chain")
        add(connection, "budget_transactions", account_id=account, amount_usd=1)
        assert [row[0] for row in entries(connection, account)] == [1, 2]


def test_a_stale_snapshot_fails_instead_of_forking_the_chain(shared_url: str) -> None:
    account = str(uuid.uuid4())
    with psycopg.connect(shared_url) as late, psycopg.connect(shared_url) as early:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        late.execute("SELECT 1")
        add(early, "budget_transactions", account_id=account)
        early.commit()
        with pytest.raises(psycopg.errors.UniqueViolation):
            add(late, "budget_transactions", account_id=account)
        late.rollback()
        add(late, "budget_transactions", account_id=account)
        late.commit()
        assert one(early, GAPS) == 0


def test_an_account_of_one_organization_is_free_in_another(shared_url: str) -> None:
    """Whoever used an id first must neither be felt nor block anybody."""
    account = str(uuid.uuid4())
    with session(shared_url, organization=B, keep=True) as connection:
        add(connection, "budget_transactions", organization_id=B, account_id=account, amount_usd=100)
    for role in ("crm_app", None):
        with session(shared_url, role=role) as connection:
            add(connection, "budget_transactions", account_id=account, amount_usd=7)
            query = "SELECT entry_no, balance_after_usd FROM crm.budget_transactions WHERE account_id = %s"
            assert connection.execute(f"{query} AND organization_id = %s", [account, A]).fetchall() == [(1, 7)]


def test_a_correction_is_a_new_entry(shared_url: str) -> None:
    account = str(uuid.uuid4())
    with session(shared_url) as connection:
        wrong = add(connection, "budget_transactions", account_id=account, amount_usd=100)
        add(connection, "budget_transactions", account_id=account, amount_usd=-100, kind="correction",
            paired_entry_id=wrong)  # fmt: skip
        assert entries(connection, account)[-1][3] == 0
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            add(connection, "budget_transactions", account_id=account, paired_entry_id=str(uuid.uuid4()))
