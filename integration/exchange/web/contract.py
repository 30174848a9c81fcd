"""The API's one table: each operation is declared once, and its route, checks and description all come from there.

A view is declared with :func:`operation`. What it receives is a :class:`Call`: parameters and body that fit the
declared shapes, and the actor; what doesn't fit never reaches it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, g, request

from integration.exchange import schemas
from integration.exchange.schemas import MemberRepeated, MemberUnknown, Schema
from integration.exchange.tokens import Grant, Scope, TokenRefused, authenticate
from kernel import clock, projects
from kernel.access import PUBLIC, SIGNED_IN, Cell
from kernel.errors import Invalid, NotFound
from kernel.trail import Actor
from kernel.web import answer_once, current_actor, language

PREFIX: Final = "/api/v1"
blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
ACCESS: dict[str, Cell] = {}
#: Every operation in the order of declaration; :mod:`integration.exchange.web.description` prints it.
OPERATIONS: list[Operation] = []
#: A parameter every operation takes.
LANGUAGE: Final[Schema] = {"type": "string", "enum": ["zh", "en"]}
_VARIABLE = re.compile(r"\{(\w+)\}")
_VERSION = re.compile(r'"([0-9]{1,15})"')

Words = tuple[str, str]
JsonObject = dict[str, Any]


class BodyNotJson(Invalid):
    code = "body_not_json"
    status = 415
    zh = "请求正文应为 application/json"
    en = "Send the body as application/json"


class VersionUnclear(Invalid):
    code = "version_unclear"
    status = 400
    zh = '请求头 If-Match 应为查询时返回的 ETag，如 "3"'
    en = 'If-Match must be the ETag of an earlier answer, such as "3"'


class CodeUnreadable(NotFound):
    """An address with a project code that is none leads nowhere."""

    code = projects.BadProjectCode.code
    zh = projects.BadProjectCode.zh
    en = projects.BadProjectCode.en


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    Attributes:
        path: relative to :data:`PREFIX`, with variables such as ``{number}``.
        scope: what a token needs; None for what everybody may read.
        query, variables: name → shape. body, answer: names in :data:`schemas.COMPONENTS`.
        is_act: takes ``Idempotency-Key`` and ``If-Match``. is_upload: the body is multipart, one part ``file``.
    """

    name: str
    method: str
    path: str
    summary: Words
    scope: Scope | None
    answer: str
    status: int = 200
    variables: Mapping[str, Schema] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: str | None = None
    note: Words = ("", "")
    is_act: bool = False
    is_upload: bool = False
    takes_version: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A request that fits its operation. ``actor`` is None for visitors of public operations only."""

    query: Mapping[str, Any]
    body: JsonObject
    grant: Grant | None
    actor: Actor | None

    @property
    def by(self) -> Actor:
        """The actor of an operation that admits no visitor."""
        assert self.actor is not None  # noqa: S101  its cell is SIGNED_IN or narrower
        return self.actor

    def may(self, scope: Scope) -> bool:
        """Whether the caller could also use ``scope``; people who are signed in hold all of them."""
        return self.grant is None or scope.value in self.grant.scopes


View = Callable[..., Response]


def describe(operation_: Operation) -> None:
    """Add a row whose route another package serves."""
    OPERATIONS.append(operation_)


def operation(row: Operation, cell: Cell | None = None) -> Callable[[View], View]:
    """Serve ``row`` by the view, which is called with a :class:`Call` and the path's variables by name."""
    OPERATIONS.append(row)
    ACCESS[f"{blueprint.name}.{row.name}"] = cell or (PUBLIC if row.scope is None else SIGNED_IN)

    def declare(view: View) -> View:
        @wraps(view)
        def serve(**variables: str) -> Response:
            for name, value in variables.items():
                if schemas.check(row.variables[name], value):
                    raise NotFound
            grant = _demand_scope(row)
            return view(Call(_query(row), _body(row), grant, _actor(row)), **variables)

        rule = _VARIABLE.sub(r"<\1>", row.path)
        blueprint.add_url_rule(rule, endpoint=row.name, view_func=serve, methods=[row.method])
        return view

    return declare


