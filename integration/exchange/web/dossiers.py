"""The two questions that the approval side asks most: what can be relied on, and who relied on it (000 §9.4, A13).

The first is asked for every project and every matter, so it takes one query beside the caller's own, builds no
records, and reads through indexes alone, however large the register grows.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from functools import lru_cache
from typing import Any, cast

from flask import Response, request
from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy import cast as cast_column

from integration.exchange.schemas import PAGING, PROJECT_CODE, SHA256
from integration.exchange.tokens import Scope
from integration.exchange.web.contract import Call, Operation, answer_json, instant, operation, read_code, tongue
from kernel import clock, dossier, projects
from kernel.access import Role
from kernel.db import Instant, Keyed, session
from kernel.dossier import Entry, Use
from kernel.errors import NotFound
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.statements import Statement
from kernel.trail import Actor
from market.agencies import Agency
from market.commissions import Commission

#: Roles that decide about projects, or watch over those who do; the dossier of every project is open to them.
READERS = (Role.APPROVER.value, Role.WINDOW.value, Role.CENTRE.value, Role.SUPERVISOR.value)


def _table(record: type[Keyed]) -> Table:
    return cast("Table", record.__table__)


_P, _H, _E, _D, _C, _A, _U = (_table(each) for each in (Project, Phase, Entry, Document, Commission, Agency, Use))


#: An instant as the API writes it, made by the database.
_STAMP: ColumnElement[str] = literal_column('\'YYYY-MM-DD"T"HH24:MI:SS"+08:00"\'')


@lru_cache
def _statement(*, is_phase: bool, asks_agency: bool) -> Statement:
    """A project with one page of its entries: at least one row if the project exists.

    What never depends on today comes as JSON text, because the database writes it faster than Python.
    """
    every = select(func.count()).select_from(_E).where(_E.c.project_id == _P.c.id)
    has_phase: Any = literal(True)
    serves: Any = literal(False)
    mine: Any = true()
    if is_phase:
        of_phase = select(_H.c.id).where(_H.c.project_id == _P.c.id, _H.c.code == bindparam("phase"))
        has_phase = exists(of_phase.correlate(_P))
        mine = or_(_E.c.phase_id.is_(None), _H.c.code == bindparam("phase"))
        every = every.outerjoin(_H, _H.c.id == _E.c.phase_id).where(mine)
    if asks_agency:
        serves = exists().where(
            _C.c.project_id == _P.c.id,
            _C.c.agency_id == _A.c.id,
            _A.c.organisation_id == bindparam("organisation"),
            _C.c.offered_at.is_not(None),
            _C.c.status != "draft",
            _C.c.status != "cancelled",
        )
    project = (
        select(
            _P.c.id,
            _P.c.code,
            _P.c.name,
            _P.c.organisation_id,
            func.portal_now(type_=Instant()).label("legal_now"),
            has_phase.label("has_phase"),
            serves.label("serves"),
            every.correlate(_P).scalar_subquery().label("total"),
        )
        .where(_P.c.code == bindparam("code"))
        .cte("project")
        .prefix_with("MATERIALIZED")
    )
    static = func.json_build_object(
        *_pairs(
            number=_E.c.number,
            title=_E.c.title,
            item_code=_E.c.item_code,
            kind=_E.c.kind,
            edition=_E.c.edition,
            engineering_code=_H.c.code,
            source=_E.c.source,
            sha256=_E.c.sha256,
            size=_D.c.size,
            media_type=_D.c.media_type,
            name=_D.c.name,
            issuer=_E.c.issuer,
            accepted_by=_E.c.accepted_by,
            attached_at=func.to_char(func.timezone(literal_column("'Asia/Shanghai'"), _E.c.attached_at), _STAMP),
            valid_until=_E.c.valid_until,
            status=_E.c.status,
            document_url=literal_column("'/files/'", Text) + _D.c.number,
            uses_url=literal_column("'/api/v1/documents/'", Text) + _E.c.sha256 + literal_column("'/uses'", Text),
        )
    )
    page = (
        select(
            _E.c.id,
            cast_column(static, Text).label("static"),
            cast_column(_E.c.status, Text).label("status"),
            _E.c.reason,
            _E.c.valid_until,
        )
        .join(_D, _D.c.id == _E.c.document_id)
        .outerjoin(_H, _H.c.id == _E.c.phase_id)
        .where(_E.c.project_id == project.c.id, mine)
        .order_by(_E.c.id.desc())
        .limit(bindparam("size"))
        .offset(bindparam("offset"))
        .correlate(project)
        .lateral("entries")
    )
    return Statement(
        select(*(column for column in project.c if column.name != "id"), page)
        .select_from(project.outerjoin(page, true()))
        .order_by(page.c.id.desc())
    )


def _pairs(**members: Any) -> list[Any]:
    found: list[Any] = []
    for name, value in members.items():
        found += (literal_column(f"'{name}'"), value)
    return found


@operation(
    Operation(
        "project_deliverables",
        "GET",
        "/projects/{code}/deliverables",
        (
            "项目材料：今天可以引用哪些，其余为何不能",
            "A project's documents: what can be relied on today, and why the rest can't",
        ),
        Scope.DOSSIER_READ,
        "Deliverables",
        variables={"code": PROJECT_CODE},
        query=PAGING,
        note=(
            "由新到旧。项目单位、审批部门、综合窗口、审批审查中心、督查部门，以及受该项目委托的机构可以查看；"
            "其他人得到 404。用工程代码查询时，返回该工程和整个项目共用的材料。",
            "Newest first. Open to the project's own unit, approvers, window, review centre and supervisors, and to "
            "agencies commissioned for the project; anybody else gets 404. An engineering code gives the documents of "
            "that phase and those of the project as a whole.",
        ),
    )
)
def project_deliverables(call: Call, code: str) -> Response:
    actor = call.by
    project_code, phase = projects.split_code(read_code(code, "code"))
    page, size = call.query["page"], call.query["size"]
    asks_agency = actor.has(Role.AGENCY.value)
    values: dict[str, Any] = {"code": project_code, "size": size, "offset": (page - 1) * size}
    if phase is not None:
        values["phase"] = phase
    if asks_agency:
        values["organisation"] = actor.organisation_id
    rows = _statement(is_phase=phase is not None, asks_agency=asks_agency).ask(**values)
    if not rows or not rows[0].has_phase or not _may_read(rows[0], actor):
        raise NotFound
    first = rows[0]
    today = clock.local_date(first.legal_now)
    head = {
        "project": {"code": first.code, "name": first.name},
        "on": today.isoformat(),
        "page": page,
        "size": size,
        "total": first.total,
    }
    entries = [_entry_text(row, today) for row in rows] if first.id is not None else []
    return _tagged(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "deliverables": [{", ".join(entries)}]}}'.encode())


def _may_read(row: Any, actor: Actor) -> bool:
    if actor.organisation_id is not None and actor.organisation_id == row.organisation_id:
        return True
    return bool(row.serves) or actor.has(*READERS)


def _entry_text(row: Any, today: date) -> str:
    # A row has the members that the rule reads, so the rule stays in one place.
    standing = dossier.stand(cast("Entry", row), today)
    if standing.can_rely:
        return f'{row.static[:-1]}, "can_rely": true, "reason": ""}}'
    return (
        f'{row.static[:-1]}, "can_rely": false, "reason": {json.dumps(standing.reason(tongue()), ensure_ascii=False)}}}'
    )


def _tagged(body: bytes) -> Response:
    """The answer with a tag over its content, or 304 if the caller has it already."""
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    asked = request.headers.get("If-None-Match")
    if asked is not None and (asked.strip() == "*" or tag in asked):
        response = Response(status=304)
    else:
        response = Response(body, content_type="application/json; charset=utf-8")
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@operation(
    Operation(
        "document_uses",
        "GET",
        "/documents/{sha256}/uses",
        ("一份文件被哪些决定引用", "Which decisions relied on a document"),
        Scope.DOSSIER_READ,
        "Uses",
        variables={"sha256": SHA256},
        query=PAGING,
        note=(
            "按 SHA-256 查询。出具单位、项目单位和审批部门可以查看；其他人得到 404。",
            "Asked by SHA-256. Open to the issuer, the project's own unit and authorities; anybody else gets 404.",
        ),
    )
)
def document_uses(call: Call, sha256: str) -> Response:
    actor, language = call.by, tongue()
    statement = (
        select(
            _E.c.id,
            _E.c.number,
            _E.c.title,
            _E.c.status,
            _E.c.reason,
            _E.c.valid_until,
            _P.c.code.label("project_code"),
        )
        .join(_P, _P.c.id == _E.c.project_id)
        .where(_E.c.sha256 == sha256)
        .order_by(_E.c.id)
        .limit(200)
    )
    if not actor.has(*READERS):
        mine = actor.organisation_id
        if mine is None:
            raise NotFound
        statement = statement.where(or_(_E.c.issuer_id == mine, _P.c.organisation_id == mine))
    connection = session.connection()
    entries = {row.id: row for row in connection.execute(statement)}
    if not entries:
        raise NotFound
    today = clock.today()
    standings = {key: dossier.stand(cast("Entry", row), today) for key, row in entries.items()}
    page, size = call.query["page"], call.query["size"]
    uses = connection.execute(
        select(
            _U.c.entry_id,
            _U.c.relied_for,
            _U.c.relied_for_title,
            _U.c.organisation,
            _U.c.at,
            _P.c.code.label("project_code"),
            func.count().over().label("total"),
        )
        .join(_P, _P.c.id == _U.c.project_id)
        .where(_U.c.entry_id.in_(list(entries)), _U.c.sha256 == sha256)
        .order_by(_U.c.id)
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    return answer_json(
        {
            "sha256": sha256,
            "entries": [
                {
                    "number": row.number,
                    "title": row.title,
                    "project_code": row.project_code,
                    "status": row.status,
                    "can_rely": standings[key].can_rely,
                    "reason": standings[key].reason(language),
                }
                for key, row in entries.items()
            ],
            "uses": [
                {
                    "entry": entries[row.entry_id].number,
                    "relied_for": row.relied_for,
                    "title": row.relied_for_title,
                    "organisation": row.organisation,
                    "project_code": row.project_code,
                    "at": instant(row.at),
                    "can_rely": standings[row.entry_id].can_rely,
                    "reason": standings[row.entry_id].reason(language),
                }
                for row in uses
            ],
            "page": page,
            "size": size,
            "total": uses[0].total if uses else _count(connection, list(entries), sha256),
        }
    )


def _count(connection: Any, entries: list[int], sha256: str) -> int:
    """How many uses there are, for a page beyond the last."""
    return int(
        connection.scalar(select(func.count()).select_from(_U).where(_U.c.entry_id.in_(entries), _U.c.sha256 == sha256))
    )
