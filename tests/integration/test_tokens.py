"""Access tokens: another system speaks for an organisation, within its roles and scopes, until it is told to stop."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import time_machine

from integration.exchange import tokens
from integration.exchange.tokens import AccessToken, Scope
from kernel import clock, trail
from kernel.access import Role
from kernel.db import session, transaction
from kernel.trail import SYSTEM

READ = (Scope.DOSSIER_READ,)


def issue(world, roles=(Role.AGENCY,), scopes=READ, **more):
    with transaction():
        return tokens.issue(
            world.organisations["清源"], roles=roles, scopes=scopes, name="清源业务系统", by=SYSTEM, **more
        )


def test_a_secret_speaks_for_its_organisation(world):
    token, secret = issue(world)
    grant = tokens.authenticate(secret)
    assert grant is not None
    assert grant.actor.organisation_id == world.organisations["清源"].id
    assert (grant.actor.person_id, grant.actor.person) == (None, "清源业务系统")
    assert grant.actor.roles == {"agency"}
    assert grant.scopes == {"dossier:read"}
    assert grant.number == token.number


def test_the_secret_is_never_stored(world):
    _token, secret = issue(world)
    row = session.execute(AccessToken.__table__.select()).one()
    assert secret not in json.dumps([str(value) for value in row])
    assert secret.startswith(row.shown)
    assert len(row.shown) < 15
    acts = trail.of(f"token:{row.number}")
    assert [act.act for act in acts] == ["token.issued"]
    assert secret not in json.dumps(acts[0].data)


@pytest.mark.parametrize("wrong", ["", "portal_", "Bearer", "portal_" + "A" * 43, "portal_" + "é" * 43, "x" * 10_000])
def test_another_text_speaks_for_nobody(world, wrong):
    issue(world)
    assert tokens.authenticate(wrong) is None


def test_a_revoked_token_is_dead_at_once(world):
    token, secret = issue(world)
    assert tokens.authenticate(secret) is not None
    with transaction():
        tokens.revoke(tokens.find(token.number), by=SYSTEM, reason="系统停用")
    assert tokens.authenticate(secret) is None
    with pytest.raises(tokens.TokenRevoked), transaction():
        tokens.revoke(tokens.find(token.number), by=SYSTEM)
    assert [act.act for act in trail.of(token.subject)] == ["token.issued", "token.revoked"]


def test_what_another_process_revokes_ends_within_seconds(world):
    token, secret = issue(world)
    assert tokens.authenticate(secret) is not None
    with transaction():
        tokens.find(token.number).revoked_at = clock.machine()
    with time_machine.travel(clock.machine() + tokens.TRUSTED_FOR, tick=True):
        assert tokens.authenticate(secret) is None


def test_a_token_ends_on_machine_time_whatever_the_demo_clock_says(world):
    from kernel import sandbox

    _token, secret = issue(world, life=timedelta(days=3))
    sandbox.forward(timedelta(days=30))
    assert tokens.authenticate(secret) is not None
    with time_machine.travel(clock.machine() + timedelta(days=4), tick=True):
        assert tokens.authenticate(secret) is None


def test_the_token_of_a_closed_organisation_is_dead(world):
    _token, secret = issue(world)
    assert tokens.authenticate(secret) is not None
    with transaction():
        session.merge(world.organisations["清源"]).closed_at = clock.machine()
    with time_machine.travel(clock.machine() + tokens.TRUSTED_FOR, tick=True):
        assert tokens.authenticate(secret) is None


def test_use_is_noted_but_not_with_every_request(world):
    token, secret = issue(world)
    assert tokens.find(token.number).last_used_at is None
    tokens.authenticate(secret)
    session.expire_all()
    first = tokens.find(token.number).last_used_at
    assert first is not None
    tokens.authenticate(secret)
    session.expire_all()
    assert tokens.find(token.number).last_used_at == first


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"roles": ()}, tokens.TokenRolesInvalid),
        ({"roles": (Role.AGENCY, Role.OPERATOR)}, tokens.TokenRolesInvalid),
        ({"scopes": ()}, tokens.TokenScopesMissing),
        ({"life": timedelta(0)}, tokens.TokenLifeInvalid),
        ({"life": timedelta(days=400)}, tokens.TokenLifeInvalid),
    ],
)
def test_a_token_without_bounds_is_not_issued(world, changes, error):
    with pytest.raises(error):
        issue(world, **changes)
    assert not tokens.all_unscoped()


def test_a_token_without_a_name_is_not_issued(world):
    with pytest.raises(tokens.TokenNameMissing), transaction():
        tokens.issue(world.organisations["清源"], roles=[Role.AGENCY], scopes=READ, name=" ", by=SYSTEM)


def test_the_command_prints_the_secret_once_and_lists_without_it(world):
    run = world.portal.test_cli_runner()
    code = world.organisations["清源"].credit_code
    arguments = ["--organisation", code, "--role", "agency", "--scope", "commissions:read", "--name", "业务系统"]
    issued = run.invoke(args=["token", "issue", *arguments])
    assert issued.exit_code == 0, issued.output
    secret = issued.stdout.strip().splitlines()[-1]
    assert tokens.authenticate(secret) is not None
    listed = run.invoke(args=["token", "list", "--json"])
    line = json.loads(listed.stdout)
    assert secret not in listed.output
    assert (line["name"], line["roles"], line["scopes"]) == ("业务系统", ["agency"], ["commissions:read"])
    assert run.invoke(args=["token", "revoke", line["number"], "--reason", "停用"]).exit_code == 0
    session.expire_all()
    assert tokens.authenticate(secret) is None


def test_the_command_names_what_is_wrong(world):
    run = world.portal.test_cli_runner()
    arguments = ["--role", "agency", "--scope", "commissions:read", "--name", "x"]
    wrong = run.invoke(args=["token", "issue", "--organisation", "123", *arguments])
    assert wrong.exit_code == 1
    assert "统一社会信用代码" in wrong.output
    administrator = run.invoke(args=["token", "issue", "--role", "operator"])
    assert administrator.exit_code == 2
