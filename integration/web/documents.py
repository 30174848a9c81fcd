"""One document of the dossier: its standing, who accepted it, who relied on it, and its withdrawal (000 §9.4, A13)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select

from integration.approvals import matters
from integration.approvals.web import parts
from integration.web.projects import may_see_entry
from kernel import clock, dossier, files, workflow
from kernel.access import Cell, Role, holders
from kernel.db import session
from kernel.dossier import Entry, EntryStatus, Use
from kernel.errors import NotFound, PortalError
from kernel.trail import Actor
from kernel.web import act_once, form_errors, instant, language, signed_in_actor
from market import deliverables

blueprint = Blueprint("documents", __name__)
_VIEWERS = holders(
    Role.APPLICANT,
    Role.ASSISTANT,
    Role.AUTHORITY,
    Role.AGENCY,
    Role.WINDOW,
    Role.APPROVER,
    Role.SUPERVISOR,
    Role.AUDITOR,
)
ACCESS: Mapping[str, Cell] = {"documents.document": _VIEWERS, "documents.withdraw": _VIEWERS}
_KINDS = {
    EntryStatus.ATTACHED: "good",
    EntryStatus.SUPERSEDED: "neutral",
    EntryStatus.EXPIRED: "bad",
    EntryStatus.WITHDRAWN: "bad",
}


def _find(number: str, *, lock: bool = False) -> tuple[Entry, Actor]:
    actor = signed_in_actor()
    entry = dossier.by_number(number)
    if not may_see_entry(entry, actor):
        raise NotFound
    if lock:
        entry = session.scalars(
            select(Entry)
            .where(Entry.id == entry.id)
            .with_for_update(of=Entry)
            .execution_options(populate_existing=True)
        ).one()
    return entry, actor


@blueprint.get("/documents/<number>", endpoint="document")
def document_page(number: str) -> str:
    entry, actor = _find(number)
    standing = dossier.stand(entry, clock.today())
    successor = session.get(Entry, entry.successor_id) if entry.successor_id is not None else None
    return render_template(
        "integration/document_show.html",
        entry=entry,
        standing=standing,
        reason=standing.reason(language()),
        status_kind=_KINDS[entry.status],
        size=parts.size_text(entry.document.size),
        successor=successor,
        source_url=_source_url(entry, actor),
        may_read=files.may_read(entry.document, actor),
        uses=[_use(use, actor) for use in dossier.uses_of(entry)],
        withdraw_url=_withdraw_url(entry, actor),
        history=parts.history(entry.subject),
    )


def _use(use: Use, actor: Actor) -> dict[str, str | None]:
    """One reliance; the matter itself is linked only for those who may see it."""
    noun, _colon, number = use.relied_for.partition(":")
    url = None
    if noun == "matter":
        try:
            matters.find(number, by=actor)
        except NotFound:
            pass
        else:
            url = url_for("decisions.decision", number=number)
    return {
        "title": use.relied_for_title,
        "url": url,
        "who": f"{use.organisation} {use.person}",
        "at": instant(use.at),
        "sha256": use.sha256,
    }


def _deliverable(entry: Entry, actor: Actor) -> deliverables.Deliverable | None:
    noun, _colon, number = entry.source.partition(":")
    if noun != "deliverable":
        return None
    try:
        return deliverables.find(number, by=actor)
    except NotFound:
        return None


def _source_url(entry: Entry, actor: Actor) -> str | None:
    deliverable = _deliverable(entry, actor)
    return f"/deliverables/{deliverable.number}" if deliverable is not None else None


def _withdraw_url(entry: Entry, actor: Actor) -> str | None:
    """A deliverable is withdrawn as a whole, on its own page; any other document by itself."""
    if "withdraw" not in workflow.moves(entry, dossier.STEPS, actor):
        return None
    deliverable = _deliverable(entry, actor)
    if deliverable is None:
        return url_for("documents.withdraw", number=entry.number)
    if "withdraw" in workflow.moves(deliverable, deliverables.STEPS, actor):
        return f"/deliverables/{deliverable.number}/withdraw"
    return None


@blueprint.route("/documents/<number>/withdraw", methods=["GET", "POST"], endpoint="withdraw")
def withdraw_page(number: str) -> Response | tuple[str, int] | str:
    entry, actor = _find(number)
    if _deliverable(entry, actor) is not None:
        raise NotFound
    if request.method == "GET":
        workflow.check(entry, dossier.STEPS, "withdraw", by=actor)
        return _withdraw_form(entry)

    def act() -> str:
        locked, _actor = _find(number, lock=True)
        dossier.withdraw(locked, request.form.get("reason", ""), by=actor, expected_version=parts.form_version())
        return url_for("documents.document", number=number)

    try:
        answer = act_once(act)
    except workflow.MoveNotOpen:
        raise
    except PortalError as error:
        return _withdraw_form(_find(number)[0], error), error.status
    flash(_("材料已撤回，引用过的单位均已收到通知。"), "success")
    return answer


def _withdraw_form(entry: Entry, error: PortalError | None = None) -> str:
    return render_template(
        "integration/document_withdraw.html",
        entry=entry,
        uses=len(dossier.uses_of(entry)),
        reason=request.form.get("reason", ""),
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )
