"""The do-not-call list: never a no for a listed number, in any spelling, for any user, after erasure too."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines_tests.harness.crm_database import (
    CONSENT,
    OTHER_USER,
    TABLES,
    USER,
    A,
    B,
    Connection,
    add,
    one,
    session,
    sqlstate,
)
from warehouse_pipelines_tests.harness.examples import examples

LISTED = "+12065550166"
FOREIGN = ("+442079460958", "+4930123456", "+919876543210", "+390612345678", "+4712345678", "+6834002")


@pytest.fixture(scope="module")
def crm_url(shared_url: str) -> str:
    with psycopg.connect(shared_url) as connection:
        for phone in (LISTED, *FOREIGN):
            add(connection, "dnc_list", phone=phone)
        add(connection, "dnc_list", organization_id=B, phone="+12065550177")
    return shared_url


@pytest.fixture
def app(crm_url: str) -> Iterator[Connection]:
    with session(crm_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def is_listed(crm_url: str) -> Iterator[Callable[[str | None], bool]]:
    # No transaction stays open: TRUNCATE in another test would wait for it.
    with psycopg.connect(crm_url, autocommit=True) as connection:
        connection.execute("SET ROLE crm_app")
        connection.execute("SELECT set_config('app.organization_id', %s, false)", [A])
        yield lambda phone: one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", phone, A)


@pytest.mark.parametrize(
    "phone",
    [
        LISTED, "(206) 555-0166", "206.555.0166", "1-206-555-0166", "+1 (206) 555 0166", "2065550166", "12065550166",
        "0012065550166", "01112065550166", "tel:+1-206-555-0166", "  206 555 0166 ", "\t2065550166",
        "206\u00a0555\u00a00166",
        "+2065550166", "+1 206 555 0166 x12", "206-555-0166 ext. 5", "+44 (0)20 7946 0958", "+4402079460958",
        "0044 20 7946 0958", "442079460958", "020 7946 0958", "2079460958", "+49 (0)30 123456", "030 123456",
        "9876543210", "09876543210", "+919876543210", "4712345678", "+6834002", "011 683 4002",
    ],
)  # fmt: skip
def test_a_listed_number_is_found_in_any_spelling(is_listed: Callable[[str | None], bool], phone: str) -> None:
    """Spaces, brackets, a missing country code and other digits do not hide a listed number."""
    assert is_listed(phone) is True


@pytest.mark.parametrize(
    "phone",
    [None, "", " ", "garbage", "1-800-FLOWERS", "555-0166", "+",
      "+0", "0", "++12065550166", "206555016６", "٢٠٦٥٥٥٠١٦٦",
     "1234567890123456789", "911", "+1206555", "+1 106 555 0166", "'; DROP TABLE crm.dnc_list; --", "12065550166e0"],
)  # fmt: skip
def test_what_cannot_be_read_blocks(is_listed: Callable[[str | None], bool], phone: str | None) -> None:
    assert is_listed(phone) is True


@pytest.mark.parametrize("phone", ["+12065550167", "(206) 555-0167", "+12065550177", "+442079460959", "3065550166"])
def test_an_unlisted_number_does_not_block(is_listed: Callable[[str | None], bool], phone: str) -> None:
    assert is_listed(phone) is False


SEPARATORS = ["", " ", "-", ".", "/", "\u00a0", "  ", ") ", "("]


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A listed number as people, forms and phones write it, with noise that no number contains."""
    number = draw(st.sampled_from([LISTED, *FOREIGN]))
    digits = number[1:]
    country = next(code for code in ("1", "44", "49", "91", "39", "47", "683") if digits.startswith(code))
    national = digits[len(country) :]
    head = draw(st.sampled_from([
        f"+{country}", country, f"00{country}", f"011{country}", "", "0", f"+{country}(0)", f"+{country}0", "+",
        f"tel:+{country}", f"+ {country}", f"0{country}", f"9{country}", f"+00{country}", f"00 {country} 0",
    ]))  # fmt: skip
    body = "".join(digit + draw(st.sampled_from(SEPARATORS)) for digit in national)
    tail = draw(st.sampled_from(["", "", "", " ", "x5", " ext 12", ";ext=3", "#", ",,1"]))
    return head + draw(st.sampled_from(SEPARATORS)) + body + tail


@settings(max_examples=examples(150, of=600), deadline=None)
@given(phone=spellings())
def test_no_spelling_of_a_listed_number_gets_a_no(is_listed: Callable[[str | None], bool], phone: str) -> None:
    assert is_listed(phone) is True, phone


@settings(max_examples=examples(100, of=250), deadline=None)
@given(phone=st.text(alphabet=st.sampled_from("0123456789+-() .x\u00a0"), max_size=22))
def test_garbage_gets_a_no_only_when_it_is_read_as_another_number(
    is_listed: Callable[[str | None], bool], phone: str
) -> None:
    """A no is given for a number that could be written as E.164 and shares its last digits with no listed one."""
    if not is_listed(phone):
        digits = "".join(character for character in phone if character.isdigit())
        assert 7 <= len(digits) <= 18
        assert not any(digits.endswith(number[-7:]) and digits[-10:] == number[-10:] for number in (LISTED, *FOREIGN))


@settings(max_examples=examples(60, of=150), deadline=None)
@given(st.from_regex(r"\A\+1[2-9][0-9]{2}[2-9][0-9]{6}\Z"))
def test_a_plain_number_blocks_only_when_it_is_listed(is_listed: Callable[[str | None], bool], phone: str) -> None:
    assert is_listed(phone) is (phone == LISTED)


