"""What every request passes before its view: size, access, password age, forgery; and what every answer carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flask import Flask, Response, current_app, g, redirect, request, url_for
from flask_wtf.csrf import CSRFError, CSRFProtect

from kernel import files
from kernel.access import PUBLIC, Cell
from kernel.accounts import security_log
from kernel.accounts.security_log import SecurityEvent
from kernel.accounts.sign_in import LONGEST_SESSION
from kernel.config import Config
from kernel.db import transaction
from kernel.errors import Forbidden, PortalError
from kernel.web import identity
from kernel.web.incidents import is_api
from kernel.web.pages import local_path

log = logging.getLogger(__name__)

#: A request may carry its forms beside the file.
_BESIDE_THE_FILE = 1024 * 1024
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Where a person whose password is overdue may still go.
_WHILE_OVERDUE = frozenset({"kernel.password", "kernel.sign_out", "static"})
_POLICY = (
    "default-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
    "script-src 'self'; style-src 'self'; img-src 'self'"
)
#: What every answer carries unless it says otherwise itself.
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
csrf = CSRFProtect()


class SignInFirst(PortalError):
    code = "sign_in_first"
    status = 401
    zh = "请先登录，或在请求中提供有效的访问令牌"
    en = "Sign in first, or send a valid access token"


class PasswordOverdue(PortalError):
    code = "password_overdue"
    status = 403
    zh = "口令已到更换期限，请先在网页上更换口令"
    en = "The password is due for a change; change it on the web pages first"


def install(app: Flask, config: Config, access: Mapping[str, Cell]) -> None:
    """Guard every route of ``app`` by the table ``access`` (endpoint → cell)."""
    app.config.update(
        MAX_CONTENT_LENGTH=config.upload_limit + _BESIDE_THE_FILE,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=int(LONGEST_SESSION.total_seconds()),
        SESSION_COOKIE_NAME="__Host-portal" if config.secure_cookies else "portal",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure_cookies,
    )
    csrf.init_app(app)
    identity.make_login_manager().init_app(app)

    def enter() -> Response | None:
        identity.forget_cached()
        g.pop("portal_offline", None)
        files.check_length(request.content_length, config.upload_limit)
        if request.endpoint is None:
            return None  # no such address or method: the framework's own refusal follows
        refusal = _check_access(access.get(request.endpoint))
        if refusal is not None:
            return refusal
        if request.method not in _SAFE:
            _check_forgery()
        return None

    app.before_request(enter)
    app.after_request(_headers(config))


def _check_access(cell: Cell | None) -> Response | None:
    if cell is PUBLIC:
        return None
    actor = identity.current_actor()
    if cell is not None and cell.allows(actor):
        account = identity.current_account() if not identity.acts_by_token() else None
        if account is not None and account.must_renew_password and request.endpoint not in _WHILE_OVERDUE:
            if is_api():
                raise PasswordOverdue
            return redirect(url_for("kernel.password"))  # type: ignore[return-value]
        return None
    if actor is None and cell is not None:
        if is_api():
            raise SignInFirst
        return _ask_to_sign_in()
    _note_refusal("cell missing" if cell is None else cell.name)
    raise Forbidden


def _ask_to_sign_in() -> Response:
    """Lead a visitor to the sign-in page and back; after a lost POST, back to the page that held its form."""
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    if target is None and request.referrer and request.referrer.startswith(request.host_url):
        target = "/" + request.referrer.removeprefix(request.host_url)
    expired = "1" if identity.has_ended() else None
    return redirect(url_for("kernel.sign_in", next=local_path(target), ended=expired), 303)  # type: ignore[return-value]


def _note_refusal(why: str) -> None:
    """A refused attempt is stored in a transaction of its own; visitors' go to the ordinary log alone."""
    actor = identity.current_actor()
    what = f"{request.method} {request.path} ({why})"
    if actor is None:
        log.warning("refused: %s", what)
        return
    with transaction():
        security_log.record(
            SecurityEvent.DENIED,
            login=actor.person,
            person_id=actor.person_id,
            address=identity.address(),
            detail=what,
        )


def _check_forgery() -> None:
    """A session's cookie is sent by the browser whoever made the form, so the form must prove that it is ours."""
    if not current_app.config["WTF_CSRF_ENABLED"]:
        return
    if is_api() and (identity.acts_by_token() or identity.current_account() is None):
        return
    try:
        csrf.protect()
    except CSRFError:
        account = identity.current_account()
        if account is not None:
            with transaction():
                security_log.record(
                    SecurityEvent.FORGED,
                    login=account.login,
                    person_id=account.actor.person_id,
                    address=identity.address(),
                    detail=f"{request.method} {request.path}",
                )
        raise


def _headers(config: Config) -> Callable[[Response], Response]:
    always = dict(_ALWAYS)
    if config.secure_cookies:
        always["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    def add(response: Response) -> Response:
        headers = response.headers
        told = {name.title() for name, _ in headers}
        for name, value in always.items():
            if name.title() not in told:
                headers.add(name, value)
        if response.mimetype == "text/html":
            response.vary.add("Cookie")
        if "Cache-Control" not in told and identity.is_known():
            headers.add("Cache-Control", "private, no-store")
        return response

    return add


def endpoints_without_cell(access: Mapping[str, Cell]) -> list[str]:
    """Routes of the current app that the table forgot; a test wants none."""
    return sorted({rule.endpoint for rule in current_app.url_map.iter_rules()} - access.keys())
