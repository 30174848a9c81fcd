"""``flask user``: the first administrator of a new portal, and help when somebody lost a phone."""

from __future__ import annotations

import json
import secrets

import click
from flask.cli import AppGroup
from sqlalchemy import select

from kernel.access import Role
from kernel.accounts import Person, add_member, by_credit_code, register_person, sign_in
from kernel.accounts.organisations import parse_credit_code
from kernel.accounts.passwords import set_password
from kernel.accounts.sign_in import enrol
from kernel.db import session, transaction
from kernel.errors import NotFound, PortalError

people = AppGroup("user", help="账号：新增、岗位、清单 / Accounts: add, role, list")


def _fail(error: PortalError) -> click.ClickException:
    return click.ClickException(f"{error.text('zh')} / {error.text('en')}")


@people.command("add")
@click.argument("login")
@click.argument("name")
@click.argument("credit_code")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def add(login: str, name: str, credit_code: str, role: str) -> None:
    """Add a person with a role in an organisation; prints a password to be changed at first sign-in."""
    password = f"{secrets.token_urlsafe(12)}-aA1"
    try:
        with transaction():
            organisation = by_credit_code(parse_credit_code(credit_code))
            if organisation is None:
                raise NotFound
            person = register_person(login, name)
            add_member(person, organisation, Role(role))
            set_password(person, password, is_temporary=True)
            address = enrol(person) if sign_in.needs_second_factor(person) else ""
    except PortalError as error:
        raise _fail(error) from error
    click.echo(f"初始口令 / first password: {password}")
    if address:
        click.echo(f"动态口令 / second factor: {address}")


@people.command("role")
@click.argument("login")
@click.argument("credit_code")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def role_(login: str, credit_code: str, role: str) -> None:
    """Give a person one more role in an organisation."""
    try:
        with transaction():
            person = session.scalars(select(Person).where(Person.login == login.strip().lower())).first()
            organisation = by_credit_code(parse_credit_code(credit_code))
            if person is None or organisation is None:
                raise NotFound
            add_member(person, organisation, Role(role))
    except PortalError as error:
        raise _fail(error) from error
    click.echo("已完成 / done")


@people.command("factor")
@click.argument("login")
def factor(login: str) -> None:
    """Set up a new second factor and print its address for the person's app."""
    with transaction():
        person = session.scalars(select(Person).where(Person.login == login.strip().lower())).first()
        if person is None:
            raise _fail(NotFound())
        address = enrol(person)
    click.echo(address)


@people.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON, one object a line")
def list_(as_json: bool) -> None:
    """Everybody with their organisations and roles."""
    for person in session.scalars(select(Person).order_by(Person.login)):
        held = [(m.organisation.name, m.role.value) for m in person.memberships if m.ended_at is None]
        if as_json:
            line = {
                "login": person.login,
                "name": person.name,
                "roles": held,
                "disabled": person.disabled_at is not None,
            }
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            roles = "；".join(f"{organisation} {role}" for organisation, role in held)
            click.echo(f"{person.login}\t{person.name}\t{roles}{'（已停用）' if person.disabled_at else ''}")
