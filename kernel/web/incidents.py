"""Named incidents become a page or a problem document (RFC 9457); nobody ever sees a traceback."""

from __future__ import annotations

import json
import logging
import secrets
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from flask_login import AnonymousUserMixin
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from kernel.db import session
from kernel.errors import Forbidden, Invalids, NotFound, PortalError, Unavailable
from kernel.web import identity
from kernel.web.pages import choose, language, local_path

log = logging.getLogger(__name__)

#: Texts for what the framework itself refuses.
_STATUS_TEXTS = {
    400: (
        "请求不完整或格式有误，请返回检查后重新提交",
        "The request is incomplete or malformed; go back, check and submit again",
    ),
    401: ("请先登录后再办理", "Please sign in first"),
    403: (Forbidden.zh, Forbidden.en),
    404: (NotFound.zh, NotFound.en),
    405: ("这个地址不支持此种访问方式", "This address can't be used in this way"),
    413: ("提交的内容超过大小上限", "What was sent is over the size limit"),
    415: ("提交内容的类型不受支持", "This type of content isn't supported"),
    416: ("请求的文件区段不存在", "The requested part of the file doesn't exist"),
    429: ("操作过于频繁，请稍后再试", "Too many requests; please wait a moment and try again"),
}
_FORGED = (
    "页面停留时间过长，或浏览器没有保存 Cookie，本次提交未被接受。请返回并刷新页面后重新提交",
    "The page was open too long, or the browser keeps no cookies, so this wasn't accepted. Go back, reload and submit again",
)
_BROKEN = (
    "系统出现故障，已记录并通知运维人员，请稍后再试",
    "Something broke on our side; it has been recorded. Please try again later",
)
#: Fields whose content is never shown again.
_NEVER_SHOWN = ("password", "code", "csrf_token", "act", "next")


def is_api() -> bool:
    """Whether a program asks, so that the answer must be JSON."""
    return request.path.startswith("/api/")


def form_errors(error: PortalError) -> list[tuple[str | None, str]]:
    """(field, message) for each incident inside ``error``, in the reader's language: for the error summary."""
    tongue = language()
    return [(each.field, each.text(tongue)) for each in _parts(error)]


def install(app: Flask) -> None:
    """Answer every incident of ``app`` by this module."""
    app.register_error_handler(PortalError, _named)
    app.register_error_handler(CSRFError, _forged)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(OperationalError, _unavailable)
    app.register_error_handler(InterfaceError, _unavailable)
    app.register_error_handler(PoolTimeout, _unavailable)
    app.register_error_handler(DataError, lambda error: _answer(400, "bad_request", choose(*_STATUS_TEXTS[400])))
    app.register_error_handler(Exception, _broken)


def _named(error: PortalError) -> Response:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        reference = _reference()
        log.error("%s: %s %s: %r", reference, request.method, request.path, error)
        return _answer(error.status, error.code, error.text(language()), reference=reference, error=error)
    return _answer(error.status, error.code, error.text(language()), error=error)


def _forged(error: CSRFError) -> Response:
    return _answer(400, "request_forged", choose(*_FORGED))


def _refused(error: HTTPException) -> Response:
    status = error.code
    if status is None or status < HTTPStatus.BAD_REQUEST or error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _broken(error)
    texts = _STATUS_TEXTS.get(status, _STATUS_TEXTS[400])
    response = _answer(status, HTTPStatus(status).name.lower(), choose(*texts))
    for name, value in error.get_headers(request.environ):
        if name in {"Allow", "Retry-After", "WWW-Authenticate", "Content-Range"}:
            response.headers[name] = value
    return response


def _unavailable(error: Exception) -> Response:
    """The database is gone, read-only, full or too busy: nothing was changed, and we say so without asking it."""
    g.portal_offline = True
    if "_login_user" not in g:
        g._login_user = AnonymousUserMixin()  # or the page itself would ask who is signed in
    reference = _reference()
    log.error("%s: %s %s: %s", reference, request.method, request.path, error)
    return _answer(503, Unavailable.code, choose(Unavailable.zh, Unavailable.en), reference=reference)


def _broken(error: Exception) -> Response:
    reference = _reference()
    log.error("%s: %s %s", reference, request.method, request.path, exc_info=error)
    return _answer(500, "internal_error", choose(*_BROKEN), reference=reference)


def _answer(
    status: int, code: str, detail: str, *, reference: str | None = None, error: PortalError | None = None
) -> Response:
    if not getattr(g, "portal_offline", False):
        session.rollback()
    response = _problem(status, code, detail, reference, error) if is_api() else _page(status, detail, reference)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "5"
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem(status: int, code: str, detail: str, reference: str | None, error: PortalError | None) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if reference:
        body["reference"] = reference
    if error is not None:
        tongue = language()
        parts = [part for part in _parts(error) if part is not error or part.field]
        if parts:
            body["errors"] = [{"field": part.field, "code": part.code, "detail": part.text(tongue)} for part in parts]
        moves = getattr(error, "moves", None)
        if moves is not None:
            body["moves"] = list(moves)
    return Response(
        json.dumps(body, ensure_ascii=False), status=status, content_type="application/problem+json; charset=utf-8"
    )


def _page(status: int, message: str, reference: str | None) -> Response:
    kept = _typed()
    actions = []
    back = local_path(_referrer_path())
    if back and back != request.path and status != HTTPStatus.NOT_FOUND:
        actions.append({"url": back, "label": choose("返回上一页", "Back to the previous page")})
    actions.append({"url": "/", "label": choose("返回首页", "Go to the start page")})
    try:
        html = render_template(
            "kernel/error.html", status=status, message=message, reference=reference, kept=kept, actions=actions
        )
    except Exception:  # the page's own frame may need what just broke
        log.exception("the error page could not be rendered")
        html = f"<!doctype html><html lang=zh-CN><meta charset=utf-8><title>{status}</title><p>{escape(message)}</p>"
        if reference:
            html += f"<p>{escape(reference)}</p>"
    return make_response(html, status)


def _typed() -> str | None:
    """What the person had written in longer fields, so that it can be copied and isn't lost."""
    if request.method != "POST" or identity.has_ended():
        return None
    try:
        fields = list(request.form.items(multi=True))
    except HTTPException:
        return None
    texts = [value for name, value in fields if len(value) >= 10 and not any(hide in name for hide in _NEVER_SHOWN)]
    return "\n\n".join(texts)[:20_000] or None


def _referrer_path() -> str | None:
    referrer = request.referrer
    if not referrer or not referrer.startswith(request.host_url):
        return None
    return "/" + referrer.removeprefix(request.host_url)


def _parts(error: PortalError) -> list[PortalError]:
    return list(error.errors) if isinstance(error, Invalids) else [error]


def _reference() -> str:
    """A number to quote to support, found in the log."""
    return secrets.token_hex(4).upper()