def test_dnc_expiry(app: Connection) -> None:
    """An entry that has expired does not block, one that will still does."""
    add(app, "dnc_list", phone="+12065550120", reason="temporary", expires_at="2020-01-01")
    add(app, "dnc_list", phone="+12065550121", reason="temporary", expires_at="2999-01-01")
    add(app, "dnc_list", phone="+12065550122", reason="temporary", expires_at="2020-01-01")
    add(app, "dnc_list", phone="+12065550122", reason="opt_out")
    for phone, blocks in (
        ("+12065550120", False),
        ("206 555 0120", False),
        ("+12065550121", True),
        ("+12065550122", True),
    ):
        assert one(app, "SELECT crm.is_on_dnc_list(%s, %s)", phone, A) is blocks
    for reason in ("opt_out", "consent_revoked", "national_list", "state_list", "litigator", "deceased"):
        with pytest.raises(psycopg.errors.CheckViolation), app.transaction():
            add(app, "dnc_list", reason=reason, expires_at="2999-01-01")


def test_dnc_blocks_every_user_of_org(crm_url: str) -> None:
    """A number is blocked whoever listed it and whoever asks, and in no other organization."""
    with session(crm_url, user=OTHER_USER) as connection:
        add(connection, "dnc_list", phone="+12065550123", created_by=OTHER_USER)
        for user in (USER, OTHER_USER, ""):
            connection.execute("SELECT set_config('app.user_id', %s, true)", [user])
            assert one(connection, "SELECT crm.is_on_dnc_list('+12065550123', %s)", A) is True
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [B])
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550123', %s)", B) is False


def test_another_organizations_list_is_refused(app: Connection) -> None:
    """The question is an error, since an empty answer would allow the call."""
    assert sqlstate(app, "SELECT crm.is_on_dnc_list(%s, %s)", LISTED, B) == "42501"
    assert sqlstate(app, "SELECT crm.is_on_dnc_list(%s, NULL)", LISTED) == "42501"


def test_an_administrator_asks_for_any_organization(crm_url: str) -> None:
    """Who may lift the policies anyway needs no setting."""
    with session(crm_url, role=None, organization=None) as connection:
        assert one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", LISTED, A) is True
        assert one(connection, "SELECT crm.is_on_dnc_list(%s, NULL)", LISTED) is True
        assert one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", "+12065550167", A) is False


@pytest.mark.parametrize("role", ["crm_app", "crm_read"])
def test_without_a_tenant_the_list_does_not_answer(crm_url: str, role: str) -> None:
    """An error is no no, and says what to set."""
    with session(crm_url, role=role, organization=None) as connection:
        for phone in (LISTED, "+12065550167", "garbage"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as raised, connection.transaction():
                connection.execute("SELECT crm.is_on_dnc_list(%s, %s)", [phone, A])
            assert "app.organization_id" in (raised.value.diag.message_hint or "")


def test_a_reason_is_one_of_the_list(app: Connection) -> None:
    """Free text decided whether an entry may expire."""
    for reason in ("do not call me, please", "OPT_OUT", "opt out"):
        assert sqlstate(app, "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, %s, %s)",
                        A, "+12065550130", reason) == "23503"  # fmt: skip
    rules = dict(app.execute("SELECT reason, may_expire FROM crm.dnc_reasons").fetchall())
    assert {"opt_out": False, "national_list": False, "temporary": True}.items() <= rules.items()
    for reason, may_expire in rules.items():
        insert = (
            "INSERT INTO crm.dnc_list (organization_id, phone, reason, expires_at) VALUES (%s, %s, %s, '2999-01-01')"
        )
        assert sqlstate(app, insert, A, "+12065550130", reason) == ("accepted" if may_expire else "23514"), reason
    for change in ("INSERT INTO crm.dnc_reasons VALUES ('mine', true, '')", "UPDATE crm.dnc_reasons SET"
                                                                            " may_expire = true",
                   "DELETE FROM crm.dnc_reasons"):  # fmt: skip
        assert sqlstate(app, change) == "42501"


def test_an_entry_is_ended_with_who_and_why_and_never_deleted(crm_url: str) -> None:
    with session(crm_url) as connection:
        entry = add(connection, "dnc_list", phone="+12065550131")
        for statement in ("DELETE FROM crm.dnc_list", "UPDATE crm.dnc_list SET expires_at = now()",
                          "UPDATE crm.dnc_list SET ended_at = now(), ended_by = id, end_reason = 'x'",
                          "TRUNCATE crm.dnc_list"):  # fmt: skip
            assert sqlstate(connection, statement) == "42501"
        assert sqlstate(connection, "SELECT crm.end_dnc_entry(%s, ' ')", entry) == "23514"
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550131', %s)", A) is True
        assert one(connection, "SELECT crm.end_dnc_entry(%s, 'asked for a call, by mail of 3 March')", entry) is True
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550131', %s)", A) is False
        assert one(connection, "SELECT crm.is_on_dnc_list('206 555 0131', %s)", A) is False
        assert one(connection, "SELECT crm.end_dnc_entry(%s, 'again')", entry) is False
        ended = (
            "SELECT ended_by::text, end_reason, ended_at IS NOT NULL, created_by::text FROM crm.dnc_list WHERE id = %s"
        )
        assert connection.execute(ended.encode(), [entry]).fetchone() == (
            USER, "asked for a call, by mail of 3 March", True, USER,
        )  # fmt: skip
        connection.execute("SELECT set_config('app.user_id', '', true)")
        assert sqlstate(connection, "SELECT crm.end_dnc_entry(%s, 'nobody')", entry) == "23514"
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [B])
        connection.execute("SELECT set_config('app.user_id', %s, true)", [USER])
        assert sqlstate(connection, "SELECT crm.end_dnc_entry(%s, 'not mine')", entry) == "P0002"
    with session(crm_url, role=None) as connection:
        for statement in ("DELETE FROM crm.dnc_list", "TRUNCATE crm.dnc_list"):
            assert sqlstate(connection, statement) == "42501"
        connection.execute("SET LOCAL session_replication_role = replica")
        assert sqlstate(connection, "DELETE FROM crm.dnc_list") == "42501"


