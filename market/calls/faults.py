"""What can be wrong with a call, named after the incident."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class NotACompetition(Invalid):
    code = "not_a_competition"
    zh = "“{route}”不发布采购公告，请选择竞价、比选、抽取等方式"
    en = "“{route_en}” has no call for bids; choose a competition"


class AmountAboveRoute(Invalid):
    code = "amount_above_route"
    zh = "“{route}”适用于不超过 {most} 的采购，请选择其他方式"
    en = "“{route_en}” is for purchases of at most {most}; choose another route"


class FieldMissing(Invalid):
    code = "field_missing"
    zh = "请填写{what}"
    en = "Fill in: {what_en}"


class FieldTooLong(Invalid):
    code = "field_too_long"
    zh = "{what}不能超过 {most} 个字"
    en = "{what_en} has at most {most} characters"


class AmountInvalid(Invalid):
    code = "amount_invalid"
    zh = "{what}应大于 0"
    en = "{what_en} must be above 0"


class StepUnplayable(Invalid):
    code = "step_unplayable"
    zh = "最小降幅过大：{rounds} 轮之后报价将不大于 0，请填写小于 {most} 的金额"
    en = "The step is too large: after {rounds} rounds the price would not be above 0; stay below {most}"


class WeightsInvalid(Invalid):
    code = "weights_invalid"
    zh = "评分项的权重合计应为 {wanted}%，现为 {found}%"
    en = "The criteria's weights must come to {wanted}%, they come to {found}%"


class ClosingTooSoon(Invalid):
    code = "closing_too_soon"
    zh = "公告期不少于 {days} 个工作日，截止日期最早为 {earliest}"
    en = "The notice stands at least {days} working days; the earliest closing date is {earliest}"


class ClosingOnHoliday(Invalid):
    code = "closing_on_holiday"
    zh = "{what}应为工作日，{day} 不是工作日"
    en = "{what_en} must be a working day; {day} isn't one"


class AuctionBeforeClosing(Invalid):
    code = "auction_before_closing"
    zh = "竞价开始时间应晚于报价截止时间"
    en = "The rounds begin after the closing time"


class BudgetExceeded(Invalid):
    code = "budget_exceeded"
    zh = "最高限价 {ceiling} 超过预算金额 {budget}"
    en = "The ceiling {ceiling} exceeds the budget {budget}"


class CallIncomplete(Conflict):
    code = "call_incomplete"
    zh = "尚不能发布：{what}"
    en = "It can't be published yet: {what_en}"


class ApprovalNotNeeded(Conflict):
    code = "approval_not_needed"
    zh = "此采购未达到须第二人批准的金额"
    en = "This purchase is below the amount that needs a second person"


class SamePerson(Forbidden):
    code = "same_person"
    zh = "编制人与批准人不能是同一人"
    en = "Whoever wrote the call can't approve it"


class NothingChanged(Invalid):
    code = "nothing_changed"
    zh = "更正公告没有改变任何内容"
    en = "The correction changes nothing"


class CallClosed(Conflict):
    code = "call_closed"
    zh = "报价已于 {closing} 截止"
    en = "Bidding closed at {closing}"


class QuestionAnswered(Conflict):
    code = "question_answered"
    zh = "此问题已答复，如需补充请发布更正公告"
    en = "This question was answered; publish a correction to add to it"


class NotEligible(Conflict):
    code = "not_eligible"
    zh = "不能参加：{reason_zh}"
    en = "You can't take part: {reason_en}"


class OutageInvalid(Invalid):
    code = "outage_invalid"
    zh = "故障起止时间有误：结束应晚于开始，且不晚于现在"
    en = "The outage must end after it began, and not in the future"


class NotARequest(Conflict):
    code = "not_a_request"
    zh = "政府付费的服务须先由申请人提出申请"
    en = "A government-paid service begins with the applicant's request"


class NoAuthority(Invalid):
    code = "no_authority"
    zh = "请选择行业主管部门"
    en = "Choose the competent authority"


class RerunKnown(Conflict):
    code = "rerun_known"
    zh = "此次采购已重新组织，请办理新的采购需求"
    en = "This call is being run again already; go on with the new need"
