"""Documents that can't be read, or not here: refused by name at upload, or reviewed by their originals; nothing is lost.

Issue "The technical-review portal", bad input: encrypted, damaged, 10,000-page, scanned-only, rotated and landscape PDFs,
DWG and OFD.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from reportlab.lib.pagesizes import A4
from sqlalchemy import func, select

from kernel import files, previews
from kernel.db import session, transaction
from kernel.errors import Invalids
from kernel.files import Document
from kernel.previews import PreviewStatus
from kernel.trail import Actor
from market import commissions, services
from market.commissions import Picked
from reviews import experts, panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import PlaceKind, Stance, Writing
from reviews.technical import ReviewStatus
from tests.reviewing import Reviewing

SignIn = Callable[[str], FlaskClient]
UPLOADER = Actor(None, "王工", None, "测绘院")


def _load(name: str) -> ModuleType:
    """A helper of the kernel's tests."""
    path = Path(__file__).resolve().parents[1] / "kernel" / f"{name}.py"
    found = importlib.util.spec_from_file_location(f"bad_documents_{name}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


samples = _load("preview_samples")
hostile = _load("hostile")

REFUSED: dict[
    str, tuple[str, Callable[[], bytes], type[files.FileDamaged | files.FileEncrypted | files.FileTooLong]]
] = {
    "encrypted": ("图纸.pdf", samples.encrypted, files.FileEncrypted),
    "damaged": ("图纸.pdf", samples.damaged, files.FileDamaged),
    "cut off": ("图纸.pdf", lambda: samples.numbered(3)[:900], files.FileDamaged),
    "ten thousand pages": ("图纸.pdf", lambda: samples.many(10_000), files.FileTooLong),
    "DWG with a password": ("总平面图.dwg", lambda: hostile.dwg(flags=1), files.FileEncrypted),
    "OFD that is no OFD": ("图纸.ofd", lambda: hostile.ofd()[:-30], files.FileDamaged),
}
#: What a round is opened on: name of the file, content, the preview's state, the code of its problem.
ACCEPTED: dict[str, tuple[str, Callable[[], bytes], PreviewStatus, str]] = {
    "scanned": ("扫描件.pdf", lambda: samples.scanned(2), PreviewStatus.READY, ""),
    "rotated": ("旋转.pdf", lambda: samples.turned(90, "turned"), PreviewStatus.READY, ""),
    "landscape": (
        "横幅.pdf",
        lambda: samples.pdf([["landscape"]], size=(A4[1], A4[0])),
        PreviewStatus.READY,
        "",
    ),
    "three thousand pages": ("长.pdf", lambda: samples.many(3000), PreviewStatus.FAILED, "preview_too_long"),
    "DWG": ("总平面图.dwg", hostile.dwg, PreviewStatus.NONE, "preview_unsupported"),
    "OFD": ("说明.ofd", hostile.ofd, PreviewStatus.NONE, "preview_unsupported"),
}


@pytest.mark.parametrize("sample", sorted(REFUSED))
def test_what_nobody_could_read_is_refused_at_upload_by_name(portal: APIFlask, sample: str) -> None:
    name, build, incident = REFUSED[sample]
    with pytest.raises(incident) as caught, transaction():
        files.put(io.BytesIO(build()), name, by=UPLOADER)
    assert caught.value.status == 422
    assert name in caught.value.text("zh")
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Document)) == 0


class Panel:
    """A review with three appointed experts, opened on whatever documents a test hands in."""

    def __init__(self, reviewing: Reviewing) -> None:
        self.reviewing, self.world = reviewing, reviewing.world
        self.experts = [self.world.actor(login) for login in ("expert2", "expert3", "expert5")]

    def opened(self, contents: list[tuple[str, bytes]]) -> str:
        """In its first round; the required materials are the first four, the others stand beside them."""
        applicant, lead = self.reviewing.applicant, self.reviewing.lead
        with transaction():
            draft = commissions.draft(
                session.merge(self.world.project),
                session.merge(self.reviewing.listing),
                session.merge(self.world.client_org),
                by=applicant,
            )
            names = [*draft.item.required_materials]
            names += [f"附图{place}" for place in range(len(names), len(contents))]
            handed = [
                Picked(name, document=files.put(io.BytesIO(content), file, by=applicant))
                for name, (file, content) in zip(names, contents, strict=True)
            ]
            commissions.hand_in(draft, handed)
            commissions.offer(draft, by=applicant)
            commissions.take_on(draft, by=lead)
            services.start(draft, by=lead)
            review = technical.of_commission(draft)
            assert review is not None
            for actor, speciality in zip(self.experts, ("architecture", "structure", "building_services"), strict=True):
                expert = experts.of_person(actor.person_id)
                assert expert is not None
                panels.appoint(review, expert, speciality, by=lead)
            for actor in (lead, *self.experts):
                panels.declare(review, [], "", by=actor)
            rounds.open_round(review, by=lead)
            return review.number

    def documents(self, number: str) -> list[rounds.RoundDocument]:
        session.rollback()
        session.expire_all()
        latest = rounds.current(self.reviewing.find(number))
        assert latest is not None
        return latest.documents


@pytest.fixture
def panel(world: Any) -> Panel:
    return Panel(Reviewing(world))


