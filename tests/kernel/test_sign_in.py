"""Signing in (trust G13, requirement E1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import ProgrammingError

from kernel import clock
from kernel.access import Role
from kernel.accounts import (
    OrganisationKind,
    Person,
    add_member,
    passwords,
    register_organisation,
    register_person,
    security_log,
    sign_in,
)
from kernel.accounts.passwords import (
    PasswordGuessable,
    PasswordHistory,
    PasswordTooLong,
    PasswordTooPlain,
    PasswordTooShort,
    PasswordUsedBefore,
)
from kernel.accounts.security_log import SecurityEntry, SecurityEvent
from kernel.clock import instants
from kernel.db import session, transaction
from kernel.errors import Invalid

GOOD = "Correct-Horse-42"
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class Time:
    """Machine time under the test's hand."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    monkeypatch.setattr(clock, "machine", moved)
    return moved


@pytest.fixture
def applicant(portal: Flask) -> int:
    with transaction():
        person = register_person("zhang.applicant", "张申请")
        passwords.set_password(person, GOOD)
        return person.id


@pytest.fixture
def officer(portal: Flask) -> int:
    with transaction():
        person = register_person("li.officer", "李审批")
        organisation = register_organisation(CODE_OF_OFFICE, "某局", OrganisationKind.AUTHORITY)
        add_member(person, organisation, Role.APPROVER)
        passwords.set_password(person, GOOD)
        sign_in.enrol(person)
        return person.id


#: A made-up authority whose check digit is right.
CODE_OF_OFFICE = "11230100MB0000007M"


def attempt(login: str, password: str = GOOD, code: str = "") -> sign_in.Result:
    with transaction():
        return sign_in.sign_in(login, password, code, address="192.0.2.7")


def code_of(person_id: int) -> str:
    return sign_in.current_code(session.get_one(Person, person_id))


def events() -> list[SecurityEvent]:
    return [entry.event for entry in reversed(security_log.latest_unscoped())]


# Passwords


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("Short-1aB", PasswordTooShort),
        ("aB1-" * 40, PasswordTooLong),
        ("onlylowercaseletters", PasswordTooPlain),
        ("lowercase-and-dashes", PasswordTooPlain),
        ("Aa1Aa1Aa1Aa1Aa1", PasswordGuessable),
        ("my-Zhang.Applicant-1", PasswordGuessable),
    ],
)
def test_weak_password_is_refused_by_name(password: str, error: type[Invalid]) -> None:
    with pytest.raises(error) as caught:
        passwords.check_strength(password, "zhang.applicant")
    assert caught.value.field == "password"


def test_three_of_four_classes_are_enough_and_chinese_counts_as_other() -> None:
    passwords.check_strength("lower-UPPER-signs", "zhang")
    passwords.check_strength("建设单位的专用口令abcD", "zhang")


def test_asvs_profile_asks_for_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_profile", passwords.PROFILES["asvs"])
    passwords.check_strength("four plain words here", "zhang")
    assert not passwords.is_overdue(AT - timedelta(days=4000))


def test_password_is_due_for_change_after_ninety_days(time: Time) -> None:
    assert passwords.is_overdue(None)
    assert not passwords.is_overdue(AT)
    time.forward(days=90)
    assert not passwords.is_overdue(AT)
    time.forward(seconds=1)
    assert passwords.is_overdue(AT)


def test_nobodys_hash_costs_what_every_hash_costs() -> None:
    assert not passwords._HASHER.check_needs_rehash(passwords.NOBODY)
    assert not passwords.matches("", GOOD)


def test_last_five_passwords_cannot_come_back(applicant: int) -> None:
    with transaction():
        person = session.get_one(Person, applicant)
        for number in range(4):
            passwords.set_password(person, f"{GOOD}-{number}")
    with pytest.raises(PasswordUsedBefore), transaction():
        passwords.set_password(session.get_one(Person, applicant), GOOD)
    with transaction():
        passwords.set_password(session.get_one(Person, applicant), f"{GOOD}-another")
        passwords.set_password(session.get_one(Person, applicant), GOOD)


