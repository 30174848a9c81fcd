"""Commissions by API: how one stands, what the caller may do next, and every act of its life (001 §9.2–9.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import BinaryIO, cast

from flask import Response, request
from sqlalchemy import ARRAY, Text, any_, bindparam, func, select

from integration.exchange.schemas import NUMBER as NUMBER_SHAPE
from integration.exchange.schemas import PAGING, one_of
from integration.exchange.tokens import Scope
from integration.exchange.web.contract import (
    PREFIX,
    Call,
    JsonObject,
    Operation,
    Words,
    answer_act,
    answer_json,
    day,
    expected_version,
    instant,
    operation,
    tongue,
)
from kernel import clock, dossier, files, projects, timekeeping, trail, workflow
from kernel.access import Role, holders
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import Conflict, Invalid, NotFound, PortalError
from kernel.files import Document
from kernel.projects import Project
from kernel.statements import Records
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor
from market import commissions, deliverables, listings, services
from market.agencies import Agency
from market.commissions import STEPS, Commission, CommissionStatus, Picked
from market.deliverables import Deliverable, Part, Result
from market.listings import Listing

_CLOCKS = (ClockKind.AGENCY_RESPONSE, ClockKind.SERVICE, ClockKind.ACCEPTANCE)
_NUMBER = {"number": NUMBER_SHAPE}
#: Done by the system's clock, never by a caller.
BY_CLOCK = frozenset({"lapse", "lapse_award"})


class ForeignEntry(Invalid):
    code = "foreign_entry"
    zh = "材料 {number} 不在项目 {project} 的材料库中"
    en = "{number} is not in the dossier of {project}"


class ForeignDocument(Invalid):
    code = "foreign_document"
    zh = "文件 {number} 不是贵单位上传的，请先上传"
    en = "{number} was not uploaded by your organisation; upload it first"


class ListingUnknown(Invalid):
    code = "listing_unknown"
    zh = "没有找到服务 {number}"
    en = "There is no listing {number}"


# Reading


def commission_json(
    commission: Commission,
    actor: Actor,
    *,
    may_act: bool,
    language: str,
    clocks: Sequence[StoredClock] | None = None,
) -> JsonObject:
    """A commission as its two sides see it; ``moves`` are the actions open to ``actor`` now.

    ``clocks``: the last of each kind, if the caller has them at hand.
    """
    agency, listing = commission.agency, commission.listing
    has_begun = commission.in_service_at is not None
    is_agency = commissions.by_agency(commission, actor)
    open_extension = services.open_extension(commission) if has_begun else None
    return {
        "number": commission.number,
        "status": commission.status,
        "status_label": commission.status.label(language),
        "version": commission.version,
        "moves": commissions.moves(commission, actor) if may_act else [],
        "route": commission.route,
        "project": {"code": commission.project.code, "name": commission.project.name},
        "engineering_code": commission.engineering_code,
        "item": {"code": commission.item.code, "name": commission.item.label(language)},
        "listing": listing.number if listing else None,
        "listing_edition": commission.listing_edition,
        "client": _party(commission.client),
        "agency": _party(agency.organisation) if agency else None,
        "fee": commission.fee,
        "quote": [{name: line.get(name) for name in ("zh", "en", "amount")} for line in commission.quote],
        "quantity": commission.quantity,
        "promised_working_days": commission.promised_working_days,
        "message": commission.message,
        "reason": commission.reason,
        "needed_for": commission.needed_for,
        "stamps": {
            status.value: instant(stamp)
            for status in CommissionStatus
            if (stamp := getattr(commission, f"{status.value}_at")) is not None
        },
        "materials": [
            {
                "name": one.name,
                "entry": one.entry.number if one.entry else None,
                "document": one.document.number,
                "sha256": one.sha256,
                "added_at": instant(one.added_at),
                "document_url": _file(one.document),
            }
            for one in commission.materials
        ],
        "missing_materials": commissions.missing_materials(commission),
        "inquiries": [
            {
                "kind": one.kind,
                "points": one.points,
                "reason": one.reason,
                "answer": one.answer,
                "opened_at": instant(one.opened_at),
                "closed_at": instant(one.closed_at),
            }
            for one in commission.inquiries
            # What passed with an earlier agency is not the present one's to read.
            if not is_agency or commission.offered_at is None or one.opened_at >= commission.offered_at
        ],
        "extension": None
        if open_extension is None
        else {
            "working_days": open_extension.working_days,
            "reason": open_extension.reason,
            "proposed_at": instant(open_extension.proposed_at),
        },
        "clocks": clocks_json(commission.subject, _CLOCKS, language)
        if clocks is None
        else [_clock_json(one, language) for one in clocks],
        "deliverables": [
            _deliverable_json(one) for one in (deliverables.of_commission(commission) if has_begun else ())
        ],
        "url": f"/commissions/{commission.number}",
    }


def clocks_json(subject: str, kinds: tuple[ClockKind, ...], language: str) -> list[JsonObject]:
    """The last clock of each kind on a subject, as it stands today."""
    found = timekeeping.latest_of(subject)
    chosen = [found[kind] for kind in kinds if kind in found]
    return [_clock_json(one, language) for one in chosen]


def _clock_json(stored: StoredClock, language: str) -> JsonObject:
    reading = timekeeping.reading(stored, language=language)
    return {
        "kind": stored.kind,
        "unit": stored.unit,
        "limit": stored.limit,
        "used": reading.used,
        "left": reading.left,
        "due": day(reading.due),
        "light": reading.light,
        "provisional": reading.provisional,
        "started_at": instant(stored.started_at),
        "ended_at": instant(stored.ended_at),
        "events": [
            {
                "event": one.event,
                "at": instant(one.at),
                "key": one.key,
                "days": one.days,
                "reason": one.reason,
                "by": one.by,
            }
            for one in stored.events
        ],
    }


def _deliverable_json(one: Deliverable) -> JsonObject:
    return {
        "number": one.number,
        "edition": one.edition,
        "status": one.status,
        "result": one.result,
        "summary": one.summary,
        "valid_until": day(one.valid_until),
        "points": one.points,
        "submitted_by": one.submitted_by,
        "submitted_at": instant(one.submitted_at),
        "returned_at": instant(one.returned_at),
        "accepted_at": instant(one.accepted_at),
        "accepted_by": one.accepted_by,
        "withdrawn_at": instant(one.withdrawn_at),
        "files": [
            {
                "title": file.title,
                "document": file.document.number,
                "name": file.document.name,
                "sha256": file.sha256,
                "size": file.document.size,
                "document_url": _file(file.document),
            }
            for file in one.files
        ],
    }


def _party(organisation: Organisation) -> JsonObject:
    return {"name": organisation.name, "credit_code": organisation.credit_code}


def _file(document: Document) -> str:
    return f"/files/{document.number}"


def _answer(commission: Commission, call: Call, clocks: Sequence[StoredClock] | None = None) -> JsonObject:
    may_act = call.may(Scope.COMMISSIONS_WRITE)
    return commission_json(commission, call.by, may_act=may_act, language=tongue(), clocks=clocks)


@operation(
    Operation(
        "commissions",
        "GET",
        "/commissions",
        ("本单位的委托", "Your organisation's commissions"),
        Scope.COMMISSIONS_READ,
        "Commissions",
        query={"status": one_of(CommissionStatus), **PAGING},
        note=("由新到旧，包括作为委托人和作为机构的。", "Newest first, as client and as agency."),
    )
)
def list_commissions(call: Call) -> Response:
    actor, page, size = call.by, call.query["page"], call.query["size"]
    mine = select(Agency.id).where(Agency.organisation_id == actor.organisation_id).scalar_subquery()
    scope = (Commission.client_id == actor.organisation_id) | (
        (Commission.agency_id == mine) & Commission.offered_at.is_not(None)
    )
    statement = select(Commission).where(scope)
    if "status" in call.query:
        statement = statement.where(Commission.status == CommissionStatus(call.query["status"]))
    total = session.scalar(select(func.count()).select_from(statement.order_by(None).subquery()))
    rows = session.scalars(statement.order_by(Commission.id.desc()).limit(size).offset((page - 1) * size))
    return answer_json(
        {
            "commissions": [
                {
                    "number": one.number,
                    "status": one.status,
                    "version": one.version,
                    "project_code": one.engineering_code,
                    "item_code": one.item.code,
                    "client": one.client.name,
                    "agency": one.agency.name if one.agency else None,
                    "fee": one.fee,
                    "url": f"{PREFIX}/commissions/{one.number}",
                }
                for one in rows
            ],
            "page": page,
            "size": size,
            "total": total,
        }
    )


@operation(
    Operation(
        "commission",
        "GET",
        "/commissions/{number}",
        ("查询委托", "A commission"),
        Scope.COMMISSIONS_READ,
        "Commission",
        variables=_NUMBER,
        note=(
            "moves 列出您现在可以办理的操作，每项对应 POST /commissions/{number}/<操作>。ETag 即版本号。",
            "moves lists the actions open to you now, each a POST /commissions/{number}/<action>. The ETag is the version.",
        ),
    )
)
def read_commission(call: Call, number: str) -> Response:
    commission = commissions.find(number, by=call.by)
    return answer_json(_answer(commission, call), etag=str(commission.version))


# Acting


@operation(
    Operation(
        "make_commission",
        "POST",
        "/commissions",
        ("发起委托", "Make a commission"),
        Scope.COMMISSIONS_WRITE,
        "Commission",
        status=201,
        body="CommissionToMake",
        is_act=True,
        note=(
            "按上架服务为本单位项目发起委托，默认立即发出（offer 为 false 时只存为待委托）。"
            "材料可从项目材料库选取（entry），也可先上传再填文件编号（document）。",
            "Commission a listed service for a project of your own; offered at once unless offer is false. Each "
            "material is an entry of the project's dossier or an uploaded document.",
        ),
    ),
    holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY),
)
def make_commission(call: Call) -> Response:
    def act() -> tuple[JsonObject, int]:
        body, actor = call.body, call.by
        project, phase = projects.find(body["project_code"])
        if not projects.is_owner(project, actor):
            # The same answer as for a code that nobody has: another's project is not this caller's to know of.
            raise projects.ProjectUnknown(field="project_code", value=projects.parse_code(body["project_code"]))
        client = session.get_one(Organisation, actor.organisation_id)
        # Everything is read before anything is made, so that all of it can be written at once.
        listing = _listing(body["listing"], hold=body.get("offer", True))
        picked = _picked(project, body, actor)
        commission = commissions.draft(
            project,
            listing,
            client,
            by=actor,
            phase=phase,
            quantity=body.get("quantity"),
            message=body.get("message", ""),
            needed_for=body.get("needed_for", ""),
        )
        commissions.hand_in(commission, picked)
        clocks = []
        if body.get("offer", True):
            clocks.append(commissions.offer(commission, by=actor, agreed_fee=body.get("agreed_fee")))
        return _answer(commission, call, clocks), 201

    return answer_act(act, location=lambda value: f"{PREFIX}/commissions/{value['number']}")


Act = Callable[[Commission, JsonObject, Actor, int | None], object]


def _offer(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    if "listing" in body:
        commissions.choose(commission, _listing(body["listing"]), by=by)
    commissions.hand_in(commission, _picked(commission.project, body, by))
    # The version was checked under the lock; choosing another listing counts it up.
    commissions.offer(commission, by=by, agreed_fee=body.get("agreed_fee"))


def _supply(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    commissions.supply_materials(
        commission,
        _picked(commission.project, body, by),
        by=by,
        answer=body.get("answer", ""),
        expected_version=version,
    )


def _resume(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    services.resume(
        commission,
        body.get("answer", ""),
        by=by,
        picked=_picked(commission.project, body, by),
        expected_version=version,
    )


def _deliver(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    until = body.get("valid_until")
    handed = _documents(body["files"])
    deliverables.submit(
        commission,
        [
            Part(one["title"], _own_document(one["document"], handed, by, f"files[{place}].document"))
            for place, one in enumerate(body["files"])
        ],
        result=Result(body["result"]),
        summary=body["summary"],
        by=by,
        project_code=body.get("project_code", ""),
        valid_until=date.fromisoformat(until) if until else None,
        figures=body.get("figures"),
        expected_version=version,
    )


def _return(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    deliverables.return_for_revision(_newest(commission), body["points"], by=by, expected_version=version)


def _accept(commission: Commission, body: JsonObject, by: Actor, version: int | None) -> None:
    deliverables.accept(_newest(commission), by=by, expected_version=version)


#: Action → (shape of its body, the verb). Every action of the life-cycle's table that a caller can do.
ACTIONS: Mapping[str, tuple[str, Act]] = {
    "offer": ("Offer", _offer),
    "take_back": ("Nothing", lambda c, body, by, v: commissions.take_back(c, by=by, expected_version=v)),
    "request_materials": (
        "Points",
        lambda c, body, by, v: commissions.request_materials(c, body["points"], by=by, expected_version=v),
    ),
    "supply_materials": ("Materials", _supply),
    "decline": ("Reason", lambda c, body, by, v: commissions.decline(c, body["reason"], by=by, expected_version=v)),
    "take_on": ("Nothing", lambda c, body, by, v: commissions.take_on(c, by=by, expected_version=v)),
    "start": ("Nothing", lambda c, body, by, v: services.start(c, by=by, expected_version=v)),
    "pause": (
        "PointsAndReason",
        lambda c, body, by, v: services.pause(c, body["points"], body["reason"], by=by, expected_version=v),
    ),
    "resume": ("Answer", _resume),
    "propose_extension": (
        "ExtensionToPropose",
        lambda c, body, by, v: services.propose_extension(
            c, body["working_days"], body["reason"], by=by, expected_version=v
        ),
    ),
    "agree_extension": ("Nothing", lambda c, body, by, v: services.agree_extension(c, by=by, expected_version=v)),
    "refuse_extension": ("Nothing", lambda c, body, by, v: services.refuse_extension(c, by=by, expected_version=v)),
    "deliver": ("DeliverableToSubmit", _deliver),
    "return": ("Points", _return),
    "accept": ("Nothing", _accept),
    "terminate": ("Reason", lambda c, body, by, v: commissions.terminate(c, body["reason"], by=by, expected_version=v)),
    "cancel": (
        "ReasonIfAny",
        lambda c, body, by, v: commissions.cancel(c, body.get("reason", ""), by=by, expected_version=v),
    ),
}


def act_on(call: Call, number: str, action: str) -> Response:
    """One act on one commission, once; the answer is the commission afterwards."""
    version = expected_version()

    def act() -> tuple[JsonObject, int]:
        commission = commissions.find(number, by=call.by, lock=True)
        try:
            # Before the body's own content is looked at: what isn't open is refused as such, with the moves that are.
            workflow.check(commission, STEPS, action, by=call.by, expected_version=version)
            ACTIONS[action][1](commission, call.body, call.by, version)
        except Conflict as error:
            raise with_moves(error, lambda: commissions.moves(commission, call.by)) from None
        return _answer(commission, call), 200

    return answer_act(act)


def with_moves(error: PortalError, moves: Callable[[], list[str]]) -> PortalError:
    """The incident with the actions that are open instead, for the problem document."""
    if getattr(error, "moves", None) is None:
        with session.no_autoflush:
            error.moves = moves()  # type: ignore[attr-defined]
    return error


def _declare(action: str, shape: str) -> None:
    labels = trail.named_acts()[STEPS[action].act]
    summary: Words = (labels[0], labels[1])

    @operation(
        Operation(
            f"commission_{action}",
            "POST",
            f"/commissions/{{number}}/{action}",
            summary,
            Scope.COMMISSIONS_WRITE,
            "Commission",
            variables=_NUMBER,
            body=shape,
            is_act=True,
            takes_version=True,
        )
    )
    def serve(call: Call, number: str) -> Response:
        return act_on(call, number, action)


for _action, (_shape, _verb) in ACTIONS.items():
    _declare(_action, _shape)


# Files


class FileMissing(Invalid):
    code = "file_missing"
    zh = "请以 multipart/form-data 上传一个名为 file 的文件"
    en = "Send one file as multipart/form-data in a part named file"


@operation(
    Operation(
        "upload_document",
        "POST",
        "/documents",
        ("上传文件", "Upload a file"),
        Scope.DOCUMENTS_WRITE,
        "Document",
        status=201,
        is_act=True,
        is_upload=True,
        note=(
            "以 multipart/form-data 上传一个名为 file 的文件；文件编号用于委托材料和成果。",
            "One file as multipart/form-data in a part named file; its number is used for materials and deliverables.",
        ),
    )
)
def upload_document(call: Call) -> Response:
    parts = list(request.files.items(multi=True))
    if len(parts) != 1 or parts[0][0] != "file" or not parts[0][1].filename or request.form:
        raise FileMissing(field="file")
    upload = parts[0][1]
    # Received before the transaction begins, so that a slow sender holds nothing in the database.
    blob = files.receive(cast("BinaryIO", upload.stream), upload.filename or "", field="file")

    def act() -> tuple[JsonObject, int]:
        document = files.enter(blob, by=call.by)
        return {
            "number": document.number,
            "sha256": document.sha256,
            "name": document.name,
            "media_type": document.media_type,
            "size": document.size,
            "stored_at": instant(document.stored_at),
            "document_url": _file(document),
        }, 201

    return answer_act(act, location=lambda value: str(value["document_url"]))


# What a body names


def _listing(number: str, *, hold: bool = False) -> Listing:
    try:
        return listings.by_number(number, hold=hold)
    except NotFound:
        raise ListingUnknown(field="listing", number=number) from None


def _picked(project: Project, body: JsonObject, by: Actor) -> list[Picked]:
    own = _documents(body.get("materials", []))
    return [
        Picked(one["name"], entry=_entry(project, one["entry"], f"materials[{place}].entry"))
        if "entry" in one
        else Picked(one["name"], document=_own_document(one["document"], own, by, f"materials[{place}].document"))
        for place, one in enumerate(body.get("materials", []))
    ]


def _entry(project: Project, number: str, field: str) -> dossier.Entry:
    """An entry of the commission's own project that can be relied on today."""
    foreign = ForeignEntry(field=field, number=number, project=project.code)
    try:
        entry = dossier.by_number(number)
    except NotFound:
        raise foreign from None
    if entry.project_id != project.id:
        raise foreign
    standing = dossier.stand(entry, clock.today())
    if not standing.can_rely:
        raise dossier.CannotRely(field=field, number=number, reason=standing.reason_zh, reason_en=standing.reason_en)
    return entry


_DOCUMENTS = Records(Document, Document.number == any_(bindparam("numbers", type_=ARRAY(Text))))


def _documents(named: Sequence[Mapping[str, str]]) -> dict[str, Document]:
    """The files that a body names, by number, in one question."""
    numbers = {one["document"] for one in named if "document" in one}
    if not numbers:
        return {}
    return {one.number: one for one in _DOCUMENTS.all(numbers=sorted(numbers))}


def _own_document(number: str, own: Mapping[str, Document], by: Actor, field: str) -> Document:
    document = own.get(number)
    if document is None or by.organisation_id is None or document.organisation_id != by.organisation_id:
        raise ForeignDocument(field=field, number=number)
    return document


def _newest(commission: Commission) -> Deliverable:
    """The edition under judgement; the commission's lock guards it."""
    newest = deliverables.latest(commission)
    if newest is None:
        raise NotFound
    return newest
