"""Double click, back and refresh never act twice (interface, goal 12).

A form whose act binds carries a hidden field ``act`` with a value made for that page; a program may send the
header ``Idempotency-Key``. The value is stored in the *same transaction* as the act, so that the two can't part:
a second request with it waits for the first, then is led to the same place without acting. If the act was
refused, nothing is stored and the mended form may be sent with the same value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any, cast

from flask import Response, request
from sqlalchemy import Index, Table, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.db import Base, session, transaction
from kernel.errors import Conflict, Invalid
from kernel.statements import Statement
from kernel.web.identity import current_actor
from kernel.web.pages import see_other

_TOKEN = re.compile(r"[\x21-\x7e]{8,255}")
#: Fields that say nothing about what was asked for.
_ASIDE = frozenset({"csrf_token", "act"})

Answer = tuple[dict[str, Any], int]


class ActTokenMissing(Invalid):
    code = "act_token_missing"
    status = 400
    zh = "页面内容不完整，请返回并刷新页面后重新提交"
    en = "The form is incomplete; go back, reload the page and submit again"


class BadIdempotencyKey(Invalid):
    code = "bad_idempotency_key"
    status = 400
    zh = "请求头 Idempotency-Key 应为 8 至 255 个可见 ASCII 字符"
    en = "Idempotency-Key must have 8 to 255 visible ASCII characters"


class FormSentBefore(Conflict):
    code = "form_sent_before"
    zh = "此页面已提交过一次，先前的办理结果有效。如需再次办理，请重新打开页面填写"
    en = "This form was submitted before, and that submission stands. To submit something else, open the page again"


class IdempotencyKeyReused(Invalid):
    code = "idempotency_key_reused"
    zh = "同一 Idempotency-Key 已用于内容不同的请求"
    en = "This Idempotency-Key was used for a different request"


class Attempt(Base):
    """An act that was asked for once: by whom, for what, and where its outcome is to be seen."""

    __tablename__ = "idempotency"
    key: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int | None]
    request: Mapped[str]
    location: Mapped[str | None]
    answer: Mapped[dict[str, Any] | None]
    status: Mapped[int | None]
    created_at: Mapped[datetime]
    __table_args__ = (Index("ix_idempotency_created_at", "created_at"),)


_ATTEMPTS = cast("Table", Attempt.__table__)
_CLAIM = Statement(
    insert(_ATTEMPTS).on_conflict_do_nothing().returning(_ATTEMPTS.c.key), ("key", "person_id", "request", "created_at")
)
_SETTLE = Statement(update(_ATTEMPTS).where(_ATTEMPTS.c.key == bindparam("attempt")), ("location", "answer", "status"))


def act_once(act: Callable[[], str]) -> Response:
    """Run ``act`` in a transaction of its own, once per form, and answer 303 to the address it names.

    The view of a binding act is::

        def act() -> str:
            service = services.start(services.by_number(number), by=actor)
            return url_for("market.commission", number=service.number)

        return act_once(act)

    Raises:
        ActTokenMissing: the form has no ``act`` (put ``{{ act_token() }}`` into it).
        FormSentBefore: the same form was sent with other content.
    """
    token = request.form.get("act", "")
    if not _TOKEN.fullmatch(token):
        raise ActTokenMissing
    with transaction():
        known = _claim(token, asked := _form_digest())
        if known is None:
            location = act()
            _settle(token, location=location)
        elif known.request != asked or known.location is None:
            raise FormSentBefore
        else:
            location = known.location
    return see_other(location)


def answer_once(act: Callable[[], Answer]) -> Response:
    """The same for the API: run ``act`` in a transaction; repeat the stored answer for a known ``Idempotency-Key``.

    Without the header the act simply runs. ``act`` answers (JSON object, status).

    Raises:
        BadIdempotencyKey, IdempotencyKeyReused.
    """
    token = request.headers.get("Idempotency-Key")
    if token is not None and not _TOKEN.fullmatch(token):
        raise BadIdempotencyKey
    with transaction():
        known = _claim(token, asked := _body_digest()) if token else None
        if known is None:
            body, status = act()
            if token:
                _settle(token, answer=body, status=status)
        elif known.request != asked or known.answer is None or known.status is None:
            raise IdempotencyKeyReused
        else:
            body, status = known.answer, known.status
    text = json.dumps(body, ensure_ascii=False)
    response = Response(text, status=status, content_type="application/json; charset=utf-8")
    if known is not None:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def forget_attempts(before: datetime) -> int:
    """Throw away attempts older than ``before`` (a day is plenty); answer how many. For the scheduler."""
    gone = session.execute(delete(Attempt).where(Attempt.created_at < before).returning(Attempt.key)).all()
    return len(gone)


def _claim(token: str, asked: str) -> Attempt | None:
    """None if the attempt is new and now ours; the stored one otherwise, after waiting for whoever is at it."""
    actor, key = current_actor(), _key(token)
    person = actor.person_id if actor else None
    if _CLAIM.first(key=key, person_id=person, request=asked, created_at=clock.machine()) is not None:
        return None
    return session.get_one(Attempt, key)


def _settle(token: str, **outcome: Any) -> None:
    _SETTLE.later(attempt=_key(token), **outcome)


def _key(token: str) -> str:
    """A token belongs to one caller: another's with the same value is another attempt."""
    actor = current_actor()
    caller = f"{actor.person_id}/{actor.organisation_id}" if actor else "visitor"
    return hashlib.sha256(f"{caller}\n{token}".encode()).hexdigest()


def _form_digest() -> str:
    fields = sorted((name, value) for name, value in request.form.items(multi=True) if name not in _ASIDE)
    files = sorted((name, file.filename or "", _content(file.stream)) for name, file in request.files.items(multi=True))
    return _digest(json.dumps([fields, files]).encode())


def _content(stream: IO[bytes]) -> str:
    """A corrected file under the same name is another request."""
    found = hashlib.sha256()
    stream.seek(0)
    while part := stream.read(1 << 20):
        found.update(part)
    stream.seek(0)
    return found.hexdigest()


def _body_digest() -> str:
    if request.mimetype == "multipart/form-data":
        return _form_digest()
    return _digest(request.get_data())


def _digest(content: bytes) -> str:
    return hashlib.sha256(f"{request.method} {request.full_path}\n".encode() + content).hexdigest()