def test_an_ended_entry_that_was_erased_stays_ended(app: Connection) -> None:
    lead = add(app, "leads", phone="+12065550132")
    entry = add(app, "dnc_list", phone="+12065550132", lead_id=lead)
    app.execute("SELECT crm.end_dnc_entry(%s, 'Zebulon said so')", [entry])
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550132', %s)", A) is False
    assert one(app, "SELECT end_reason FROM crm.dnc_list WHERE id = %s", entry) == "[erased]"


@pytest.mark.parametrize("written", ["+12065550133", "206 555 0133", "+44 20 7946 0001"])
def test_the_check_knows_channels(app: Connection, written: str) -> None:
    phone = one(app, "SELECT crm.normalize_phone(%s)", written)
    add(app, "dnc_list", phone=phone, channels=["sms"])
    query = "SELECT crm.is_on_dnc_list(%s, %s, %s)"
    assert [one(app, query, written, A, channel) for channel in ("sms", "call", "email", None)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert sqlstate(app, query, written, A, "pigeon") == "22023"
    for channels in ([], ["pigeon"], [None]):
        with pytest.raises(psycopg.errors.CheckViolation), app.transaction():
            add(app, "dnc_list", phone=phone, channels=channels)


def test_a_table_of_the_callers_does_not_stand_in(crm_url: str) -> None:
    """The search path is the function's own."""
    with session(crm_url) as connection:
        connection.execute("CREATE TEMP TABLE dnc_list AS SELECT * FROM crm.dnc_list WITH NO DATA")
        connection.execute("CREATE FUNCTION pg_temp.normalize_phone(text) RETURNS text LANGUAGE sql AS 'SELECT NULL'")
        connection.execute("SET LOCAL search_path = pg_temp, crm")
        assert one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", LISTED, A) is True


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+12065550166", "+12065550166"), ("(206) 555-0166", "+12065550166"), ("1.206.555.0166", "+12065550166"),
        ("0044 20 7946 0958", "+442079460958"), ("+44 (0)20 7946 0958", "+442079460958"), ("106 555 0166", None),
        ("206 155 0166", None), ("442079460958", None), ("206-555-0166 x1", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_phone_is_normalised_or_refused(app: Connection, written: str | None, read: str | None) -> None:
    assert one(app, "SELECT crm.normalize_phone(%s)", written) == read


def everything(connection: Connection) -> str:
    """All rows of all tables and of the archive, as one text."""
    tables = [f"crm.{table}" for table in TABLES]
    tables += [row[0] for row in connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'crm_archive'::regnamespace AND relkind = 'r'"
    )]  # fmt: skip
    return "\n".join(str(row[0]) for table in tables for row in connection.execute(f"SELECT t::text FROM {table} AS t"))


SUBJECT: dict[str, Any] = {
    "first_name": "Zebulon", "last_name": "Quagmire", "email": "zebulon@example.org", "phone": "+12065550188",
    "source_metadata": '{"note": "Zebulon of Quagmire Lane"}', "tags": ["quagmire-family"], "postal_code": "98199",
    "consent": '[{"channel": "sms", "at": "2025-01-01", "source": "form of Zebulon", "text_version": "1"}]',
    "timezone": "America/Nome",
}  # fmt: skip
TOKENS = ("ebulon", "uagmire", "2065550188", "2065550187", "98199", "America/Nome")


def test_erasure_leaves_no_subject_tokens_and_dnc_still_blocks(database_url: str) -> None:
    """Nothing of the person is found in any table, and the number stays blocked."""
    with session(database_url, role=None) as connection:
        earlier = add(connection, "leads", **SUBJECT, deleted_at="2025-01-01")
        lead = add(connection, "leads", **{**SUBJECT, "phone": "+12065550187"}, owner_id=USER)
        add(connection, "dnc_list", phone="+12065550187")
        connection.execute("UPDATE crm.leads SET phone = %s WHERE id = %s", [SUBJECT["phone"], lead])
        other = add(connection, "leads", first_name="Somebody", phone="+12065550189")
        connection.execute(
            "UPDATE crm.leads SET last_name = 'Quagmire-Zebulon', status = 'contacted' WHERE id = %s", [lead]
        )
        sequence = add(connection, "nurture_sequences", steps='[{"channel": "sms"}]')
        connection.execute("SELECT crm.enroll_lead(%s, %s)", [lead, sequence])
        log = '[{"step": 0, "event": "done", "at": "2025-01-01", "outcome": "Zebulon said hi"}]'
        connection.execute("UPDATE crm.lead_sequence_enrollments SET execution_log = %s", [log])
        add(connection, "lead_assignments", lead_id=lead, context='{"note": "Zebulon asked for her"}')
        add(connection, "dnc_list", phone=SUBJECT["phone"], evidence="Zebulon said stop", lead_id=lead)
        add(connection, "segments", filter_criteria='{"field": "email", "op": "in", "value": ["Zebulon@example.org"]}')
        add(connection, "budget_transactions", account_id=lead, reference_id=str(lead))
        add(connection, "lead_audit_log", lead_id=lead, field_name="first_name", old_value="Old Zebulon",
            created_at="2020-01-15")  # fmt: skip
        assert ("lead_audit_log_2020_01", 1) in connection.execute("SELECT * FROM crm.archive_partitions()").fetchall()
        assert all(token in everything(connection) for token in TOKENS)
        events = "SELECT lead_id, field_name, created_at FROM crm.lead_audit_log WHERE action <> 'erase' ORDER BY id"
        before = connection.execute(events).fetchall()
        statuses = connection.execute("SELECT * FROM crm.lead_status_history ORDER BY id").fetchall()

        connection.execute("SET LOCAL ROLE crm_app")
        done = one(connection, "SELECT crm.erase_lead(%s)", lead)
        assert done["leads"] == 2
        assert one(connection, "SELECT crm.erase_lead(%s)", lead)["leads"] == 0
        for phone in ("+12065550187", "+12065550188", "206 555 0188", "2065550188", "+2065550188"):
            assert one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", phone, A) is True
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550189', %s)", A) is False
        assert sqlstate(connection, "UPDATE crm.leads SET first_name = 'Zebulon' WHERE id = %s", lead) == "23514"
        connection.execute("RESET ROLE")

        rest = everything(connection)
        assert [token for token in TOKENS if token in rest] == []
        assert "Somebody" in rest
        assert connection.execute(events).fetchall() == before
        assert connection.execute("SELECT * FROM crm.lead_status_history ORDER BY id").fetchall() == statuses
        assert one(connection, "SELECT count(*) FROM crm.lead_audit_log WHERE action = 'erase'") == 2
        assert one(connection, "SELECT amount_usd FROM crm.budget_transactions WHERE reference_id = %s", str(lead)) == 5
        assert one(connection, "SELECT status FROM crm.leads WHERE id = %s", lead) == "contacted"
        assert (
            one(connection, "SELECT stop_reason FROM crm.lead_sequence_enrollments WHERE lead_id = %s", lead)
            == "erased"
        )
        assert one(connection, "SELECT first_name FROM crm.leads WHERE id = %s", other) == "Somebody"
        assert one(connection, "SELECT erased_at IS NOT NULL FROM crm.leads WHERE id = %s", earlier)


@pytest.mark.parametrize("archived", [False, True])
def test_a_person_whose_lead_was_deleted_by_hand_is_erased(database_url: str, archived: bool) -> None:
    """A superuser's DELETE leaves the fields in the log; what is left goes, twice without harm."""
    with session(database_url, role=None) as connection:
        earlier = add(connection, "leads", **{**SUBJECT, "phone": "+12065550188"}, deleted_at="2025-01-01")
        lead = add(connection, "leads", **SUBJECT)
        other = add(connection, "leads", first_name="Somebody", phone="+12065550189")
        connection.execute("UPDATE crm.leads SET phone = '+12065550187' WHERE id = %s", [lead])
        add(connection, "dnc_list", phone="+12065550187", lead_id=lead)
        connection.execute("UPDATE crm.leads SET phone = %s WHERE id = %s", [SUBJECT["phone"], lead])
        connection.execute("DELETE FROM crm.leads WHERE id IN (%s, %s)", [lead, earlier])
        if archived:
            connection.execute("UPDATE crm.lead_audit_log SET created_at = '2020-01-15' WHERE lead_id <> %s", [other])
            connection.execute("SELECT crm.archive_partitions()")
        assert all(token in everything(connection) for token in TOKENS)
        connection.execute("SET LOCAL ROLE crm_app")
        assert one(connection, "SELECT crm.erase_lead(%s)", lead)["lead_audit_log"] > 10
        assert one(connection, "SELECT crm.erase_lead(%s)", lead)["lead_audit_log"] == 0
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550187', %s)", A) is True
        assert sqlstate(connection, "SELECT crm.erase_lead(gen_random_uuid())") == "P0002"
        connection.execute("RESET ROLE")
        rest = everything(connection)
        assert [token for token in TOKENS if token in rest] == []
        assert "Somebody" in rest
        erased = "SELECT count(*) FROM crm.lead_audit_log WHERE action = 'erase' AND lead_id = ANY (%s)"
        assert one(connection, erased, [lead, earlier]) == 2


def test_the_application_deletes_no_lead(app: Connection) -> None:
    add(app, "leads")
    assert sqlstate(app, "DELETE FROM crm.leads") == "42501"


def test_without_the_key_an_erased_entry_blocks_everything(app: Connection) -> None:
    """Fail closed: nobody can tell any more which number it was."""
    lead = add(app, "leads", phone="+12065550124")
    add(app, "dnc_list", phone="+12065550124")
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550125', %s)", A) is False
    app.execute("RESET ROLE")
    app.execute("DELETE FROM crm.system_config WHERE key = 'dnc.hash_key'")
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550125', %s)", A) is True


@pytest.mark.parametrize("organization", [B, None])
def test_only_an_own_lead_is_erased(crm_url: str, organization: str | None) -> None:
    with session(crm_url, role=None) as connection:
        lead = add(connection, "leads", first_name="Ada")
        connection.execute("SET LOCAL ROLE crm_app")
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [organization or ""])
        assert sqlstate(connection, "SELECT crm.erase_lead(%s)", lead) == "P0002"


