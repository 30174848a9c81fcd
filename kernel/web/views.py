"""The kernel's own pages: signing in and out, account, inbox, downloads, health, the sandbox's clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    jsonify,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_babel import gettext as _
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from kernel import clock, files, notifications, sandbox, schema, trail
from kernel.access import PUBLIC, SIGNED_IN, Cell
from kernel.accounts import Organisation, Person, security_log, sign_in
from kernel.accounts.passwords import SHORTEST, set_password
from kernel.accounts.security_log import SecurityEvent
from kernel.config import Config
from kernel.db import session, transaction
from kernel.errors import Invalid, NotFound, PortalError
from kernel.web import identity
from kernel.web.incidents import form_errors
from kernel.web.pages import instant, language, local_path, page_number, role_labels, see_other

log = logging.getLogger(__name__)
blueprint = Blueprint("kernel", __name__)

ACCESS: Mapping[str, Cell] = {
    "kernel.sign_in": PUBLIC,
    "kernel.sign_out": SIGNED_IN,
    "kernel.account": SIGNED_IN,
    "kernel.organisation": SIGNED_IN,
    "kernel.password": SIGNED_IN,
    "kernel.inbox": SIGNED_IN,
    "kernel.inbox_read": SIGNED_IN,
    # Whether this file may be read is the file's own question (404 if not): some are public.
    "kernel.download": PUBLIC,
    "kernel.accessibility": PUBLIC,
    "kernel.healthz": PUBLIC,
    "kernel.readyz": PUBLIC,
    "kernel.sandbox_clock": PUBLIC,
    "kernel.sandbox_clock_api": PUBLIC,
}

#: Counted in each web process; what keeps guessing out is the lock on the account, this only slows spraying.
limiter = FixedWindowRateLimiter(MemoryStorage())
INBOX_SIZE = 20
_SETTINGS = "portal_web"


class PasswordsDiffer(Invalid):
    code = "passwords_differ"
    zh = "两次输入的新口令不一致"
    en = "The new password was not typed the same twice"


class PasswordWrong(Invalid):
    code = "password_wrong"
    zh = "当前口令不正确。连续 5 次错误，账号将锁定 30 分钟"
    en = "The present password is wrong. After five failures the account is locked for 30 minutes"


def install(app: Flask, config: Config, link: Callable[[str], str | None]) -> None:
    """Tell the pages the settings, and by ``link`` where a subject is shown."""
    app.extensions[_SETTINGS] = (config, link)


def _config() -> Config:
    return current_app.extensions[_SETTINGS][0]  # type: ignore[no-any-return]


def _link(subject: str) -> str | None:
    return current_app.extensions[_SETTINGS][1](subject)  # type: ignore[no-any-return]


def _limit() -> str:
    return "600 per minute" if _config().sandbox else "60 per minute"


# Signing in and out


@blueprint.route("/sign-in", methods=["GET", "POST"], endpoint="sign_in")
def sign_in_page() -> Response | tuple[str, int] | str:
    target = local_path(request.values.get("next"))
    if request.method == "GET":
        if identity.current_account() is not None:
            return see_other(target or "/")
        return _sign_in_form(target, None)
    if not limiter.hit(parse(_limit()), identity.address()):
        abort(HTTPStatus.TOO_MANY_REQUESTS)
    with transaction():
        demo = request.form.get("demo", "") if _config().sandbox else ""
        if demo:
            person = sandbox.sign_in_demo(demo, address=identity.address())
            error: PortalError | None = None if person else sign_in.SignInRefused()
        else:
            result = sign_in.sign_in(
                request.form.get("login", ""),
                request.form.get("password", ""),
                request.form.get("code", ""),
                address=identity.address(),
            )
            person, error = result.person, result.error
    if person is None or error is not None:
        return _sign_in_form(target, error or sign_in.SignInRefused()), HTTPStatus.UNAUTHORIZED
    identity.begin(person)
    return see_other(target or "/")


def _sign_in_form(target: str | None, error: PortalError | None) -> str:
    return render_template(
        "kernel/sign_in.html",
        next=target,
        login=request.form.get("login", ""),
        has_ended=request.args.get("ended") == "1" or identity.has_ended(),
        form_errors=form_errors(error) if error else None,
        demo=sandbox.demo_accounts(language()) if _config().sandbox else [],
    )


@blueprint.post("/sign-out", endpoint="sign_out")
def sign_out() -> Response:
    account = identity.current_account()
    if account is not None:
        key = identity.end()
        with transaction():
            if key:
                sign_in.end_session(key)
            security_log.record(
                SecurityEvent.SIGNED_OUT,
                login=account.login,
                person_id=account.actor.person_id,
                address=identity.address(),
            )
    return see_other("/")


# The account


@blueprint.get("/account")
def account() -> str:
    mine = _my_account()
    person = session.get_one(Person, mine.actor.person_id)
    return render_template(
        "kernel/account.html",
        account=mine,
        roles=role_labels(mine.actor, language()),
        record=person,
        has_second_factor=bool(person.totp_secret),
        entries=[
            (instant(entry.at, seconds=True), entry.event.label(language()), entry.address)
            for entry in security_log.of_person(person.id, most=10)
        ],
    )


@blueprint.post("/organisation")
def organisation() -> Response:
    """Act for another of one's organisations, named by its credit code."""
    mine = _my_account()
    code = request.form.get("credit_code", "")
    if code not in {known for known, _name in mine.organisations}:
        raise NotFound
    chosen = session.scalars(select(Organisation).where(Organisation.credit_code == code)).one()
    identity.act_for(chosen.id)
    flash(_("您现在代表“%(name)s”办理业务。", name=chosen.name), "success")
    return see_other(local_path(request.form.get("next")) or url_for("kernel.account"))


