"""The acts of a round: begin it, hand in, rule, close for the silent, issue (B5, B8; joint reviews B6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint

from kernel.access import Cell
from kernel.web import choose, language, signed_in_actor
from market.web.confirm import Answer
from market.web.forms import Field, Sheet
from reviews import panels, rounds
from reviews.rounds import Opinion, RulingKind
from reviews.technical import TechnicalReview
from reviews.web import parts

blueprint = Blueprint("round_acts", __name__)
ACCESS: Mapping[str, Cell] = {
    "round_acts.open_round": parts.STAFF,
    "round_acts.cancel": parts.STAFF,
    "round_acts.submit": parts.REVIEWERS,
    "round_acts.no_comment": parts.REVIEWERS,
    "round_acts.close_silent": parts.STAFF,
    "round_acts.answer_late": parts.REVIEWERS,
    "round_acts.issue": parts.STAFF,
    "round_acts.rule": parts.REVIEWERS,
}
LINKS: Mapping[str, Callable[[str], str]] = {}


@blueprint.route("/reviews/<number>/opening", methods=["GET", "POST"])
def open_round(number: str) -> Answer:
    """Freeze the versions and begin."""
    actor = signed_in_actor()

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        missing = panels.shortfall(review)
        found = [(choose("审查文件", "Documents"), "、".join(one.title for one in rounds.handed_in(review)) or "—")]
        if missing is not None:
            found.append((choose("尚不能开始", "Not yet"), choose(*missing)))
        return found

    return parts.act(
        number,
        actor,
        "open_round",
        title=("开始本轮审查", "Open the round"),
        button=("开始审查", "Open the round"),
        done=("本轮审查已开始，文件版本已固定。", "Begun; the versions are frozen."),
        perform=lambda review, sheet, version: rounds.open_round(review, by=actor, expected_version=version),
        rows=rows,
        explain=[
            ("文件版本在本轮内固定，全体人员审查同一版本。", "The versions are frozen: everybody reviews the same."),
            ("意见收齐前，审查人员互相看不到意见。", "Until all are in, reviewers don't see each other's opinions."),
        ],
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/cancellation", methods=["GET", "POST"])
def cancel(number: str, round_number: int) -> Answer:
    """Take an empty round back."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "cancel_round",
        title=("撤销本轮审查", "Cancel the round"),
        button=("撤销本轮", "Cancel"),
        done=("本轮审查已撤销。", "Cancelled."),
        perform=lambda review, sheet, version: rounds.cancel_round(
            review, round_number, by=actor, expected_version=version
        ),
        explain=[
            ("尚无人提交意见时可以撤销，各人草稿一并删除。", "Only while nobody's opinions are in; drafts are deleted.")
        ],
        is_ending=True,
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/issue", methods=["GET", "POST"])
def issue(number: str, round_number: int) -> Answer:
    """Merge once and send to the applicant."""
    actor = signed_in_actor()

    def submitted(review: TechnicalReview) -> list[Opinion]:
        round_ = rounds.open_round_of(review, round_number)
        return rounds.submitted_in(round_) if round_.all_in_at is not None else []

    def fields(review: TechnicalReview) -> list[Field]:
        hint = (
            "与另一条相同的，填写并入的序号，如 1；不合并的不填。",
            "If another one says the same, write its number, such as 1; else leave it empty.",
        )
        return [
            Field(f"into-{one.key}", "number", _told(review, place, one), hint, is_required=False)
            for place, one in enumerate(submitted(review), start=1)
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        every = submitted(review)
        merges: dict[str, list[str]] = {}
        for one in every:
            name = f"into-{one.key}"
            if not sheet.text(name).strip():
                continue
            into = sheet.whole(name, ("并入的序号", "The number"))
            if not 1 <= into <= len(every) or every[into - 1].key == one.key:
                raise rounds.MergeInvalid(field=name)
            merges.setdefault(every[into - 1].key, []).append(one.key)
        rounds.issue(review, round_number, by=actor, merges=merges, expected_version=version)

    return parts.act(
        number,
        actor,
        "issue",
        title=("汇总并发出审查意见", "Merge and issue"),
        button=("发出审查意见", "Issue"),
        done=("审查意见已发出，审查暂停计时，等待申请人答复。", "Issued; the clock waits for the applicant."),
        perform=perform,
        fields=fields,
        rows=lambda review: [
            (choose("本轮意见", "Opinions of this round"), str(len(submitted(review)))),
            (
                choose("以前各轮未落实的强制性意见", "Mandatory ones still open from before"),
                str(len(rounds.open_musts(review))),
            ),
        ],
        explain=[
            ("相同意见合并一次发出；合并后按最严格的等级。", "Equal opinions go out once, at the strictest grade.")
        ],
    )


def _told(review: TechnicalReview, place: int, one: Opinion) -> tuple[str, str]:
    """A submitted opinion in one line: what, how grave, whose, where."""
    title = next((document.title for document in one.round.documents if document.slot == one.slot), one.slot)
    seat = panels.label_of(review, one.seat.discipline) or one.seat.kind.zh
    seat_en = panels.label_of(review, one.seat.discipline, "en") or one.seat.kind.en
    where = (f"{title}第 {one.page} 页", f"{title}, page {one.page}") if one.page else (title, title)
    return (
        f"{place}. {one.found[:80]}（{one.grade.zh}，{seat}，{where[0]}）",
        f"{place}. {one.found[:80]} ({one.grade.en}, {seat_en}, {where[1]})",
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/seats/<place>/silence", methods=["GET", "POST"])
def close_silent(number: str, round_number: int, place: str) -> Answer:
    """Close a department's part as unanswered."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "close_silent",
        title=("按逾期未反馈处理", "Close as unanswered"),
        button=("按逾期未反馈处理", "Close as unanswered"),
        done=("已按逾期未反馈处理。", "Closed as unanswered."),
        perform=lambda review, sheet, version: rounds.close_silent(
            review, round_number, parts.seat_named(review, place), by=actor, expected_version=version
        ),
        rows=lambda review: [(choose("部门", "Department"), parts.seat_named(review, place).name)],
        explain=[
            (
                "逾期未反馈既不是同意，也不是无意见；已亮红灯、催办并列入通报。",
                "Neither consent nor “no comment”: red, urged and listed.",
            )
        ],
        back=lambda review: parts.round_url(review, round_number),
        is_ending=True,
    )


# The reviewers' acts


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/submission", methods=["GET", "POST"])
def submit(number: str, round_number: int) -> Answer:
    """Hand in the drafts."""
    actor = signed_in_actor()

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        round_ = rounds.open_round_of(review, round_number)
        own = [seat for seat in panels.of_review(review) if panels.speaks_for(seat, actor)]
        drafts = [one for seat in own for one in rounds.drafts_of(round_, seat)]
        return [
            (f"{place}", f"{one.grade.label(language())}：{one.found}") for place, one in enumerate(drafts, start=1)
        ]

    return parts.act(
        number,
        actor,
        "submit",
        title=("提交审查意见", "Submit the opinions"),
        button=("提交意见", "Submit"),
        done=("审查意见已提交。", "Submitted."),
        perform=lambda review, sheet, version: rounds.submit(review, round_number, by=actor, expected_version=None),
        rows=rows,
        explain=[
            ("提交后不能修改；全体提交后互相可见。", "They stand as they are; visible to the panel once all are in.")
        ],
        back=lambda review: parts.round_url(review, round_number),
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/no-comment", methods=["GET", "POST"])
def no_comment(number: str, round_number: int) -> Answer:
    """Say that there is nothing."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "no_comment",
        title=("反馈无意见", "No comment"),
        button=("提交“无意见”", "Submit “no comment”"),
        done=("已反馈无意见。", "Submitted."),
        perform=lambda review, sheet, version: rounds.submit(
            review, round_number, by=actor, no_comment=True, expected_version=None
        ),
        back=lambda review: parts.round_url(review, round_number),
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/late-answer", methods=["GET", "POST"])
def answer_late(number: str, round_number: int) -> Answer:
    """A department answers after its part was closed."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "declare",
        title=("登记逾期反馈", "Answer late"),
        button=("提交反馈", "Submit"),
        done=("逾期反馈已登记。", "Kept as late."),
        perform=lambda review, sheet, version: rounds.answer_late(review, round_number, sheet.text("text"), by=actor),
        fields=[Field("text", "text", ("反馈意见", "What you have to say"))],
        explain=[
            (
                "逾期反馈照实登记，供审查负责人参考，不改变“逾期未反馈”的记录。",
                "Kept as late and shown to the lead; the record of silence stands.",
            )
        ],
        back=lambda review: parts.round_url(review, round_number),
    )


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/opinions/<key>/ruling", methods=["GET", "POST"])
def rule(number: str, round_number: int, key: str) -> Answer:
    """Close an opinion or maintain it."""
    actor = signed_in_actor()

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        one = rounds.opinion_for(review, key, actor)
        said = one.answers[-1] if one.answers else None
        return [
            (choose("意见", "Opinion"), f"{one.number}. {one.found}"),
            (choose("申请人答复", "Answer"), f"{said.stance.label(language())}：{said.text}" if said else "—"),
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        wanted = sheet.text("kind")
        if wanted not in set(RulingKind):
            raise rounds.OpinionIncomplete(field="kind", what_zh="处理意见", what_en="The ruling")
        one = rounds.opinion_for(review, key, actor)
        rounds.rule(review, round_number, one, RulingKind(wanted), sheet.text("reason"), by=actor)

    return parts.act(
        number,
        actor,
        "close_opinion",
        title=("处理上一轮意见", "Rule on an opinion"),
        button=("提交处理意见", "Submit"),
        done=("处理意见已提交。", "Submitted."),
        perform=perform,
        rows=rows,
        fields=[
            Field(
                "kind",
                "choice",
                ("处理意见", "Ruling"),
                options=tuple((one.value, (one.zh, one.en)) for one in RulingKind),
            ),
            Field("reason", "text", ("理由", "Reason")),
        ],
        back=lambda review: parts.round_url(review, round_number),
    )
