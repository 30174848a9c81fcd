"""Proposing, confirming, signing, publishing and taking back a conclusion (000 §8.4, B9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint

from kernel import clock
from kernel.access import Cell, Role, holders
from kernel.web import choose, language, signed_in_actor
from market.web.confirm import Answer
from market.web.forms import Field, Sheet
from reviews import conclusions
from reviews.technical import Outcome, TechnicalReview
from reviews.web import parts

blueprint = Blueprint("concluding", __name__)
ACCESS: Mapping[str, Cell] = {
    "concluding.propose": parts.STAFF,
    "concluding.conclude": parts.STAFF,
    "concluding.sign": parts.STAFF,
    "concluding.publish": parts.STAFF,
    "concluding.ask_retraction": parts.STAFF,
    "concluding.retract": holders(Role.AUTHORITY, Role.AGENCY, Role.CENTRE, Role.APPROVER),
}
LINKS: Mapping[str, Callable[[str], str]] = {}


@blueprint.route("/reviews/<number>/conclusion", methods=["GET", "POST"])
def propose(number: str) -> Answer:
    """The lead proposes; an outcome that can't be given says why."""
    actor = signed_in_actor()

    def fields(review: TechnicalReview) -> list[Field]:
        options = tuple((one.value, (one.zh, one.en)) for one in Outcome if conclusions.unmet(review, one) is None)
        months = parts.commission_of(review).item.valid_months
        return [
            Field("outcome", "choice", ("审查结果", "Outcome"), options=options, initial=review.outcome or ""),
            Field("summary", "text", ("审查结论", "Conclusion"), initial=review.summary),
            Field(
                "valid_until",
                "date",
                ("报告有效期至", "Valid until"),
                ("长期有效的不填。", "Leave it empty if there is no end."),
                is_required=False,
                initial=clock.add_months(clock.today(), months).isoformat() if months else "",
            ),
        ]

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        found = []
        for outcome in Outcome:
            against = conclusions.unmet(review, outcome)
            if against is not None:
                label = choose(f"不能选择“{outcome.zh}”", f"“{outcome.en}” can't be chosen")
                found.append((label, against.text(language())))
        return found

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        wanted = sheet.text("outcome")
        conclusions.propose(
            review,
            Outcome(wanted) if wanted in set(Outcome) else None,
            sheet.text("summary"),
            by=actor,
            valid_until=sheet.day("valid_until"),
            expected_version=version,
        )

    return parts.act(
        number,
        actor,
        "propose",
        title=("拟定审查结论", "Propose the conclusion"),
        button=("提交复核", "Submit for confirmation"),
        done=("审查结论已提交复核。", "Submitted to the second signer."),
        perform=perform,
        fields=fields,
        rows=rows,
    )


@blueprint.route("/reviews/<number>/confirmation", methods=["GET", "POST"])
def conclude(number: str) -> Answer:
    """The second signer confirms."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "conclude",
        title=("复核审查结论", "Confirm the conclusion"),
        button=("审查结束", "Conclude the review"),
        done=("审查结束，报告已生成，待签署。", "Concluded; the report waits for signatures."),
        perform=lambda review, sheet, version: conclusions.conclude(review, by=actor, expected_version=version),
        rows=_proposal,
        explain=[
            ("复核人与审查负责人不得为同一人。", "The lead can't confirm their own proposal."),
            ("确认后本轮审查结束，报告内容固定。", "The round ends and the report's content is fixed."),
        ],
    )


@blueprint.route("/reviews/<number>/signature", methods=["GET", "POST"])
def sign(number: str) -> Answer:
    """The lead signs the report."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "sign",
        title=("签署审查报告", "Sign the report"),
        button=("签署报告", "Sign"),
        done=("审查报告已签署。", "Signed."),
        perform=lambda review, sheet, version: conclusions.sign(review, by=actor, expected_version=version),
        rows=_proposal,
        explain=[("以审查负责人的电子签名签署，附时间戳。", "With the lead's electronic signature and a time stamp.")],
    )


@blueprint.route("/reviews/<number>/publication", methods=["GET", "POST"])
def publish(number: str) -> Answer:
    """Second signature, seal, delivery, dossier and the end of the service in one act."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "publish",
        title=("签发审查报告", "Publish the report"),
        button=("签发报告", "Publish"),
        done=(
            "审查报告已签发，归入项目材料库，服务办结。",
            "Published, attached to the project; the service is finished.",
        ),
        perform=lambda review, sheet, version: conclusions.publish(review, by=actor, expected_version=version),
        rows=_proposal,
        explain=[
            (
                "复核人签名并加盖技术审查专用章后，报告归入项目材料库，服务同时办结。",
                "Signed, sealed, attached to the project, and the service is finished, all at once.",
            ),
            (
                "签发后不能撤回结论，只能撤回报告并通知引用单位。",
                "Afterwards the report can only be withdrawn, telling everybody who relied on it.",
            ),
        ],
    )


@blueprint.route("/reviews/<number>/retraction-request", methods=["GET", "POST"])
def ask_retraction(number: str) -> Answer:
    """The lead asks to take the conclusion back."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "ask_retraction",
        title=("申请撤回结论", "Ask to retract the conclusion"),
        button=("提交申请", "Ask"),
        done=("已申请撤回结论，待主管部门同意。", "Asked; an authority has to agree."),
        perform=lambda review, sheet, version: conclusions.ask_retraction(
            review, sheet.text("reason"), by=actor, expected_version=version
        ),
        fields=[Field("reason", "text", ("理由", "Reason"))],
        is_ending=True,
    )


@blueprint.route("/reviews/<number>/retraction", methods=["GET", "POST"])
def retract(number: str) -> Answer:
    """The authority agrees."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "retract",
        title=("同意撤回结论", "Agree to the retraction"),
        button=("同意撤回", "Agree"),
        done=("结论已撤回，本轮审查恢复。", "Retracted; the round is open again."),
        perform=lambda review, sheet, version: conclusions.retract(review, by=actor, expected_version=version),
        rows=lambda review: [*_proposal(review), (choose("撤回理由", "Reason"), review.retraction or "—")],
        is_ending=True,
    )


def _proposal(review: TechnicalReview) -> list[tuple[str, str]]:
    return [
        (choose("审查结果", "Outcome"), review.outcome.label(language()) if review.outcome is not None else "—"),
        (choose("审查结论", "Conclusion"), review.summary or "—"),
        (
            choose("报告有效期至", "Valid until"),
            review.valid_until.isoformat() if review.valid_until else choose("长期", "No end"),
        ),
    ]
