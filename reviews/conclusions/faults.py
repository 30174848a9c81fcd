"""What can be wrong with a conclusion."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class MustsOpen(Conflict):
    code = "musts_open"
    zh = "尚有 {count} 条强制性意见未落实（{numbers}），不能作出审查合格的结论"
    en = "{count} mandatory opinions are open ({numbers}); the review can't be passed"


class NothingFails(Conflict):
    code = "nothing_fails"
    zh = "没有未落实的强制性意见，不能作出审查不合格的结论"
    en = "No mandatory opinion is open; the review can't be failed"


class SummaryMissing(Invalid):
    code = "summary_missing"
    zh = "请写明审查结论"
    en = "State the conclusion"


class OutcomeMissing(Invalid):
    code = "outcome_missing"
    zh = "请选择审查合格或者审查不合格"
    en = "Choose passed or not passed"


class NotProposed(Conflict):
    code = "not_proposed"
    zh = "审查负责人尚未拟定结论"
    en = "The lead hasn't proposed a conclusion yet"


class StillInTime(Conflict):
    code = "response_in_time"
    zh = "申请人的答复时限未到，不能因逾期未答复作出结论"
    en = "The applicant still has time to answer; the review can't be closed for want of it"


class OnlyFailed(Conflict):
    code = "only_failed"
    zh = "申请人逾期未答复，只能作出审查不合格的结论"
    en = "Without the applicant's answer the review can only be failed"


class NotSigned(Conflict):
    code = "not_signed"
    zh = "审查负责人尚未签署审查报告"
    en = "The lead hasn't signed the report yet"


class NotSecond(Forbidden):
    """Whoever publishes is named in the report as the one who confirmed it."""

    code = "not_second_signer"
    zh = "报告由复核审查结论的人员 {name} 签发"
    en = "The report is published by {name}, who confirmed the conclusion"


class SignerConflicted(Forbidden):
    code = "signer_conflicted"
    zh = "您在本次审查中尚未申报或者有利害关系，不能复核、签发"
    en = "You haven't declared on this review, or have a conflict; you can neither confirm nor publish it"


class SignedAlready(Conflict):
    code = "signed_already"
    zh = "您已签署审查报告"
    en = "You have signed the report already"


class ReportChanged(Conflict):
    code = "report_changed"
    zh = "报告文件与作出结论时登记的内容不一致，不能签发"
    en = "The report isn't the one whose fingerprint was recorded with the conclusion; it can't be published"


class RetractionMissing(Conflict):
    code = "retraction_not_asked"
    zh = "审查负责人尚未申请撤回结论"
    en = "The lead hasn't asked for a retraction"
