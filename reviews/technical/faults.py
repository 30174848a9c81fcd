"""What can be wrong with beginning a review."""

from __future__ import annotations

from kernel.errors import Conflict, Invalid


class KindMissing(Invalid):
    code = "review_kind_missing"
    zh = "没有适用于此服务事项的审查类别，请系统运营人员先设置"
    en = "No kind of review covers this service item; an operator has to set one up"


class NotAMember(Invalid):
    code = "not_a_member"
    zh = "所选人员不是审查机构的人员"
    en = "This person doesn't belong to the review body"


class DeliverableInReview(Conflict):
    code = "deliverable_in_review"
    zh = "该成果正在专家审查（{number}），审查结束后由审查结论决定认可或退回"
    en = "This deliverable is before a panel ({number}); its conclusion will accept or return it"


class NotWaiting(Conflict):
    code = "deliverable_not_waiting"
    zh = "只有待认可的成果可以提交专家审查"
    en = "Only a deliverable that waits for acceptance can be put before a panel"


class FieldInvalid(Invalid):
    code = "review_field_invalid"
    zh = "“{name}”应填写{wanted_zh}"
    en = "“{name_en}” has to be {wanted_en}"
