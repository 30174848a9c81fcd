"""Entering a batch of drawings: files first, then what each is and which approvals it touches, then the act (B10)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import flash, render_template, request, url_for

from kernel import clock
from kernel.errors import Conflict, Invalid, Invalids, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.trail import Actor
from kernel.web import act_once, choose, form_errors, instant, language
from market.web import confirm
from market.web.confirm import Answer
from market.web.forms import Sheet, own_documents, receive
from reviews import drawings
from reviews.drawings import ApprovalLine, Discipline, DrawingStage, NewSheet, Touched

#: Most files of one batch; each asks for three fields.
MOST_FILES = 100


class EffectsChanged(Conflict):
    """The page showed other effects than the form, as it now is, would have."""

    code = "drawings_effects_changed"
    zh = "图号、专业或现行图纸有变动，请重新核对下面的变更影响，无误后再次提交"
    en = "Numbers, disciplines or the set itself have changed; look at the effects below again, then submit once more"


class TooManyFiles(Invalid):
    code = "drawings_too_many"
    zh = "一次最多归入 {most} 个文件，请分批办理"
    en = "At most {most} files at once; enter them in batches"


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was typed for a batch as a whole."""

    stage: DrawingStage | None
    phase: Phase | None
    effective_at: datetime | None
    note: str


def serve(project: Project, actor: Actor) -> Answer:
    """The two pages and the act of ``/projects/<code>/drawings/new``."""
    if request.method == "GET":
        return _files_page(project, {})
    sheet = receive(["files"])
    kept = sheet.keep(actor).get("files", [])
    error = _refused(sheet, kept)
    if error is None:
        try:
            batch = _batch(project, sheet)
        except PortalError as fault:
            error = fault
    if error is not None:
        return _files_page(project, sheet.typed, kept, error), error.status
    parts = _parts(sheet, kept, batch)
    if request.form.get("stage_of_form") != "enter":
        return _check_page(project, sheet.typed, parts)

    def act() -> str:
        again = _parts(sheet, own_documents([one.number for one in kept], actor), _batch(project, sheet))
        state = drawings.state_of(project)
        drawings.check(project, again)
        if request.form.get("seen") != _seen(project, again):
            raise EffectsChanged
        drawings.add(project, again, by=actor, expected_state=state)
        return url_for("drawings.index", code=project.code)

    is_touching = bool(_touched(project, parts))
    try:
        answer = act_once(act)
    except PortalError as fault:
        return _check_page(project, sheet.typed, parts, fault), fault.status
    told = choose(f"已归入图纸 {len(parts)} 张。", f"{len(parts)} drawings entered.")
    if is_touching:
        told += choose("变更涉及的审批单位均已收到通知。", " Whoever approved an earlier edition has been told.")
    flash(told, "success")
    return answer


def _refused(sheet: Sheet, kept: Sequence[Document]) -> PortalError | None:
    if sheet.faults:
        return sheet.faults[0] if len(sheet.faults) == 1 else Invalids(sheet.faults)
    if not kept:
        return drawings.NothingEntered(field="files")
    return TooManyFiles(field="files", most=MOST_FILES) if len(kept) > MOST_FILES else None


def _batch(project: Project, sheet: Sheet) -> _Batch:
    """Raises DateUnclear."""
    effective = sheet.day("effective_on")
    return _Batch(
        stage=next((one for one in DrawingStage if one.value == sheet.text("stage")), None),
        phase=next((one for one in project.phases if one.code == sheet.text("phase")), None),
        effective_at=clock.instant_of(effective) if effective is not None and effective != clock.today() else None,
        note=sheet.text("note").strip()[:500],
    )


def _parts(sheet: Sheet, documents: Sequence[Document], batch: _Batch) -> list[NewSheet]:
    """A drawing for each file: what was typed for it, or what its name suggests."""
    found = []
    for document in documents:
        field = f"{document.number}-"
        guessed = drawings.guess(document.name)
        discipline = sheet.typed.get(f"{field}discipline", guessed.discipline or "")
        stage = batch.stage or guessed.stage or DrawingStage.CONSTRUCTION
        found.append(
            NewSheet(
                document=document,
                discipline=next((one for one in Discipline if one.value == discipline), None),
                number=sheet.typed.get(f"{field}number", guessed.number),
                title=sheet.typed.get(f"{field}title", guessed.title),
                stage=stage,
                phase=batch.phase,
                effective_at=batch.effective_at,
                note=batch.note,
                field=field,
            )
        )
    return found


def _files_page(
    project: Project, typed: Mapping[str, str], kept: Sequence[Document] = (), error: PortalError | None = None
) -> str:
    return render_template(
        "reviews/drawings_new.html",
        project=project,
        typed=typed,
        kept=kept,
        stages=[(one.value, one.label(language())) for one in DrawingStage],
        phases=[(one.code, f"{one.name} {one.code}") for one in project.phases],
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


def _check_page(
    project: Project, typed: Mapping[str, str], parts: Sequence[NewSheet], error: PortalError | None = None
) -> str:
    """The batch as it would be entered. What is missing is only an error once somebody has tried to enter it."""
    rows = []
    for part in parts:
        try:
            replaced = drawings.check(project, [part])[0][1]
            effect = (
                choose(f"替代现行第 {replaced.edition} 版", f"Takes the place of edition {replaced.edition}")
                if replaced is not None
                else choose("新图纸", "New sheet")
            )
        except PortalError:
            replaced, effect = None, choose("待核对", "To be checked")
        rows.append({"part": part, "effect": effect, "is_change": replaced is not None})
    touched = _touched(project, parts)
    return render_template(
        "reviews/drawings_check.html",
        project=project,
        rows=rows,
        touched=[{"number": one.sheet.number, **approval_words(line)} for one in touched for line in one.approvals],
        disciplines=[(one.value, one.label(language())) for one in Discipline],
        hidden={
            "stage_of_form": "enter",
            "seen": _seen(project, parts),
            "stage": typed.get("stage", ""),
            "phase": typed.get("phase", ""),
            "effective_on": typed.get("effective_on", ""),
            "note": typed.get("note", ""),
        },
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


def _touched(project: Project, parts: Sequence[NewSheet]) -> list[Touched]:
    keys = []
    for part in parts:
        try:
            keys.append(part.key(project))
        except PortalError:
            continue
    return drawings.touched_by(project, keys)


def _seen(project: Project, parts: Sequence[NewSheet]) -> str:
    """What the check page shows of a batch's effects, in short: editions replaced and approvals touched."""
    replaced = []
    for part in parts:
        try:
            earlier = drawings.check(project, [part])[0][1]
            replaced.append([part.document.number, *part.key(project), earlier.edition if earlier is not None else 0])
        except PortalError:
            replaced.append([part.document.number])
    touched = [[one.sheet.reference, *(line.subject for line in one.approvals)] for one in _touched(project, parts)]
    return hashlib.sha256(json.dumps([replaced, touched]).encode()).hexdigest()[:32]


def approval_words(line: ApprovalLine) -> dict[str, str]:
    """An approval as pages show it."""
    return {
        "title": line.title,
        "who": f"{line.organisation} {line.person}".strip(),
        "at": instant(line.at),
        "edition": choose(f"第 {line.edition} 版", f"Edition {line.edition}"),
    }