def test_only_erasure_sets_erased_at(app: Connection) -> None:
    """Otherwise a client could keep a change out of the log."""
    lead = add(app, "leads", first_name="Ada")
    for role, state in (("crm_app", "42501"), ("crm_owner", "23514")):
        app.execute(f"SET LOCAL ROLE {role}")
        assert sqlstate(app, "UPDATE crm.leads SET erased_at = now(), deleted_at = now() WHERE id = %s", lead) == state
    with pytest.raises(psycopg.errors.CheckViolation):
        add(app, "leads", erased_at="2025-01-01", deleted_at="2025-01-01")


def test_a_check_reads_no_more_of_the_list_than_it_needs(app: Connection) -> None:
    """By what PostgreSQL counts, since a time depends on the machine; the benchmark measures it."""
    numbers = [f"+1206{2_000_000 + 7_919 * number}" for number in range(1000)]
    app.execute("RESET ROLE")
    app.execute(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason) SELECT %s, '+1425' || n, 'opt_out'"
        " FROM generate_series(2000000, 2020000) AS n", [A]
    )  # fmt: skip
    app.execute("ANALYZE crm.dnc_list")

    def rows_read() -> int:
        statement = (
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'crm.dnc_list'::regclass"
        )
        return int(one(app, statement))

    before = rows_read()
    app.execute("SET LOCAL ROLE crm_app")
    checked = "SELECT count(*) FROM unnest(%s::text[]) AS n WHERE crm.is_on_dnc_list(n, %s)"
    assert one(app, checked, numbers, A) == 0
    assert one(app, checked, ["+14252000007"], A) == 1
    app.execute("RESET ROLE")
    assert 0 < rows_read() - before < 1000


