"""What kinds of review there are, and by which criteria of which day a document is judged (000 §8.1–8.2, B1).

A kind is data: guide, materials, figures to fill in, the panel it needs, its limits, who may commission it and who
signs. A criterion is never edited: a change ends the old version and adds a new one, and the application's date picks.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import trail
from kernel.db import Keyed, WordColumn
from kernel.errors import Conflict, Invalid, NotFound
from kernel.words import Worded

trail.name_acts(
    {
        "review_kind.added": ("新增技术审查类别", "Kind of review added"),
        "review_kind.revised": ("修订技术审查类别", "Kind of review revised"),
        "review_kind.retired": ("停用技术审查类别", "Kind of review retired"),
        "review_kind.restored": ("恢复技术审查类别", "Kind of review restored"),
        "criterion.added": ("新增审查标准", "Criterion added"),
        "criterion.replaced": ("修订审查标准", "Criterion replaced by a new version"),
        "criterion.ended": ("废止审查标准", "Criterion ended"),
    }
)


class Grade(Worded):
    """Whether a document may pass without meeting the criterion."""

    MUST = "must", "强制性", "Mandatory"
    ADVICE = "advice", "建议性", "Advisory"


class Commissioner(Worded):
    APPLICANT = "applicant", "申请人", "The applicant"
    AUTHORITY = "authority", "审批部门", "The approving authority"


class Signing(Worded):
    """Who signs the conclusion."""

    LEAD = "lead", "主审人", "The lead reviewer"
    SECOND = "second", "复核人", "The second signer"
    BODY_SEAL = "body_seal", "审查机构印章", "The review body's seal"


class JointKind(Worded):
    """The four joint reviews (000 §一(一))."""

    FEASIBILITY = "feasibility", "可行性研究及建设条件联合审查", "Feasibility and building conditions"
    DESIGN_SCHEME = "design_scheme", "设计方案联合审查", "Design scheme"
    CONSTRUCTION_DRAWINGS = "construction_drawings", "施工图联合审查", "Construction drawings"
    COMPLETION = "completion", "联合验收技术审查", "Completion"


class FieldKind(Worded):
    NUMBER = "number", "数字", "Number"
    TEXT = "text", "文字", "Text"
    DATE = "date", "日期", "Date"


class KindUnknown(NotFound):
    code = "review_kind_unknown"
    zh = "没有技术审查类别“{value}”"
    en = "There is no kind of review “{value}”"


class CriterionUnknown(NotFound):
    code = "criterion_unknown"
    zh = "没有审查标准“{value}”"
    en = "There is no criterion “{value}”"


class KindInvalid(Invalid):
    code = "review_kind_invalid"
    zh = "“{name}”有误：{why}"
    en = "“{name_en}” is wrong: {why_en}"


class KindTaken(Conflict):
    code = "review_kind_taken"
    zh = "代码“{value}”已用于“{name}”"
    en = "The code “{value}” is taken by “{name}”"


class CriterionTaken(Conflict):
    code = "criterion_taken"
    zh = "代码“{value}”的审查标准已有，请修订原标准"
    en = "There is a criterion “{value}” already; replace it instead"


class CriterionInvalid(Invalid):
    code = "criterion_invalid"
    zh = "“{name}”有误：{why}"
    en = "“{name_en}” is wrong: {why_en}"


class CriterionBackdated(Invalid):
    code = "criterion_backdated"
    zh = "生效日期不能早于 {least}：此前受理的项目适用原标准"
    en = "It can't take effect before {least}: applications until then keep the criteria of their day"


class CriterionEnded(Conflict):
    code = "criterion_ended"
    zh = "该审查标准已于 {until} 废止或者修订"
    en = "This criterion ended or was replaced on {until}"


class KindRetired(Conflict):
    code = "review_kind_retired"
    zh = "该技术审查类别已停用"
    en = "This kind of review is retired"


class KindInUse(Conflict):
    code = "review_kind_active"
    zh = "该技术审查类别正在使用，无需恢复"
    en = "This kind of review is in use already"


class ReviewKind(Keyed):
    """One kind of review.

    ``materials``: [{code, zh, en, required}]; ``fields``: [{code, zh, en, unit, kind}] (:class:`FieldKind` values);
    ``specialities``: [{code, zh, en, count}], the panel it needs; ``departments``: [{zh, en}], asked in a joint review.
    ``commissioned_by`` and ``signatures`` hold values of :class:`Commissioner` and :class:`Signing`, ``item_codes`` the
    service items it serves. ``*_days`` are working days: the whole review, one round, the applicant's answer, a
    department's opinion. ``joint_kind`` is None for a review without joint opinions.
    """

    __tablename__ = "review_kinds"
    code: Mapped[str] = mapped_column(unique=True)
    zh: Mapped[str]
    en: Mapped[str]
    clause: Mapped[str]
    guide_zh: Mapped[str]
    guide_en: Mapped[str]
    materials: Mapped[list[Any]]
    fields: Mapped[list[Any]]
    specialities: Mapped[list[Any]]
    reviewers: Mapped[int]
    round_limit: Mapped[int]
    promised_days: Mapped[int]
    round_days: Mapped[int]
    response_days: Mapped[int]
    joint_days: Mapped[int]
    commissioned_by: Mapped[list[str]]
    signatures: Mapped[list[str]]
    item_codes: Mapped[list[str]]
    departments: Mapped[list[Any]]
    joint_kind: Mapped[JointKind | None] = mapped_column(WordColumn(JointKind))
    title_of_report: Mapped[str]
    title_of_report_en: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    entered_at: Mapped[datetime]

    @property
    def subject(self) -> str:
        return f"review_kind:{self.code}"

    def label(self, language: str = "zh") -> str:
        return self.en if language == "en" else self.zh

    def may_be_commissioned_by(self, side: Commissioner) -> bool:
        return side.value in self.commissioned_by

    @property
    def required_materials(self) -> list[str]:
        """Codes of what must be handed in."""
        return [one["code"] for one in self.materials if one["required"]]


class Criterion(Keyed):
    """One version of a criterion, in force from ``effective_from`` up to and including ``effective_until``.

    ``zh``, ``en``: what is required; ``clause``: standard and article; ``speciality``: code of whom it concerns, '' for
    every reviewer; ``check``: the machine's rule (``reviews.kinds.rules``) or None.
    """

    __tablename__ = "review_criteria"
    kind_id: Mapped[int] = mapped_column(ForeignKey("review_kinds.id"))
    code: Mapped[str]
    zh: Mapped[str]
    en: Mapped[str]
    clause: Mapped[str]
    grade: Mapped[Grade] = mapped_column(WordColumn(Grade))
    speciality: Mapped[str] = mapped_column(default="")
    effective_from: Mapped[date]
    effective_until: Mapped[date | None]
    check: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    entered_at: Mapped[datetime]
    kind: Mapped[ReviewKind] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("kind_id", "code", "effective_from"),
        Index("ix_review_criteria_kind", "kind_id", "effective_from"),
    )

    def label(self, language: str = "zh") -> str:
        return self.en if language == "en" else self.zh

    def is_in_force(self, on: date) -> bool:
        return self.effective_from <= on and (self.effective_until is None or on <= self.effective_until)
