"""Experts on the register, where they worked, and what they were paid (B7).

Where somebody worked and until when is history: rows are added, never changed, because a review's independence is
judged by them years later.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers, trail, workflow
from kernel.access import Role
from kernel.accounts import Organisation, Person
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.errors import Conflict, Invalid
from kernel.trail import Actor
from kernel.words import Worded

NUMBER = numbers.series("ZK")

trail.name_acts(
    {
        "expert.registered": ("专家入库", "Expert registered"),
        "expert.renewed": ("专家续聘", "Expert's term renewed"),
        "expert.revised": ("更正专家信息", "Expert's entry revised"),
        "expert.suspended": ("暂停专家资格", "Expert suspended"),
        "expert.reinstated": ("恢复专家资格", "Expert reinstated"),
        "expert.removed": ("专家出库", "Expert removed from the register"),
        "expert.employed": ("登记专家任职", "Expert's employment recorded"),
        "expert.fee_recorded": ("登记专家评审费", "Expert's fee recorded"),
        "expert.fee_paid": ("支付专家评审费", "Expert's fee paid"),
        "experts.imported": ("导入专家名册", "Experts imported"),
    }
)


class ExpertStatus(Worded):
    ACTIVE = "active", "在库", "On the register"
    SUSPENDED = "suspended", "暂停", "Suspended"
    REMOVED = "removed", "出库", "Removed"


class ExpertDetailMissing(Invalid):
    code = "expert_detail_missing"
    zh = "请填写{what_zh}"
    en = "Fill in: {what_en}"


class SpecialityUnknown(Invalid):
    code = "expert_speciality_unknown"
    zh = "没有审查专业“{value}”"
    en = "There is no review speciality “{value}”"


class TermReversed(Invalid):
    code = "expert_term_reversed"
    zh = "聘期止不能早于聘期起"
    en = "The term ends before it begins"


class TermNotLonger(Invalid):
    code = "expert_term_not_longer"
    zh = "续聘后的聘期止应晚于原聘期止 {until}"
    en = "A renewed term ends after the present one, {until}"


class LoadOutOfRange(Invalid):
    code = "expert_load_out_of_range"
    zh = "同时在办上限应为 1 至 50 的整数"
    en = "The most reviews at a time is a whole number from 1 to 50"


class AccountTaken(Conflict):
    code = "expert_account_taken"
    zh = "该账号已登记为专家“{name}”（{number}）"
    en = "The account is registered already as expert “{name}” ({number})"


class AccountNotExpert(Invalid):
    code = "expert_account_without_role"
    zh = "账号“{login}”不存在或没有专家角色"
    en = "The account “{login}” doesn't exist or isn't an expert's"


class EmploymentReversed(Invalid):
    code = "expert_employment_reversed"
    zh = "任职止不能早于任职起"
    en = "The employment ends before it begins"


class EmploymentInFuture(Invalid):
    code = "expert_employment_in_future"
    zh = "任职日期不能晚于今天"
    en = "An employment can't lie in the future"


class FeeNotPositive(Invalid):
    code = "expert_fee_not_positive"
    zh = "评审费应大于零"
    en = "A fee is more than nothing"


class FeePaid(Conflict):
    code = "expert_fee_already_paid"
    zh = "该笔评审费已登记支付"
    en = "This fee is recorded as paid already"


class Expert(Keyed):
    """Somebody who may be drawn or chosen for a panel.

    ``specialities``: codes of :func:`reviews.kinds.specialities`; ``certificates``: numbers of professional
    certificates, by which authorship is found; ``region``: where the expert may serve; ``most_load``: reviews at a time.
    """

    __tablename__ = "experts"
    number: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"), unique=True)
    name: Mapped[str]
    specialities: Mapped[list[str]]
    title: Mapped[str]
    certificates: Mapped[list[str]]
    employer: Mapped[str]
    employer_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    region: Mapped[str]
    term_from: Mapped[date]
    term_until: Mapped[date]
    status: Mapped[ExpertStatus] = mapped_column(WordColumn(ExpertStatus))
    version: Mapped[int] = mapped_column(default=1)
    reason: Mapped[str] = mapped_column(default="")
    most_load: Mapped[int]
    registered_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    person: Mapped[Person | None] = relationship(lazy="joined")
    __table_args__ = (Index("ix_experts_status", "status", "id"),)

    @property
    def subject(self) -> str:
        return f"expert:{self.number}"

    def is_serving(self, on: date) -> bool:
        """On the register, with a term that covers the day."""
        return self.status is ExpertStatus.ACTIVE and self.term_from <= on <= self.term_until


class Employment(Keyed):
    """Where an expert worked; ``until`` None: still there when it was recorded. The latest row of a place counts."""

    __tablename__ = "expert_employments"
    expert_id: Mapped[int] = mapped_column(ForeignKey("experts.id"))
    organisation: Mapped[str]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    since: Mapped[date | None]
    until: Mapped[date | None]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    of_organisation: Mapped[Organisation | None] = relationship()
    __table_args__ = (Index("ix_expert_employments_expert", "expert_id", "id"), HISTORY)


class FeeRecord(Keyed):
    """What an expert is paid for a review, in fen; ``review`` is the review's subject."""

    __tablename__ = "expert_fees"
    expert_id: Mapped[int] = mapped_column(ForeignKey("experts.id"))
    review: Mapped[str]
    fen: Mapped[int]
    at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    expert: Mapped[Expert] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_expert_fees_expert", "expert_id", "id"),
        Index("ix_expert_fees_unpaid", "expert_id", postgresql_where=text("paid_at IS NULL")),
    )


def by_operator(expert: Expert, actor: Actor) -> bool:
    return actor.has(Role.OPERATOR.value, "system")


STEPS: workflow.Steps = {
    "renew": workflow.Step(("active", "suspended"), None, "expert.renewed", by_operator),
    "revise": workflow.Step(("active", "suspended"), None, "expert.revised", by_operator),
    "suspend": workflow.Step(("active",), "suspended", "expert.suspended", by_operator),
    "reinstate": workflow.Step(("suspended",), "active", "expert.reinstated", by_operator),
    "remove": workflow.Step(("active", "suspended"), "removed", "expert.removed", by_operator),
}