def test_an_entry_by_lead_follows_the_person(app: Connection) -> None:
    """The lead is deleted and comes back as another, or is erased: the number stays listed."""
    lead = add(app, "leads", phone="+12065550140")
    add(app, "dnc_list", phone=None, lead_id=lead)
    app.execute("UPDATE crm.leads SET deleted_at = now() WHERE id = %s", [lead])
    add(app, "leads", phone="+12065550140")
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550140', %s)", A) is True
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550140', %s)", A) is True
    entry = "SELECT phone IS NULL AND phone_hash IS NOT NULL FROM crm.dnc_list WHERE lead_id = %s"
    assert one(app, entry, lead) is True


def test_erasure_keeps_the_number_that_a_lead_got_after_it_was_listed(app: Connection) -> None:
    lead = add(app, "leads", email="late@example.com")
    add(app, "dnc_list", phone=None, lead_id=lead)
    app.execute("UPDATE crm.leads SET phone = '+12065550141' WHERE id = %s", [lead])
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550141', %s)", A) is True
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550142', %s)", A) is False


def test_an_opt_out_by_e_mail_outlives_the_erasure_of_the_address(app: Connection) -> None:
    """In every spelling, for its channels alone, in its organization alone; the address itself is kept nowhere."""
    lead = add(app, "leads", email="Jo.Doe@gmail.com", consent=CONSENT)
    add(app, "dnc_list", phone=None, lead_id=lead, channels=["email"])
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    [entry] = app.execute("SELECT to_jsonb(d)::text FROM crm.dnc_list AS d WHERE lead_id = %s", [lead]).fetchall()
    assert "doe" not in str(entry).lower()
    listed = "SELECT crm.is_address_listed(%s, %s, %s)"
    for spelled in ("jo.doe@gmail.com", " JODOE+roof@GoogleMail.com ", "mailto:jo.doe@gmail.com;"):
        again = add(app, "leads", email=spelled, consent=CONSENT)
        assert one(app, "SELECT crm.lead_block_reason(l, 'email') FROM crm.leads AS l WHERE id = %s", again) == "dnc"
        assert one(app, listed, spelled, A, None) is True
        assert one(app, listed, spelled, A, "sms") is False
    assert one(app, listed, "jo.roe@gmail.com", A, None) is False
    assert one(app, listed, "jodoe@example.com", A, None) is False
    app.execute("SELECT crm.erase_lead(%s)", [lead])
    assert one(app, listed, "jo.doe@gmail.com", A, "email") is True, "an erasure may be repeated"
    entry_id = one(app, "SELECT id FROM crm.dnc_list WHERE lead_id = %s", lead)
    app.execute("SELECT crm.end_dnc_entry(%s, 'she asked for it')", [entry_id])
    assert one(app, listed, "jo.doe@gmail.com", A, "email") is False


def test_an_address_that_opted_out_is_not_written_to_as_another_lead(app: Connection) -> None:
    lead = add(app, "leads", email="mail@x.example", phone="+12065550143", consent=CONSENT)
    add(app, "dnc_list", phone=None, lead_id=lead, channels=["email"])
    block = "SELECT crm.lead_block_reason(l, %s) FROM crm.leads AS l WHERE l.id = %s"
    for spelled in ("Mail@X.example", "mail@x.example"):
        other = add(app, "leads", email=spelled, consent=CONSENT)
        assert one(app, block, "email", other) == "dnc"
    another = add(app, "leads", email="mail@y.example", consent=CONSENT)
    assert one(app, block, "email", another) is None
    app.execute("UPDATE crm.leads SET deleted_at = now() WHERE id = %s", [lead])
    assert one(app, block, "email", other) == "dnc"
    assert sqlstate(app, "SELECT crm.is_address_listed('mail@x.example', %s, 'email')", B) == "42501"


