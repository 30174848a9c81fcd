"""The life of a technical review: its acts, who may do them, and the one table of steps (life-cycles §3).

Where a row says "a reviewer", the verb looks up the seat: who declared, who was replaced and whose turn it is are the
panel's and the round's knowledge, not this table's.
"""

from __future__ import annotations

from kernel import timekeeping, trail, workflow
from kernel.access import Role
from kernel.trail import Actor
from market.commissions import Payer
from reviews.technical.records import TechnicalReview

trail.name_acts(
    {
        "review.begun": ("审查开始", "Review begun"),
        "review.handed_over": ("更换审查负责人", "Lead reviewer changed"),
        "review.fields_stated": ("填报审查指标", "Figures stated"),
        "review.assigned": ("确定审查人员", "Reviewer assigned"),
        "review.experts_drawn": ("抽取审查专家", "Experts drawn"),
        "review.declared": ("声明无利害关系", "No conflict declared"),
        "review.conflict_declared": ("申报利害关系", "Conflict declared"),
        "review.waived": ("准予继续参加审查", "Conflict waived"),
        "review.replaced": ("更换审查人员", "Reviewer replaced"),
        "review.round_opened": ("开始本轮审查", "Round opened"),
        "review.round_cancelled": ("撤销本轮审查", "Round cancelled"),
        "review.opinions_submitted": ("提交审查意见", "Opinions submitted"),
        "review.no_comment": ("反馈无意见", "No comment"),
        "review.all_in": ("本轮意见已收齐", "All opinions are in"),
        "review.department_urged": ("催办部门意见", "Department urged"),
        "review.department_silent": ("逾期未反馈", "No answer in time"),
        "review.answered_late": ("逾期后反馈", "Answered late"),
        "review.issued": ("发出审查意见", "Opinions issued"),
        "review.answered": ("答复审查意见", "Opinion answered"),
        "review.resubmitted": ("重新报审", "Resubmitted"),
        "review.opinion_closed": ("意见已落实", "Opinion closed"),
        "review.opinion_maintained": ("维持意见", "Opinion maintained"),
        "review.conclusion_proposed": ("拟定审查结论", "Conclusion proposed"),
        "review.concluded": ("审查结束", "Review concluded"),
        "review.retraction_asked": ("申请撤回结论", "Retraction asked for"),
        "review.retracted": ("撤回结论", "Conclusion retracted"),
        "review.signed": ("签署审查报告", "Report signed"),
        "review.published": ("签发审查报告", "Report published"),
        "review.ended": ("随服务终止", "Ended with the service"),
    }
)
timekeeping.declare("review", "技术审查", "Technical review")

#: Whose people may review for a body.
STAFF = (Role.AGENCY.value, Role.CENTRE.value, Role.AUTHORITY.value, Role.APPROVER.value)
#: Who may speak for a department in a joint review.
DEPARTMENT = (Role.AUTHORITY.value, Role.APPROVER.value, Role.REGULATOR.value, Role.LEAD.value, Role.CENTRE.value)


def by_body(review: TechnicalReview, actor: Actor) -> bool:
    return actor.organisation_id == review.body_id and actor.has(*STAFF)


def by_lead(review: TechnicalReview, actor: Actor) -> bool:
    return by_body(review, actor) and actor.person_id == review.lead_id


def by_second(review: TechnicalReview, actor: Actor) -> bool:
    """Anybody of the body but the lead: four eyes."""
    return by_body(review, actor) and actor.person_id != review.lead_id


def by_applicant(review: TechnicalReview, actor: Actor) -> bool:
    return actor.organisation_id == review.applicant_id and actor.has(
        Role.APPLICANT.value, Role.AUTHORITY.value, Role.ASSISTANT.value
    )


def by_reviewer(review: TechnicalReview, actor: Actor) -> bool:
    """Whoever may hold a seat; that this one does, the panel looks up."""
    return actor.has(Role.EXPERT.value, *STAFF, *DEPARTMENT)


def by_authority(review: TechnicalReview, actor: Actor) -> bool:
    """The authority that agrees to a retraction: the one that pays, or a competent one; of an authority's own panel a
    second person there."""
    if review.commission is None:
        return by_second(review, actor)
    if review.commission.payer is Payer.GOVERNMENT:
        return actor.organisation_id == review.commission.client_id and actor.has(Role.AUTHORITY.value)
    return actor.has(Role.AUTHORITY.value) and actor.organisation_id != review.body_id


def by_system(review: TechnicalReview, actor: Actor) -> bool:
    return actor.has("system", "clock") or by_applicant(review, actor) or by_body(review, actor)


#: The whole life, one row a move.
STEPS: workflow.Steps = {
    "hand_over": workflow.Step(("assigning", "reviewing", "with_applicant"), None, "review.handed_over", by_lead),
    "state_fields": workflow.Step(("assigning", "with_applicant"), None, "review.fields_stated", by_applicant),
    "assign": workflow.Step(("assigning", "reviewing"), None, "review.assigned", by_lead),
    "draw": workflow.Step(("assigning", "reviewing"), None, "review.experts_drawn", by_lead),
    "declare": workflow.Step(("assigning", "reviewing", "with_applicant"), None, "review.declared", by_reviewer),
    "declare_conflict": workflow.Step(
        ("assigning", "reviewing", "with_applicant"), None, "review.conflict_declared", by_reviewer
    ),
    "waive": workflow.Step(("assigning", "reviewing", "with_applicant"), None, "review.waived", by_lead),
    "replace": workflow.Step(("assigning", "reviewing", "with_applicant"), None, "review.replaced", by_lead),
    "open_round": workflow.Step(("assigning",), "reviewing", "review.round_opened", by_lead),
    "submit": workflow.Step(("reviewing",), None, "review.opinions_submitted", by_reviewer),
    "no_comment": workflow.Step(("reviewing",), None, "review.no_comment", by_reviewer),
    "close_silent": workflow.Step(("reviewing",), None, "review.department_silent", by_lead),
    "cancel_round": workflow.Step(("reviewing",), "assigning", "review.round_cancelled", by_lead),
    "issue": workflow.Step(("reviewing",), "with_applicant", "review.issued", by_lead),
    "answer": workflow.Step(("with_applicant",), None, "review.answered", by_applicant),
    "resubmit": workflow.Step(("with_applicant",), "reviewing", "review.resubmitted", by_applicant),
    "close_opinion": workflow.Step(("reviewing",), None, "review.opinion_closed", by_reviewer),
    "maintain_opinion": workflow.Step(("reviewing",), None, "review.opinion_maintained", by_reviewer),
    "propose": workflow.Step(("reviewing", "with_applicant"), None, "review.conclusion_proposed", by_lead),
    "conclude": workflow.Step(("reviewing", "with_applicant"), "concluded", "review.concluded", by_second),
    "ask_retraction": workflow.Step(("concluded",), None, "review.retraction_asked", by_lead),
    "retract": workflow.Step(("concluded",), "reviewing", "review.retracted", by_authority),
    "sign": workflow.Step(("concluded",), None, "review.signed", by_body),
    "publish": workflow.Step(("concluded",), "finished", "review.published", by_second),
    "end": workflow.Step(("assigning", "reviewing", "with_applicant", "concluded"), "ended", "review.ended", by_system),
}


def moves(review: TechnicalReview, by: Actor) -> list[str]:
    """The actions that the table opens to ``by`` now."""
    return workflow.moves(review, STEPS, by)
