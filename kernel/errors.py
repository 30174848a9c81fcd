"""Incidents that a person or a program is told about (architecture: "errors named after the incident").

An error carries a stable ``code``, an HTTP ``status``, the ``field`` it belongs to (or None) and its
parameters. Its text stands beside it in both languages and is chosen at the edge; rules never format text.
"""

from __future__ import annotations

from typing import Any, ClassVar


class PortalError(Exception):
    """Base of every named incident.

    Attributes:
        code: stable identifier, part of the API.
        status: HTTP status at the edge; 422 unless a subclass says otherwise.
        zh, en: message templates, filled with ``params`` by :meth:`text`.
        field: name of the form field or JSON member at fault, or None.
    """

    code: ClassVar[str] = "portal_error"
    status: ClassVar[int] = 422
    zh: ClassVar[str] = "操作未能完成"
    en: ClassVar[str] = "The operation could not be completed"

    def __init__(self, *, field: str | None = None, **params: Any) -> None:
        self.field = field
        self.params = params
        super().__init__(f"{self.code} {params}" if params else self.code)

    def text(self, language: str = "zh") -> str:
        """The message in ``language`` ("zh" or "en"), with the parameters filled in."""
        return (self.en if language == "en" else self.zh).format(**self.params)


class Invalid(PortalError):
    """Input that breaks a rule; the caller can mend it."""

    code = "invalid"


class Invalids(PortalError):
    """Several incidents at once, so that a person is told everything in one go."""

    code = "invalid_fields"
    zh = "有 {count} 处需要更正"
    en = "{count} entries need correction"

    def __init__(self, errors: list[PortalError]) -> None:
        self.errors = errors
        super().__init__(count=len(errors))


class NotFound(PortalError):
    """Unknown to this caller; also the answer for what belongs to others (404, never 403)."""

    code = "not_found"
    status = 404
    zh = "没有找到您要的内容，可能已被移除，或不在您的查看范围内"
    en = "Nothing was found here, or it isn't yours to see"


class Forbidden(PortalError):
    """The caller's role does not allow this act."""

    code = "forbidden"
    status = 403
    zh = "您当前的身份不能办理此操作"
    en = "Your role does not allow this"


class Conflict(PortalError):
    """The act was possible once, or would be later, but not in the present state."""

    code = "conflict"
    status = 409
    zh = "当前状态不能办理此操作"
    en = "This can't be done in the present state"


class Unavailable(PortalError):
    """A part of the machine is out of order; nothing was changed."""

    code = "unavailable"
    status = 503
    zh = "系统暂时不可用，您的内容没有改变，请稍后再试"
    en = "Temporarily unavailable; nothing was changed"