def test_an_opt_out_by_e_mail_holds_for_the_mailbox_in_every_spelling(app: Connection) -> None:
    lead = add(app, "leads", email="Una.Love@gmail.com", consent=CONSENT)
    add(app, "dnc_list", phone=None, lead_id=lead, channels=["email"])
    listed = "SELECT crm.is_address_listed(%s, %s, %s)"
    for spelled in ("una.love@gmail.com", "unalove@gmail.com", "una.love+x@gmail.com", "UnaLove@GoogleMail.com"):
        other = add(app, "leads", email=spelled, consent=CONSENT)
        assert one(app, "SELECT crm.lead_block_reason(l, 'email') FROM crm.leads AS l WHERE id = %s", other) == "dnc"
        assert one(app, listed, spelled, A, "sms") is False
    assert one(app, listed, "una.dove@gmail.com", A, "email") is False
    app.execute("UPDATE crm.leads SET email = 'una@example.com' WHERE id = %s", [lead])
    for address in ("una.love@gmail.com", "una@example.com"):
        assert one(app, listed, address, A, "email") is True, "the mailbox that opted out, and the lead that did"
    entry = one(app, "SELECT id FROM crm.dnc_list WHERE lead_id = %s", lead)
    app.execute("SELECT crm.end_dnc_entry(%s, 'she asked for it')", [entry])
    assert one(app, listed, "unalove@gmail.com", A, "email") is False


def test_the_mailbox_of_an_entry_is_the_organizations_own(app: Connection, crm_url: str) -> None:
    lead = add(app, "leads", email="ike@example.com")
    add(app, "dnc_list", phone=None, lead_id=lead, channels=["email"])
    assert one(app, "SELECT email_hash IS NOT NULL FROM crm.dnc_list WHERE lead_id = %s", lead) is True
    assert one(app, "SELECT count(*) FROM crm.system_config WHERE key = 'dnc.hash_key'") == 0, "the key is nobody's"
    mine = "INSERT INTO crm.dnc_list (organization_id, lead_id, reason, email_hash) VALUES (%s, %s, 'opt_out', '')"
    assert sqlstate(app, mine, A, lead) == "42501"


def test_erasure_keeps_the_mailbox_of_an_entry_whose_lead_has_another_now(app: Connection) -> None:
    """Of a lead that another person has since two were told apart."""
    lead = add(app, "leads", email="ivy@example.com")
    add(app, "dnc_list", phone=None, lead_id=lead, channels=["email"])
    app.execute("UPDATE crm.leads SET email = 'max@example.com' WHERE id = %s", [lead])
    for _ in range(2):
        app.execute("SELECT crm.erase_lead(%s)", [lead])
        for address in ("ivy@example.com", "max@example.com"):
            assert one(app, "SELECT crm.is_address_listed(%s, %s, 'email')", address, A) is True, address
    assert one(app, "SELECT count(*) FROM crm.dnc_list WHERE lead_id = %s", lead) == 2


@pytest.mark.parametrize("reason", ["wrong_number", "national_list", "state_list"])
def test_a_reason_that_is_one_numbers_is_not_the_persons(app: Connection, reason: str) -> None:
    lead = add(app, "leads", phone="+12065550144", source_metadata='{"shared_phones": ["+12065550145"]}')
    assert one(app, "SELECT crm.add_person_to_dnc_list(%s, '{call}', %s)", lead, reason) == 0
    assert one(app, "SELECT crm.add_person_to_dnc_list(%s, '{call}')", lead) == 2
    assert one(app, "SELECT crm.is_on_dnc_list('+12065550145', %s, 'call')", A) is True


def test_only_an_own_leads_person_is_listed(app: Connection, crm_url: str) -> None:
    lead = add(app, "leads", golden_id=OTHER_USER)
    with session(crm_url, organization=B) as other:
        add(other, "leads", organization_id=B, golden_id=OTHER_USER)
        assert sqlstate(other, "SELECT crm.add_person_to_dnc_list(%s, '{call}')", lead) == "P0002"
        assert other.execute("SELECT crm.leads_of_person(%s, true)", [lead]).fetchall() == []
    assert app.execute("SELECT crm.leads_of_person(%s, true)", [lead]).fetchall() == [(lead,)]