@blueprint.route("/password", methods=["GET", "POST"])
def password() -> Response | tuple[str, int] | str:
    mine = _my_account()
    if request.method == "GET":
        return _password_form(mine, None)
    present, wanted = request.form.get("present_password", ""), request.form.get("new_password", "")
    error: PortalError | None = None
    try:
        with transaction():
            person = sign_in.verify_password(mine.actor.person_id or 0, present, address=identity.address()).person
            if person is None:
                error = PasswordWrong(field="present_password")
            elif wanted != request.form.get("repeated_password", ""):
                error = PasswordsDiffer(field="repeated_password")
            else:
                set_password(person, wanted, field="new_password")
    except Invalid as refused:
        error, person = refused, None
    if error is not None or person is None:
        return _password_form(mine, error), HTTPStatus.UNPROCESSABLE_ENTITY
    identity.begin(person)
    flash(_("口令已更换，其他设备上的登录已全部退出。"), "success")
    return see_other(url_for("kernel.account"))


def _password_form(mine: sign_in.Account, error: PortalError | None) -> str:
    return render_template(
        "kernel/password.html",
        is_overdue=mine.must_renew_password,
        least=SHORTEST,
        profile=_config().password_profile,
        form_errors=form_errors(error) if error else None,
    )


def _my_account() -> sign_in.Account:
    mine = identity.current_account()
    if mine is None:  # a token has no account pages
        raise NotFound
    return mine


# The inbox


@blueprint.get("/inbox")
def inbox() -> str:
    actor = _my_account().actor
    page = page_number()
    notices, total = notifications.inbox(actor.person_id or 0, page=page, size=INBOX_SIZE)
    named = trail.named_acts()
    lines = [
        {
            "at": notice.at,
            "title": notice.title,
            "act": trail.act_label(notice.act, language()) if notice.act in named else "",
            "url": _link(notice.subject),
            "is_warning": notice.is_warning,
            "is_new": notice.read_at is None,
        }
        for notice in notices
    ]
    return render_template(
        "kernel/inbox.html", lines=lines, total=total, page=page, pages=max(1, -(-total // INBOX_SIZE))
    )


@blueprint.post("/inbox/read")
def inbox_read() -> Response:
    actor = _my_account().actor
    with transaction():
        notifications.mark_read(actor.person_id or 0)
    return see_other(url_for("kernel.inbox"))


# Files


@blueprint.get("/files/<number>")
def download(number: str) -> Response:
    document = files.by_number(number)
    if not files.may_read(document, identity.current_actor()):
        raise NotFound
    response = send_file(
        files.open_document(document),
        mimetype=document.media_type,
        as_attachment=True,
        download_name=document.name,
        etag=document.sha256,
        conditional=True,
        last_modified=document.stored_at,
    )
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


# Statements and health


@blueprint.get("/accessibility")
def accessibility() -> str:
    return render_template("kernel/accessibility.html")


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers; asks nothing else."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers and has the migrations that this version needs."""
    try:
        found = set(session.scalars(text("SELECT version_num FROM alembic_version")))
    except SQLAlchemyError:
        log.warning("not ready: the database doesn't answer, or has no migrations", exc_info=True)
        session.remove()
        return _not_ready("database")
    if found != {schema.head()}:
        return _not_ready("migrations")
    return jsonify(status="ok")


def _not_ready(why: str) -> Response:
    response = jsonify(status="unavailable", waiting_for=why)
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    response.headers["Retry-After"] = "5"
    return response


# The sandbox


@blueprint.post("/sandbox/clock", endpoint="sandbox_clock")
def sandbox_clock() -> Response:
    _only_in_sandbox()
    moved = sandbox.forward(clock.parse_duration(request.form.get("forward", "")))
    flash(_("演示时间已前进，期间到期的 %(count)s 项事务已办理。", count=moved.acts), "success")
    return see_other(local_path(request.form.get("next")) or "/")


@blueprint.post("/api/v1/sandbox/clock", endpoint="sandbox_clock_api")
def sandbox_clock_api() -> Response:
    """``{"forward": "P7D"}`` or ``{"to": "2026-03-09T09:00:00+08:00"}`` → ``{"now": …, "acts": n}``."""
    _only_in_sandbox()
    moved: dict[str, Any] = sandbox.move(request.get_json(silent=True)).json()
    return jsonify(moved)


def _only_in_sandbox() -> None:
    if not _config().sandbox:
        raise NotFound
