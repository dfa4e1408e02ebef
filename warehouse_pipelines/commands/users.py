"""``warehouse users`` and ``warehouse tokens``: who may use ``warehouse serve``.

A password is asked for, or read from standard input; it is never part of a line, which others of the machine can see.
"""

import sys
from datetime import timedelta
from uuid import UUID

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.serving.rights import ROLES

from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group()
def users() -> None:
    """Say who may use `warehouse serve`; docs/api.md says what each role may do."""


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option(
    "--organization",
    type=click.UUID,
    help="Of crm; default CRM_ORGANIZATION_ID. Users of another one see its leads, and no marts or vendors' tables.",
)
@click.option("--oidc", is_flag=True, help="Without a password: NAME is the e-mail address at the OIDC provider.")
@from_stdin
def add(name: str, role: str, organization: UUID | None, oidc: bool, password_stdin: bool) -> None:
    """Add a user."""
    from warehouse_pipelines.serving import accounts
    from warehouse_pipelines.settings import settings

    if oidc and password_stdin:
        raise Misused("--oidc and --password-stdin exclude each other.")
    url, password = database_url(), None if oidc else _password(password_stdin)
    with warehouse.session(url) as session:
        accounts.add_user(session, name.lower(), role, organization or settings().crm_organization_id, password)
    click.echo(f"{name.lower()} may sign in as {role}.")


@users.command("list")
def list_() -> None:
    """List the users."""
    from rich.table import Table

    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        found = accounts.users(session)
    table = Table("name", "role", "organization", "signs in by", "last seen (UTC)", "")
    for one in found:
        ways = [way for way, has in (("password", one["has_password"]), ("OIDC", one["has_oidc"])) if has]
        seen = f"{one['last_seen_at']:%Y-%m-%d %H:%M}" if one["last_seen_at"] else "never"
        state = "disabled" if one["disabled_at"] else ""
        table.add_row(one["name"], one["role"], str(one["organization_id"]), ", ".join(ways) or "OIDC", seen, state)
    out().print(table, markup=False)


@users.command()
@click.argument("name")
@from_stdin
def password(name: str, password_stdin: bool) -> None:
    """Give a user another password, and end the sessions."""
    from warehouse_pipelines.serving import accounts

    url, given = database_url(), _password(password_stdin)
    with warehouse.session(url) as session:
        accounts.set_password(session, name.lower(), given)
    click.echo(f"{name.lower()} has another password.")


@users.command()
@click.argument("name")
@click.argument("new_role", metavar="ROLE", type=click.Choice(ROLES))
def role(name: str, new_role: str) -> None:
    """Give a user another role, and end the sessions."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        accounts.set_role(session, name.lower(), new_role)
    click.echo(f"{name.lower()} is {new_role}.")


@users.command()
@click.argument("name")
def disable(name: str) -> None:
    """Let a user do nothing any more, tokens included."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        accounts.disable(session, name.lower())
    click.echo(f"{name.lower()} is disabled.")


@users.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled user sign in again."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        accounts.enable(session, name.lower())
    click.echo(f"{name.lower()} may sign in again.")


@users.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a user and the tokens; the logs keep the id."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        accounts.remove(session, name.lower())
    click.echo(f"{name.lower()} is removed.")


@click.group()
def tokens() -> None:
    """Make and revoke what programs sign in with."""


@tokens.command("add")
@click.argument("user")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="A right it has, such as leads.read; default all of the role.")
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long it lasts.")
def add_token(user: str, name: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token for a program that acts as USER; NAME says what it is for. It is shown once."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        token_id, token = accounts.add_token(session, user.lower(), name, scopes, timedelta(days=days))
    click.echo(token)
    click.echo(f"It lasts {days} days and is not shown again. To end it: warehouse tokens revoke {token_id}", err=True)


@tokens.command("list")
def list_tokens() -> None:
    """List the tokens that hold."""
    from rich.table import Table

    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        found = accounts.tokens(session)
    table = Table("id", "user", "for", "rights", "ends (UTC)", "last used (UTC)")
    for one in found:
        used = f"{one['last_used_at']:%Y-%m-%d %H:%M}" if one["last_used_at"] else "never"
        ends = f"{one['expires_at']:%Y-%m-%d %H:%M}"
        table.add_row(str(one["id"]), one["user"], one["name"], " ".join(one["scopes"]), ends, used)
    out().print(table, markup=False)


@tokens.command()
@click.argument("token_id", metavar="ID", type=click.UUID)
def revoke(token_id: UUID) -> None:
    """End a token."""
    from warehouse_pipelines.serving import accounts

    with warehouse.session(database_url()) as session:
        accounts.revoke_token(session, token_id)
    click.echo(f"Token {token_id} is revoked.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Misused("Nobody can be asked for a password here; give it by --password-stdin.")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given