def test_an_upgrade_has_opt_outs_of_before_hold_for_the_person_once(database_url: str) -> None:
    """And for the mailbox. What somebody ended since stays ended."""
    script = (sql_folder() / "schemas" / "crm.sql").read_text()
    person = USER
    with session(database_url, role=None) as connection:
        connection.execute(
            "INSERT INTO identity.person (person_id, kind, phones, record_count, source_tables)"
            " VALUES (%s, 'customer', '{+12065550146,+12065550147,+12065550148}', 1, '{}')", [person],
        )  # fmt: skip
        lead = add(connection, "leads", phone="+12065550146", email="Zoe.Moe@gmail.com", golden_id=person)
        connection.execute("ALTER TABLE crm.dnc_list DISABLE TRIGGER keep_address")
        add(connection, "dnc_list", phone=None, lead_id=lead, created_at="2026-01-01T00:00:00Z")
        add(connection, "dnc_list", phone="+12065550148", lead_id=lead, created_at="2026-01-01T00:00:00Z",
            ended_at="2026-02-01T00:00:00Z", ended_by=USER, end_reason="asked")  # fmt: skip
        connection.execute("ALTER TABLE crm.dnc_list ENABLE TRIGGER keep_address")
        listed = "SELECT array_agg(crm.is_on_dnc_list(p, %s, 'call') ORDER BY p) FROM unnest(%s::text[]) AS p"
        numbers = [f"+1206555014{n}" for n in (6, 7, 8)]
        assert one(connection, listed, A, numbers) == [True, False, False]
        connection.execute(script.encode())
        assert one(connection, listed, A, numbers) == [True, False, False], "it is done once"
        connection.execute(
            "DROP FUNCTION crm.add_person_to_dnc_list(uuid, text[], text, text, timestamptz, timestamptz)"
        )
        connection.execute(script.encode())
        assert one(connection, listed, A, numbers) == [True, True, False]
        assert one(connection, "SELECT crm.is_address_listed('zoemoe+x@gmail.com', %s, 'email')", A) is True
        assert one(connection, "SELECT current_setting('app.organization_id')") == A


@pytest.mark.parametrize(
    ("listed_as", "asked"),
    [
        ("+4402079460018", "+442079460018"), ("+4402079460018", "2079460018"), ("+2065550172", "+12065550172"),
        ("+2065550172", "(206) 555-0172"), ("+390612345679", "+39612345679"), ("+39612345679", "+390612345679"),
    ],
)  # fmt: skip
def test_a_number_that_was_listed_in_a_wrong_spelling_is_found(app: Connection, listed_as: str, asked: str) -> None:
    assert one(app, "SELECT crm.is_on_dnc_list(%s, %s)", asked, A) is False
    add(app, "dnc_list", phone=listed_as)
    assert one(app, "SELECT crm.is_on_dnc_list(%s, %s)", asked, A) is True


def given_(channel: str, at: str, **more: Any) -> dict[str, Any]:
    return {"channel": channel, "at": at, "source": "form", "text_version": "1", **more}


@pytest.mark.parametrize(
    ("consent", "channel", "holds"),
    [
        ([given_("sms", "2024-01-01"), given_("sms", "2024-02-01", revoked_at="2024-03-01")], "sms", False),
        ([given_("sms", "2024-01-01", revoked_at="2024-03-01"), given_("sms", "2024-04-01")], "sms", True),
        ([given_("sms", "2024-01-01"), given_("email", "2024-02-01", revoked_at="2024-03-01")], "sms", True),
        ([given_("call", "2024-01-01"), given_("voicemail", "2024-02-01", revoked_at="2024-03-01")], "voicemail",
         False),
        ([given_("call", "2024-01-01"), given_("voicemail", "2024-02-01", revoked_at="2024-03-01")], "call", True),
        ([given_("sms", "2024-04-01"), given_("sms", "2024-02-01", revoked_at="some day")], "sms", False),
    ],
)  # fmt: skip
def test_a_consent_that_was_taken_back_ends_those_before_it(
    app: Connection, consent: list[Any], channel: str, holds: bool
) -> None:
    assert one(app, "SELECT crm.has_consent(%s, %s)", json.dumps(consent), channel) is holds


def test_a_consent_has_a_source_and_was_given(app: Connection) -> None:
    insert = "INSERT INTO crm.leads (organization_id, consent) VALUES (%s, %s)"
    for wrong in (given_("sms", "2999-01-01"), given_("sms", "soon"), {**given_("sms", "2024-01-01"), "source": " "},
                  {**given_("sms", "2024-01-01"), "text_version": ""}):  # fmt: skip
        assert sqlstate(app, insert, A, json.dumps([given_("call", "2024-01-01"), wrong])) == "23514", wrong
        lead = add(app, "leads")
        assert sqlstate(app, "UPDATE crm.leads SET consent = %s WHERE id = %s", json.dumps([wrong]), lead) == "23514"
    assert sqlstate(app, insert, A, json.dumps([given_("sms", "2024-01-01T08:00:00+01:00")])) == "accepted"


REVOKED = given_("sms", "2024-01-01", revoked_at="2024-03-01T00:00:00Z", record="hubspot_contact 1", flag="optin")


@pytest.mark.parametrize(
    ("written", "stays"),
    [
        # The array as it was read before the consent was taken back, and one more.
        ([given_("sms", "2024-01-01", record="hubspot_contact 1", flag="optin"), given_("email", "2024-04-01")],
         [REVOKED, given_("email", "2024-04-01")]),
        # As the API writes it, without what only the feed knows.
        ([given_("email", "2024-04-01"), given_("sms", "2024-01-01")], [given_("email", "2024-04-01"), REVOKED]),
        ([given_("sms", "2024-01-01", revoked_at="2024-03-01T00:00:00Z")], [REVOKED]),
        ([given_("email", "2024-04-01")], [REVOKED, given_("email", "2024-04-01")]),
        ([], [REVOKED]),
        # Taken back at another time: both stay, and the later one counts.
        ([given_("sms", "2024-01-01", revoked_at="2023-01-01")],
         [REVOKED, given_("sms", "2024-01-01", revoked_at="2023-01-01")]),
        # Given anew after it was taken back.
        ([given_("sms", "2024-05-01")], [REVOKED, given_("sms", "2024-05-01")]),
        ([REVOKED, given_("sms", "2024-05-01", revoked_at="2024-06-01")],
         [REVOKED, given_("sms", "2024-05-01", revoked_at="2024-06-01")]),
    ],
)  # fmt: skip
def test_an_application_neither_drops_nor_undoes_that_a_consent_was_taken_back(
    app: Connection, written: list[Any], stays: list[Any]
) -> None:
    lead = add(app, "leads", consent=json.dumps([REVOKED]))
    for _ in range(2):
        app.execute("UPDATE crm.leads SET consent = %s WHERE id = %s", [json.dumps(written), lead])
        found = one(app, "SELECT consent FROM crm.leads WHERE id = %s", lead)
        assert found == stays
    anew = any(one.get("at") == "2024-05-01" and "revoked_at" not in one for one in written)
    assert one(app, "SELECT crm.has_consent(consent, 'sms') FROM crm.leads WHERE id = %s", lead) is anew