def test_a_round_opens_on_every_accepted_document_and_says_why_one_is_not_shown(
    panel: Panel, client_as: SignIn
) -> None:
    """Pages of scans, turned and broad sheets are drawn; what can't be drawn is named, and its original is there."""
    contents = {sample: build() for sample, (_, build, _, _) in ACCEPTED.items()}
    number = panel.opened([(ACCEPTED[sample][0], content) for sample, content in contents.items()])
    previews.work(60)
    frozen = dict(zip(ACCEPTED, panel.documents(number), strict=True))
    expert = client_as("expert2")
    page = expert.get(f"/reviews/{number}/rounds/1").get_data(as_text=True)
    for sample, document in frozen.items():
        _, _, status, problem = ACCEPTED[sample]
        preview = previews.of(document.sha256)
        assert preview is not None, sample
        assert (preview.status, preview.problem) == (status, problem), sample
        address = f"/reviews/{number}/rounds/1/documents/{document.slot}/pages/1"
        if problem:
            assert previews.problem_text(problem) in page, sample
        else:
            assert address in page, sample
            with expert.get(f"{address}/picture") as picture:
                assert picture.mimetype == "image/webp", sample
        with expert.get(f"/files/{document.document.number}") as original:
            assert original.status_code == 200
            assert original.get_data() == contents[sample], sample
    assert not previews.page_of(frozen["scanned"].sha256, 1).has_text  # type: ignore[union-attr]


def test_an_opinion_on_what_has_no_pages_or_no_words_goes_through_the_rounds(panel: Panel) -> None:
    """The place is the document alone on a DWG, and the page alone on a scan; both are found again or said to have changed."""
    number = panel.opened(
        [("总平面图.dwg", hostile.dwg()), ("扫描件.pdf", samples.scanned(2))]
        + [(f"{place}.pdf", samples.numbered(1, str(place))) for place in range(2)]
    )
    reviewing, author = panel.reviewing, panel.experts[0]
    drawing, scan, *_ = [one.slot for one in panel.documents(number)]
    for slot, page in ((drawing, None), (scan, 2)):
        said = Writing(
            grade=Grade.MUST, slot=slot, required="应标注", found="未标注", clause="GB 55037-2022", page=page
        )
        reviewing.write(number, author, said)
    with pytest.raises(Invalids) as caught:
        reviewing.write(
            number, author, Writing(grade=Grade.MUST, slot=scan, required="", found="错", clause="条", page=3)
        )
    assert [one.field for one in caught.value.errors] == ["page"]
    reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    reviewing.answered(number, Stance.CORRECTED)
    with transaction():
        changed = {
            drawing: files.put(io.BytesIO(hostile.dwg(b"AC1015")), "总平面图.dwg", by=reviewing.applicant),
            scan: files.put(io.BytesIO(samples.scanned(1)), "扫描件.pdf", by=reviewing.applicant),
        }
        rounds.resubmit(reviewing.find(number), 1, changed, by=reviewing.applicant)
    previews.work(60)
    session.expire_all()
    latest = rounds.current(reviewing.find(number))
    assert latest is not None
    places = [rounds.place_in(one, latest) for one in rounds.issued_of(reviewing.find(number))]
    assert [(one.kind, one.page) for one in places if one is not None] == [
        (PlaceKind.FOUND, None),
        (PlaceKind.CHANGED, 1),
    ]


def test_a_document_that_breaks_after_its_upload_is_named_and_holds_nothing_up(panel: Panel) -> None:
    """The store's copy rots: no preview, said by name; opinions go on, and the content is known to be another."""
    number = panel.opened([(f"{place}.pdf", samples.numbered(2, str(place))) for place in range(4)])
    document = panel.documents(number)[0]
    files.path_of(document.sha256).write_bytes(samples.damaged())
    previews.work(60)
    preview = previews.of(document.sha256)
    assert preview is not None
    assert (preview.status, preview.problem) == (PreviewStatus.FAILED, "preview_damaged")
    assert not files.verify(document.document)
    panel.reviewing.write(
        number, panel.experts[0], Writing(grade=Grade.ADVICE, slot=document.slot, required="", found="无法打开", page=2)
    )
    for actor in panel.experts:
        nothing = actor is not panel.experts[0]
        panel.reviewing.submit(number, actor, no_comment=nothing)


def test_a_refused_file_loses_neither_the_answers_nor_the_round(panel: Panel, client_as: SignIn) -> None:
    number = panel.opened([(f"{place}.pdf", samples.numbered(1, str(place))) for place in range(4)])
    reviewing, author = panel.reviewing, panel.experts[0]
    slot = panel.documents(number)[0].slot
    key = reviewing.write(
        number, author, Writing(grade=Grade.MUST, slot=slot, required="应标注", found="未标注", clause="GB 55037-2022")
    )
    reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    applicant = client_as("applicant")
    shown = applicant.get(f"/reviews/{number}/rounds/1").get_data(as_text=True)
    token = re.search(r'name="act" value="([^"]+)"', shown)
    assert token is not None
    answer = applicant.post(
        f"/reviews/{number}/rounds/1/answers",
        data={
            "act": token[1],
            "do": "resubmit",
            f"stance-{key}": "corrected",
            f"answer-{key}": "已补充标注，见第三页",
            "file-1": (io.BytesIO(samples.encrypted()), "加密.pdf"),
        },
        content_type="multipart/form-data",
    )
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "已加密或设有密码" in page
    assert "加密.pdf" in page
    assert "已补充标注，见第三页" in page, "what was typed is still there"
    session.expire_all()
    review = reviewing.find(number)
    assert review.status is ReviewStatus.WITH_APPLICANT
    latest = rounds.current(review)
    assert latest is not None
    assert latest.number == 1