def test_password_is_kept_as_argon2id_and_nowhere_else(applicant: int) -> None:
    person = session.get_one(Person, applicant)
    kept = session.scalars(select(PasswordHistory.password_hash)).all()
    assert person.password_hash.startswith("$argon2id$")
    assert list(kept) == [person.password_hash]


# Signing in


def test_right_password_signs_an_applicant_in(applicant: int) -> None:
    result = attempt("  ZHANG.applicant ")
    assert result.person is not None
    assert result.person.id == applicant
    assert result.error is None
    assert events()[-1] is SecurityEvent.SIGNED_IN


@pytest.mark.parametrize("login", ["nobody.here", "zhang.applicant", "", "bad\x00login"])
def test_every_refusal_gives_the_same_answer(applicant: int, login: str) -> None:
    result = attempt(login, "Wrong-Horse-42")
    assert result.person is None
    assert isinstance(result.error, sign_in.SignInRefused)
    assert result.error.params == {}


def test_unknown_login_costs_a_hash_too(portal: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def spy(stored: str, password: str) -> bool:
        checked.append(stored)
        return False

    monkeypatch.setattr(passwords, "matches", spy)
    attempt("nobody.here")
    assert len(checked) == 1


def test_failed_attempt_is_stored_though_it_fails(applicant: int) -> None:
    attempt("zhang.applicant", "Wrong-Horse-42")
    assert session.get_one(Person, applicant).failures == 1
    entry = security_log.latest_unscoped()[0]
    assert (entry.event, entry.person_id, entry.address) == (SecurityEvent.REFUSED, applicant, "192.0.2.7")


def test_five_failures_lock_this_account_for_half_an_hour(applicant: int, time: Time) -> None:
    with transaction():
        passwords.set_password(register_person("wang.other", "王另"), GOOD)
    for _ in range(5):
        attempt("zhang.applicant", "Wrong-Horse-42")
    assert events()[-1] is SecurityEvent.LOCKED
    assert attempt("zhang.applicant").person is None
    assert attempt("wang.other").person is not None
    time.forward(minutes=29, seconds=59)
    assert attempt("zhang.applicant").person is None
    time.forward(seconds=2)
    assert attempt("zhang.applicant").person is not None


def test_guesses_while_locked_do_not_prolong_the_lock(applicant: int, time: Time) -> None:
    for _ in range(5):
        attempt("zhang.applicant", "Wrong-Horse-42")
    time.forward(minutes=20)
    attempt("zhang.applicant", "Wrong-Horse-42")
    time.forward(minutes=11)
    assert attempt("zhang.applicant", "Wrong-Horse-42").person is None
    assert session.get_one(Person, applicant, populate_existing=True).failures == 1
    assert attempt("zhang.applicant").person is not None


def test_success_clears_the_count(applicant: int) -> None:
    for _ in range(4):
        attempt("zhang.applicant", "Wrong-Horse-42")
    attempt("zhang.applicant")
    attempt("zhang.applicant", "Wrong-Horse-42")
    assert attempt("zhang.applicant").person is not None


def test_disabled_person_stays_out_and_loses_sessions(applicant: int) -> None:
    epoch = session.get_one(Person, applicant).session_epoch
    assert sign_in.account(applicant, epoch, "key") is not None
    with transaction():
        sign_in.disable(session.get_one(Person, applicant))
    assert attempt("zhang.applicant").person is None
    assert sign_in.account(applicant, epoch, "key") is None
    assert sign_in.account(applicant, epoch + 1, "key") is None


# The second factor


def test_officer_needs_the_code(officer: int) -> None:
    assert attempt("li.officer").person is None
    assert attempt("li.officer", code="000000").person is None or code_of(officer) == "000000"
    assert attempt("li.officer", code=code_of(officer)).person is not None


def test_code_is_taken_once_only(officer: int, time: Time) -> None:
    code = code_of(officer)
    assert attempt("li.officer", code=code).person is not None
    assert attempt("li.officer", code=code).person is None
    time.forward(seconds=30)
    assert attempt("li.officer", code=code_of(officer)).person is not None


def test_code_of_a_neighbouring_step_is_accepted_and_no_older(officer: int, time: Time) -> None:
    code = code_of(officer)
    time.forward(seconds=30)
    assert attempt("li.officer", code=f" {code[:3]} {code[3:]} ").person is not None
    older = code_of(officer)
    time.forward(seconds=60)
    assert attempt("li.officer", code=older).person is None


def test_code_follows_machine_time_not_legal_time(officer: int, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    code = code_of(officer)
    monkeypatch.setattr(instants, "_source", lambda: AT + timedelta(days=300))
    assert clock.now() == AT + timedelta(days=300)
    assert attempt("li.officer", code=code).person is not None


def test_wrong_codes_lock_like_wrong_passwords(officer: int) -> None:
    for _ in range(5):
        attempt("li.officer", code="12345x")
    assert attempt("li.officer", code=code_of(officer)).person is None


def test_officer_without_a_factor_is_told_only_after_the_right_password(officer: int) -> None:
    with transaction():
        session.get_one(Person, officer).totp_secret = ""
    assert isinstance(attempt("li.officer").error, sign_in.SecondFactorMissing)
    assert isinstance(attempt("li.officer", "Wrong-Horse-42").error, sign_in.SignInRefused)


# Sessions


def test_new_password_ends_every_session(applicant: int) -> None:
    epoch = session.get_one(Person, applicant).session_epoch
    with transaction():
        passwords.set_password(session.get_one(Person, applicant), "Another-Horse-43")
    assert sign_in.account(applicant, epoch, "key") is None


def test_signed_out_session_stays_dead_and_no_other(applicant: int) -> None:
    epoch = session.get_one(Person, applicant).session_epoch
    with transaction():
        sign_in.end_session("first")
        sign_in.end_session("first")
    assert sign_in.account(applicant, epoch, "first") is None
    assert sign_in.account(applicant, epoch, "second") is not None


def test_account_acts_for_the_chosen_organisation(officer: int) -> None:
    with transaction():
        other = register_organisation("91230100MA00000055", "某公司", OrganisationKind.COMPANY)
        add_member(session.get_one(Person, officer), other, Role.APPLICANT)
        chosen = other.id
    epoch = session.get_one(Person, officer).session_epoch
    first, second = sign_in.account(officer, epoch, "key"), sign_in.account(officer, epoch, "key", chosen)
    assert first is not None
    assert second is not None
    assert first.actor.roles == {"approver"}
    assert second.actor.roles == {"applicant"}
    assert [name for _, name in first.organisations] == ["某局", "某公司"]


def test_password_asked_again_counts_failures(applicant: int) -> None:
    with transaction():
        assert sign_in.verify_password(applicant, GOOD).person is not None
    for _ in range(5):
        with transaction():
            assert sign_in.verify_password(applicant, "Wrong-Horse-42").person is None
    with transaction():
        assert sign_in.verify_password(applicant, GOOD).person is None


def test_security_log_cannot_be_rewritten_by_the_web_role(applicant: int) -> None:
    """G8."""
    assert session.scalar(select(func.count()).select_from(SecurityEntry))
    entry = security_log.latest_unscoped()[0]
    with transaction():
        entry.detail = "changed"
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.flush()
        session.rollback()


def test_security_log_keeps_one_line_per_entry(portal: Flask) -> None:
    with transaction():
        security_log.record(SecurityEvent.REFUSED, login="a\nb\x00c", detail="x" * 500)
    entry = security_log.latest_unscoped()[0]
    assert entry.login == "a b c"
    assert len(entry.detail) == security_log.LONGEST
