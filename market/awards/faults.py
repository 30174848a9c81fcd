"""What can be wrong with an evaluation or an award, named after the incident."""

from __future__ import annotations

from kernel.errors import Conflict, Invalid, NotFound


class NotOpened(Conflict):
    code = "not_opened"
    zh = "尚未开标，不能评审"
    en = "The bids are not opened yet"


class NotRanked(Conflict):
    code = "not_ranked"
    zh = "尚未排序：{why}"
    en = "There is no ranking yet: {why_en}"


class RankAgain(Conflict):
    code = "rank_again"
    zh = "原中选结果已撤销，请先重新评审排序"
    en = "The award was overturned; rank the bids again first"


class NotInRanking(Conflict):
    code = "not_in_ranking"
    zh = "“{agency}”不在可选范围：{why}"
    en = "“{agency}” can't be chosen: {why_en}"


class TieUnresolved(Conflict):
    code = "tie_unresolved"
    zh = "有 {count} 家并列第 {place} 位，须先按公布的规则抽取决定先后"
    en = "{count} bids share place {place}; the draw decides first"


class JustificationOpen(Conflict):
    code = "justification_open"
    zh = "“{agency}”的低价说明尚待处理，处理后才能确定中选机构"
    en = "The low price of “{agency}” is still to be settled; decide on it first"


class AlreadyAwarded(Conflict):
    code = "already_awarded"
    zh = "本次采购已确定中选机构，不能再次确定"
    en = "There is an award already; a second one can't be made"


class NotByRule(Conflict):
    code = "not_by_rule"
    zh = "按本次采购的规则，应由采购人确定中选机构"
    en = "By this call's rule the buyer chooses"


class StillChoosable(Conflict):
    code = "still_choosable"
    zh = "排序中还有可选的机构，不能流标"
    en = "There are still bids to choose from; the call has not failed"


class NoComparison(Conflict):
    code = "no_comparison"
    zh = "本次采购不评分"
    en = "This call is not scored"


class ScorersTooFew(Invalid):
    code = "scorers_too_few"
    zh = "评审人员不少于 {least} 人，现为 {found} 人"
    en = "At least {least} scorers are needed, there are {found}"


class ScorerUnfit(Invalid):
    code = "scorer_unfit"
    zh = "{person}不能担任评审人员：{why}"
    en = "{person} can't score: {why_en}"


class ScoringBegun(Conflict):
    code = "scoring_begun"
    zh = "{person}已提交评分，不能撤换"
    en = "{person} has submitted scores already and can't be replaced"


class PointsInvalid(Invalid):
    code = "points_invalid"
    zh = "“{agency}”的“{criterion}”应填写 0 至 100 的整数"
    en = "“{criterion}” of “{agency}”: enter a whole number from 0 to 100"


class ScoresSubmitted(Conflict):
    code = "scores_submitted"
    zh = "评分已提交，不能更改"
    en = "The scores were submitted and can't be changed"


class NotAScorer(NotFound):
    code = "not_a_scorer"
    zh = "您不是本次采购的评审人员"
    en = "You are not a scorer of this call"


class JustificationMissing(Invalid):
    code = "justification_missing"
    zh = "请说明报价的构成和理由"
    en = "Explain how the price is made up"


class JustificationSettled(Conflict):
    code = "justification_settled"
    zh = "此项低价说明已处理完毕"
    en = "This justification is settled already"


class JustificationAwaited(Conflict):
    code = "justification_awaited"
    zh = "机构尚未说明，可在 {until} 之后不经说明处理"
    en = "The agency has not answered; without an answer you can decide after {until}"