def vouch() -> Actor | None:
    """The authenticator of ``Authorization: Bearer``: for programs, so for the API and for files alone.

    Raises:
        TokenRefused, and ScopeMissing for a file without the scope to read files.
    """
    g.exchange_grant = None
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    is_file = request.path.startswith("/files/")
    if kind.lower() != "bearer" or not (is_file or request.path.startswith("/api/")):
        return None
    grant = authenticate(secret.strip())
    if grant is None:
        raise TokenRefused
    if is_file:
        grant.demand(Scope.DOSSIER_READ)
    g.exchange_grant = grant
    return grant.actor


def expected_version() -> int | None:
    """The version that the caller read, from ``If-Match``; None if any will do.

    Raises:
        VersionUnclear: neither ``*`` nor one strong entity tag of ours.
    """
    raw = request.headers.get("If-Match")
    if raw is None or raw.strip() == "*":
        return None
    found = _VERSION.fullmatch(raw.strip())
    if found is None:
        raise VersionUnclear
    return int(found[1])


def answer_json(value: JsonObject, *, etag: str | None = None, status: int = 200) -> Response:
    """A JSON answer; ``etag`` is the bare tag."""
    response = Response(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        status=status,
        content_type="application/json; charset=utf-8",
    )
    if etag is not None:
        response.headers["ETag"] = f'"{etag}"'
    return response


def answer_act(
    act: Callable[[], tuple[JsonObject, int]], location: Callable[[JsonObject], str] | None = None
) -> Response:
    """Act once per ``Idempotency-Key``; the answer carries the new version as its entity tag."""
    response = answer_once(act)
    value = json.loads(response.get_data())
    if "version" in value:
        response.headers["ETag"] = f'"{value["version"]}"'
    if location is not None:
        response.headers["Location"] = location(value)
    return response


def read_code(typed: str, field: str) -> str:
    """The canonical form of a project or engineering code in an address. Raises CodeUnreadable."""
    try:
        return projects.parse_code(typed, field=field)
    except projects.BadProjectCode as error:
        raise CodeUnreadable(field=field, **error.params) from None


def instant(value: Any) -> str | None:
    """An instant as the API writes it, in China Standard Time; None stays None."""
    return None if value is None else value.astimezone(clock.SHANGHAI).isoformat(timespec="seconds")


def day(value: Any) -> str | None:
    return None if value is None else value.isoformat()


def tongue() -> str:
    return language()


def _demand_scope(row: Operation) -> Grant | None:
    if row.scope is None:
        return None
    current_actor()
    grant: Grant | None = g.get("exchange_grant")
    if grant is not None:
        grant.demand(row.scope)
    return grant


def _actor(row: Operation) -> Actor | None:
    # What everybody may read is not worth asking who asks, unless a parameter makes it matter.
    return current_actor() if row.scope is not None or b"project" in request.query_string else None


def _query(row: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if request.query_string:
        _read_query(row, found)
    for name, shape in row.query.items():
        if name not in found and "default" in shape:
            found[name] = shape["default"]
    return found


def _read_query(row: Operation, found: dict[str, Any]) -> None:
    for name, values in request.args.lists():
        shape = row.query.get(name) if name != "lang" else LANGUAGE
        if shape is None:
            plain = "".join(sign if sign.isprintable() else " " for sign in name[:100])
            raise MemberUnknown(field=plain, name=plain)
        if len(values) > 1:
            raise MemberRepeated(field=name, name=name)
        found[name] = schemas.read_parameter(name, shape, values[0])


def _body(row: Operation) -> JsonObject:
    if row.body is None or row.is_upload:
        return {}
    raw = request.get_data()
    if raw and request.mimetype != "application/json":
        raise BodyNotJson
    value = schemas.parse(raw)
    schemas.demand(row.body, value)
    return value


@blueprint.after_request
def _headers(response: Response) -> Response:
    response.headers.setdefault("Vary", "Accept-Language, Authorization, Cookie")
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
