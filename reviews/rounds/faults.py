"""What can be wrong in a round."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid, NotFound


class RoundOver(Conflict):
    code = "round_over"
    zh = "第 {number} 轮审查已结束，当前为第 {current} 轮，请到当前轮次办理"
    en = "Round {number} is over; the present one is round {current}"


class NoRound(NotFound):
    code = "no_round"
    zh = "没有第 {number} 轮审查"
    en = "There is no round {number}"


class NothingToReview(Conflict):
    code = "nothing_to_review"
    zh = "没有可供审查的文件，请先请委托人补齐材料"
    en = "There is no document to review; ask the client for the materials first"


class DeclareFirst(Forbidden):
    code = "declare_first"
    zh = "请先申报利害关系，再查阅文件、填写意见"
    en = "Declare first; files and opinions open after that"


class PlaceInvalid(Invalid):
    code = "place_invalid"
    zh = "“{document}”没有第 {page} 页"
    en = "“{document_en}” has no page {page}"


class OpinionIncomplete(Invalid):
    code = "opinion_incomplete"
    zh = "请填写{what_zh}"
    en = "{what_en} is missing"


class NotYours(Forbidden):
    code = "opinion_not_yours"
    zh = "只有提出人可以修改自己的意见"
    en = "Only its author can change an opinion"


class Submitted(Conflict):
    code = "opinions_submitted"
    zh = "本轮意见已提交，不能再修改"
    en = "Your opinions of this round are in and stand as they are"


class NothingSubmitted(Invalid):
    code = "nothing_submitted"
    zh = "没有填写意见。如无意见，请选择“无意见”提交"
    en = "You have written nothing; choose “no comment” if you have none"


class NotNothing(Conflict):
    code = "opinions_drafted"
    zh = "您已填写意见，不能按“无意见”提交；请先提交意见或者删除草稿"
    en = "You have drafted opinions; submit or delete them first"


class RulingMissing(Invalid):
    code = "ruling_missing"
    zh = "请先逐条处理您上一轮提出的意见：{numbers}"
    en = "First rule on your opinions of earlier rounds: {numbers}"


class NotAllIn(Conflict):
    code = "not_all_in"
    zh = "尚有 {count} 方未反馈意见：{names}"
    en = "{count} have not answered yet: {names}"


class NoMust(Conflict):
    code = "no_must"
    zh = "没有未落实的强制性意见，无须退回申请人，请直接拟定审查结论"
    en = "No mandatory opinion is open; propose the conclusion instead"


class LastRound(Conflict):
    code = "last_round"
    zh = "本轮是第 {limit} 轮，已到规定轮次，只能作出审查合格或者不合格的结论"
    en = "Round {limit} is the last one allowed: the review can only be passed or failed now"


class MergeInvalid(Invalid):
    code = "merge_invalid"
    zh = "合并的意见有误：只能合并本轮已提交、尚未合并的不同意见"
    en = "These opinions can't be merged: they must be different ones of this round, submitted and not merged yet"


class AnswersMissing(Invalid):
    code = "answers_missing"
    zh = "请逐条答复强制性意见：{numbers}"
    en = "Answer every mandatory opinion: {numbers}"


class AnswerMissing(Invalid):
    code = "answer_missing"
    zh = "请写明如何修改，或者不修改的理由"
    en = "Say how it was mended, or why it was not"


class ChangeMissing(Invalid):
    code = "change_missing"
    zh = "有意见答复为“已修改”，请上传修改后的文件"
    en = "An answer says “corrected”; upload the corrected document"


class FileOfRoundUnknown(Invalid):
    code = "round_file_unknown"
    zh = "本次审查没有文件“{name}”"
    en = "This review has no document “{name}”"


class NotSilent(Conflict):
    code = "not_silent"
    zh = "{name} 的反馈时限未到（{due} 止），不能按逾期未反馈处理"
    en = "{name} has until {due}; it can't be closed as unanswered before"


class RoundBegun(Conflict):
    code = "round_begun"
    zh = "本轮已有人提交意见，不能撤销"
    en = "Somebody's opinions are in; the round can't be cancelled"


class LateOnly(Conflict):
    code = "late_only"
    zh = "时限内的反馈请在“提交意见”办理；此处仅登记逾期反馈"
    en = "This is for answers after the time limit only"
