"""Signing the report and publishing it in one act of the second signer (life-cycles §3, B9)."""

from __future__ import annotations

import hashlib
import io

from sqlalchemy import select

from kernel import files, seals, timekeeping, workflow
from kernel.accounts import Person
from kernel.db import session
from kernel.dossier import Entry
from kernel.files import Document
from kernel.seals import Signatory
from kernel.trail import Actor
from market import deliverables
from market.deliverables import Part, Result
from reviews import drawings, panels, report, rounds
from reviews.conclusions.faults import NotSecond, NotSigned, ReportChanged, SignedAlready, SignerConflicted
from reviews.conclusions.reporting import LEAD, SECOND, report_of
from reviews.technical import STEPS, Outcome, TechnicalReview, by_lead, can_see, tell_applicant

RESULTS = {Outcome.PASSED: Result.PASSED, Outcome.FAILED: Result.FAILED}


def sign(review: TechnicalReview, *, by: Actor, expected_version: int | None = None) -> None:
    """签署审查报告: the lead's signature; the second signer's comes with the publication.

    Raises:
        SignedAlready, NotSigned: it isn't the lead; seals errors; workflow errors.
    """
    workflow.check(review, STEPS, "sign", by=by, expected_version=expected_version)
    if not by_lead(review, by):
        raise NotSigned
    content = _content(review)
    if is_signed_by_lead(review):
        raise SignedAlready
    places = report.signature_places(report_of(review))
    signed = seals.sign(
        content,
        _signatory(review, by),
        reason="审查负责人签署",
        field_name=LEAD,
        appearance=places.get(LEAD),
    )
    _keep(review, signed, by)
    workflow.step(review, STEPS, "sign", by=by, sha256=hashlib.sha256(signed).hexdigest())


def publish(review: TechnicalReview, *, by: Actor, expected_version: int | None = None) -> list[Entry]:
    """签发: second signature and seal, then delivered, attached and finished in this one transaction.

    Answers the new dossier entries. A panel that judged a deliverable accepts it, or returns it with its open points.

    Raises:
        NotSecond: somebody else confirmed it. SignerConflicted, NotSigned, ReportChanged; SignatureBroken; seals,
        deliverables and workflow errors.
    """
    workflow.check(review, STEPS, "publish", by=by, expected_version=expected_version)
    if review.second is None or by.person_id != review.second_id:
        raise NotSecond(name=review.second.name if review.second is not None else "—")
    if panels.is_shut(review, by):
        raise SignerConflicted
    if not is_signed_by_lead(review):
        raise NotSigned
    places = report.signature_places(report_of(review))
    content = seals.sign(
        _content(review), _signatory(review, by), reason="复核签发", field_name=SECOND, appearance=places.get(SECOND)
    )
    if "body_seal" in review.kind.signatures:
        body = Signatory.of_organisation(review.body.name, review.body.credit_code)
        content = seals.sign(
            content, body, reason="技术审查专用章", field_name=report.SEAL, appearance=places.get(report.SEAL)
        )
    document = _keep(review, content, by)
    _require_recorded(review, content)
    seals.verify(
        files.path_of(document.sha256), document.name, wanted=3 if "body_seal" in review.kind.signatures else 2
    )
    workflow.step(review, STEPS, "publish", by=by, outcome=review.outcome, sha256=document.sha256)
    timekeeping.end_all(review.subject, by=by)
    entries = _deliver(review, document, by)
    if review.outcome is Outcome.PASSED:  # the sheets that were judged are approved by exactly these versions
        read = [one.sha256 for one in rounds.open_round_of(review).documents]
        drawings.approve(read, subject=review.subject, title=review.title, by=by, project=review.project)
    tell_applicant(review, "review.published")
    return entries


def is_signed_by_lead(review: TechnicalReview) -> bool:
    """Whether the report carries a signature already: it is no longer the content that was recorded."""
    if review.report_document_id is None:
        return False
    return session.get_one(Document, review.report_document_id).sha256 != review.report_sha256


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: who sees the review reads its report once it is published."""
    if actor is None:
        return False
    found = session.scalars(select(TechnicalReview).where(TechnicalReview.report_document_id == document.id)).unique()
    return any(review.is_over and can_see(review, actor) for review in found)


def _deliver(review: TechnicalReview, document: Document, by: Actor) -> list[Entry]:
    assert review.outcome is not None  # noqa: S101  a concluded review has one
    if review.commission is not None:
        _, entries = deliverables.publish(
            review.commission,
            [Part(_title(review), document)],
            result=RESULTS[review.outcome],
            summary=review.summary,
            by=by,
            valid_until=review.valid_until,
            figures={"review": review.number, "kind": review.kind.code, "fields": review.fields},
        )
        return entries
    assert review.deliverable is not None  # noqa: S101  of one or the other, by the table
    if review.outcome is Outcome.PASSED:
        return deliverables.accept_by_panel(review.deliverable, by=by)
    points = [f"{one.number}. {one.found}" for one in rounds.open_musts(review)]
    deliverables.return_by_panel(review.deliverable, points or [review.summary], by=by)
    return []


def _title(review: TechnicalReview) -> str:
    """Under which name the report stands in the dossier: nobody may find a certificate where the review failed."""
    assert review.commission is not None  # noqa: S101  the caller has looked
    if review.outcome is Outcome.PASSED:
        return str(review.commission.item.deliverables[0])
    return review.kind.title_of_report


def _keep(review: TechnicalReview, content: bytes, by: Actor) -> Document:
    document = files.put(io.BytesIO(content), f"{review.kind.title_of_report}-{review.number}.pdf", by=by)
    review.report_document_id = document.id
    return document


def _content(review: TechnicalReview) -> bytes:
    assert review.report_document_id is not None  # noqa: S101  a concluded review has its report
    content = files.path_of(session.get_one(Document, review.report_document_id).sha256).read_bytes()
    _require_recorded(review, content)
    return content


def _require_recorded(review: TechnicalReview, content: bytes) -> None:
    """Every signature is an update behind the recorded bytes, which stay the file's beginning."""
    if hashlib.sha256(content[: review.report_size]).hexdigest() != review.report_sha256:
        raise ReportChanged


def _login(by: Actor) -> str:
    """Tells people of one name apart; anybody may read it in the certificate."""
    return session.get_one(Person, by.person_id).login


def _signatory(review: TechnicalReview, by: Actor) -> Signatory:
    return Signatory(by.person, review.body.name, review.body.credit_code, reference=_login(by))
