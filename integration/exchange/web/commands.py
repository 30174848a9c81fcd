"""``flask token``: give another system access, see who has it, take it back."""

from __future__ import annotations

import json
from datetime import timedelta

import click
from flask.cli import AppGroup

from integration.exchange import tokens
from integration.exchange.tokens import Scope
from kernel.access import ADMINISTRATORS, Role
from kernel.accounts import Organisation, by_credit_code
from kernel.accounts.organisations import parse_credit_code
from kernel.db import transaction
from kernel.errors import NotFound, PortalError
from kernel.trail import SYSTEM

group = AppGroup("token", help="访问令牌：签发、清单、撤销 / Access tokens: issue, list, revoke")
_ROLES = [role.value for role in Role if role.value not in ADMINISTRATORS]


def _fail(error: PortalError) -> click.ClickException:
    return click.ClickException(f"{error.text('zh')} / {error.text('en')}")


def _organisation(credit_code: str) -> Organisation:
    organisation = by_credit_code(parse_credit_code(credit_code))
    if organisation is None:
        raise NotFound
    return organisation


@group.command("issue")
@click.option("--organisation", "credit_code", required=True, help="统一社会信用代码 / unified social credit code")
@click.option("--role", "roles", required=True, multiple=True, type=click.Choice(_ROLES))
@click.option("--scope", "scopes", required=True, multiple=True, type=click.Choice([scope.value for scope in Scope]))
@click.option("--name", required=True, help="由哪个系统使用 / the system that will use it")
@click.option("--days", default=365, show_default=True, help="有效天数 / days of life")
def issue(credit_code: str, roles: tuple[str, ...], scopes: tuple[str, ...], name: str, days: int) -> None:
    """Issue a token to an organisation; prints the secret once, and nobody can read it again."""
    try:
        with transaction():
            token, secret = tokens.issue(
                _organisation(credit_code),
                roles=[Role(role) for role in roles],
                scopes=[Scope(scope) for scope in scopes],
                name=name,
                by=SYSTEM,
                life=timedelta(days=max(0, min(days, 10_000))),
            )
    except PortalError as error:
        raise _fail(error) from error
    click.echo(f"{token.number}  {token.organisation.name}  {token.expires_at:%Y-%m-%d}", err=True)
    click.echo(secret)


@group.command("list")
@click.option("--organisation", "credit_code", default="", help="统一社会信用代码 / unified social credit code")
@click.option("--json", "as_json", is_flag=True, help="JSON，每行一条 / one object a line")
def list_(credit_code: str, as_json: bool) -> None:
    """Tokens with their use, never their secrets."""
    try:
        found = tokens.of_organisation(_organisation(credit_code).id) if credit_code else tokens.all_unscoped()
    except PortalError as error:
        raise _fail(error) from error
    for token in found:
        line = {
            "number": token.number,
            "organisation": token.organisation.name,
            "name": token.name,
            "shown": f"{token.shown}…",
            "roles": token.roles,
            "scopes": token.scopes,
            "expires_at": token.expires_at.isoformat(timespec="seconds"),
            "revoked_at": token.revoked_at.isoformat(timespec="seconds") if token.revoked_at else None,
            "last_used_at": token.last_used_at.isoformat(timespec="seconds") if token.last_used_at else None,
        }
        if as_json:
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            state = "已撤销 / revoked" if token.revoked_at else f"→ {token.expires_at:%Y-%m-%d}"
            roles, scopes = ",".join(token.roles), ",".join(token.scopes)
            click.echo(f"{token.number}\t{token.organisation.name}\t{token.name}\t{roles}\t{scopes}\t{state}")


@group.command("revoke")
@click.argument("number")
@click.option("--reason", default="", help="原因 / why")
def revoke(number: str, reason: str) -> None:
    """End a token at once."""
    try:
        with transaction():
            tokens.revoke(tokens.find(number), by=SYSTEM, reason=reason)
    except PortalError as error:
        raise _fail(error) from error
    click.echo("已撤销 / revoked")
