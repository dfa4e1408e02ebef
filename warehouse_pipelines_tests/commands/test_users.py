"""``warehouse users`` and ``warehouse tokens``."""

import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.serving import passwords
from warehouse_pipelines.serving.rights import ROLES
from warehouse_pipelines.serving.secrets_kept import TOKEN, digest
from warehouse_pipelines.warehouse import connect
from warehouse_pipelines_tests.harness.crm_database import A

PASSWORD = "an invented password"


@pytest.fixture(autouse=True)
def url(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", shared_url)
    return shared_url


def warehouse(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, words, input=given)


def row(url: str, name: str) -> dict[str, object]:
    with connect(url) as connection:
        found = connection.execute("SELECT * FROM access.user_account WHERE name = %s", [name]).fetchone()
    assert found is not None
    return found


def test_a_user_is_added_listed_changed_disabled_and_removed(url: str) -> None:
    added = warehouse("users", "add", "Ada", "--role", "operator", "--organization", A, "--password-stdin",
                      given=f"{PASSWORD}\n")  # fmt: skip
    assert (added.exit_code, added.stdout) == (0, "ada may sign in as operator.\n"), added.output
    kept = str(row(url, "ada")["password_hash"])
    assert PASSWORD not in kept
    assert passwords.holds(PASSWORD, kept)
    assert str(row(url, "ada")["organization_id"]) == A
    assert "operator" in warehouse("users", "list").stdout
    assert warehouse("users", "password", "ada", "--password-stdin", given=f"{PASSWORD} 2\n").exit_code == 0
    assert not passwords.holds(PASSWORD, str(row(url, "ada")["password_hash"]))
    assert warehouse("users", "role", "ada", "viewer").exit_code == 0
    assert row(url, "ada")["role"] == "viewer"
    assert warehouse("users", "disable", "ada").exit_code == 0
    assert "disabled" in warehouse("users", "list").stdout
    assert warehouse("tokens", "add", "ada", "x").exit_code == 2
    assert warehouse("users", "enable", "ada").exit_code == 0
    assert warehouse("users", "remove", "ada").exit_code == 0
    assert "ada" not in warehouse("users", "list").stdout


@pytest.mark.parametrize(("words", "given", "said"), [
    (["users", "add", "short", "--password-stdin"], "too short\n", "12 to 1,000 characters"),
    (["users", "add", "a b", "--oidc"], "", "no name for a user"),
    (["users", "add", "nobody-to-ask"], "", "--password-stdin"),
    (["users", "add", "x", "--oidc", "--password-stdin"], "", "exclude each other"),
    (["users", "disable", "nobody"], "", "no user 'nobody'"),
    (["tokens", "add", "nobody", "x"], "", "no user 'nobody'"),
    (["tokens", "revoke", A], "", "has the id"),
])  # fmt: skip
def test_what_cannot_be_meant_is_wrong_use(words: list[str], given: str, said: str) -> None:
    result = warehouse(*words, given=given)
    assert result.exit_code == 2
    assert said in result.output


def test_there_is_one_user_of_a_name() -> None:
    assert warehouse("users", "add", "twice@example.test", "--oidc").exit_code == 0
    assert "already" in warehouse("users", "add", "Twice@example.test", "--oidc").output


def test_a_token_is_shown_once_and_revoked(url: str) -> None:
    warehouse("users", "add", "shop", "--oidc", "--role", "operator")
    made = warehouse("tokens", "add", "shop", "orders", "--scope", "leads.read", "--days", "30")
    token = made.stdout.strip()
    assert TOKEN.fullmatch(token)
    with connect(url) as connection:
        [kept] = connection.execute("SELECT * FROM access.api_token").fetchall()
    assert (bytes(kept["token_hash"]), kept["scopes"]) == (digest(token), ["leads.read"])
    assert 29 <= (kept["expires_at"] - kept["created_at"]).days <= 30
    listed = warehouse("tokens", "list").stdout
    assert "orders" in listed
    assert token not in listed
    assert warehouse("tokens", "revoke", str(kept["id"])).exit_code == 0
    assert "orders" not in warehouse("tokens", "list").stdout
    assert "There are:" in warehouse("tokens", "add", "shop", "x", "--scope", "everything").output
    assert "does not have: leads.delete" in warehouse("tokens", "add", "shop", "x", "--scope", "leads.delete").output
    warehouse("tokens", "add", "shop", "all")
    with connect(url) as connection:
        [all_] = connection.execute("SELECT scopes FROM access.api_token WHERE name = 'all'").fetchall()
    assert {*all_["scopes"]} == {*ROLES["operator"]}