def test_what_is_no_consent_is_refused_as_before(app: Connection) -> None:
    lead = add(app, "leads", consent=json.dumps([REVOKED]))
    for wrong in ("[1]", "[[]]", "{}", '"x"', '[{"channel": "sms"}]', "[null]"):
        assert sqlstate(app, "UPDATE crm.leads SET consent = %s WHERE id = %s", wrong, lead) == "23514", wrong


def test_a_source_and_erasure_write_what_was_taken_back_as_it_is(app: Connection, crm_url: str) -> None:
    update = "UPDATE crm.leads SET consent = '[]' WHERE id = %s RETURNING jsonb_array_length(consent)"
    with session(crm_url, role=None) as feed:
        lead = add(feed, "leads", consent=json.dumps([REVOKED]))
        assert one(feed, update, lead) == 1
        feed.execute("SELECT set_config('app.triggered_by', 'import', true)")
        assert one(feed, update, lead) == 0
        feed.execute("UPDATE crm.leads SET consent = %s WHERE id = %s", [json.dumps([REVOKED]), lead])
        feed.execute("SELECT set_config('app.triggered_by', '', true)")
        feed.execute("SELECT crm.erase_lead(%s)", [lead])
        assert one(feed, "SELECT consent FROM crm.leads WHERE id = %s", lead) == []


def test_what_was_there_before_consents_were_checked_can_be_changed(crm_url: str) -> None:
    with session(crm_url, role=None) as connection:
        connection.execute("ALTER TABLE crm.leads DISABLE TRIGGER check_consent")
        lead = add(connection, "leads", consent=json.dumps([given_("sms", "in spring")]))
        connection.execute("ALTER TABLE crm.leads ENABLE TRIGGER check_consent")
        update = "UPDATE crm.leads SET status = 'contacted' WHERE id = %s"
        assert sqlstate(connection, update, lead) == "accepted"


def test_erasure_finds_the_person_by_what_they_had_before(database_url: str) -> None:
    """An earlier phone, an address in another case, an entry in another spelling, and texts that a sender chose."""
    with session(database_url, role=None) as connection:
        by_phone = add(connection, "leads", last_name="Quagmire", phone="+12065550187", deleted_at="2025-01-01")
        by_address = add(connection, "leads", last_name="Quagmire", email="ZEBULON@Example.org",
                         deleted_at="2025-01-01")  # fmt: skip
        other = add(connection, "leads", last_name="Somebody", phone="+12065550189", deleted_at="2025-01-01")
        lead = add(connection, "leads", **{**SUBJECT, "phone": "+12065550187"},
                   lead_score_factors='{"zebulon": 1}')  # fmt: skip
        connection.execute("UPDATE crm.leads SET phone = %s WHERE id = %s", [SUBJECT["phone"], lead])
        add(connection, "dnc_list", phone="+2065550188", evidence="Zebulon said stop")
        add(connection, "dnc_list", phone="+12065550189", evidence="kept")
        add(connection, "lead_score_history", lead_id=lead, factors='{"of Zebulon": 1}', model_version="Quagmire")
        add(connection, "segments", name="for zebulon@example.org")
        sequence = add(connection, "nurture_sequences")
        log = [
            {"step": "Zebulon", "event": "Quagmire", "at": "98199"},
            {"step": 1, "event": "done", "at": "2025-01-02"},
        ]
        enrollment = add(connection, "lead_sequence_enrollments", lead_id=lead, sequence_id=sequence,
                         status="stopped", stop_reason="Zebulon said so", completed_at="2025-01-01",
                         execution_log=json.dumps(log))  # fmt: skip
        connection.execute("SET LOCAL ROLE crm_app")
        assert one(connection, "SELECT crm.erase_lead(%s)", lead)["leads"] == 3
        for phone in ("+12065550188", "+2065550188"):
            assert one(connection, "SELECT crm.is_on_dnc_list(%s, %s)", phone, A) is True
        connection.execute("RESET ROLE")
        rest = everything(connection).lower()
        assert [token for token in TOKENS if token.lower() in rest] == []
        assert "somebody" in rest
        assert "kept" in rest
        erased = {row[0] for row in connection.execute("SELECT id FROM crm.leads WHERE erased_at IS NOT NULL")}
        assert erased == {lead, by_phone, by_address}
        assert other not in erased
        kept = "SELECT execution_log -> 1 FROM crm.lead_sequence_enrollments WHERE id = %s"
        assert one(connection, kept, enrollment) == log[1]
