"""What can be wrong with a price, with the rules of an auction in rounds, or with its record.

``field`` is the path of the faulty member as its caller knows it, e.g. ``[1].turns[0].price``.
"""

from __future__ import annotations

from kernel.errors import Invalid


class RoundsFault(Invalid):
    """Base of every incident of descending rounds."""

    code = "rounds_fault"
    zh = "多轮竞价信息有误"
    en = "Something is wrong with the rounds"


class PriceRefused(RoundsFault):
    """Base of what keeps a price out of the auction; the price before it stands. Its ``code`` goes on record."""

    code = "price_refused"
    zh = "报价未被接受"
    en = "The price was not accepted"


class StepNotMet(PriceRefused):
    code = "step_not_met"
    zh = "报价降幅不足：本次报价不得高于 {most}"
    en = "The price must come down by at least one step: to {most} or less"


class PriceNotPositive(PriceRefused):
    code = "price_not_positive"
    zh = "报价必须大于零"
    en = "The price must be above zero"


class NotYourTurn(PriceRefused):
    code = "not_your_turn"
    zh = "现在不是您的报价时段"
    en = "It isn't your turn"


class StepMissing(RoundsFault):
    code = "step_missing"
    zh = "降价幅度必须大于零"
    en = "The step must be above zero"


class StepTooLarge(RoundsFault):
    code = "step_too_large"
    zh = "降价幅度过大，按最高限价无法完成 {rounds} 轮报价：最大可设为 {most}"
    en = "The step is too large to be played in {rounds} rounds under this ceiling: at most {most}"


class NoStepPossible(RoundsFault):
    code = "no_step_possible"
    zh = "最高限价与最低价之间没有降价余地，无法进行 {rounds} 轮报价"
    en = "There is no room between the ceiling and the floor for {rounds} rounds"


class OutOfBounds(RoundsFault):
    code = "out_of_bounds"
    zh = "应填写 {least} 至 {most} 之间的整数"
    en = "Wanted: a whole number from {least} to {most}"


class NegativeStep(RoundsFault):
    code = "negative_step"
    zh = "降价幅度不能为负数"
    en = "The step cannot be negative"


class NoBidders(RoundsFault):
    code = "no_bidders"
    zh = "竞价至少需要一名竞价人"
    en = "An auction needs at least one bidder"


class TooManyBidders(RoundsFault):
    code = "too_many_bidders"
    zh = "竞价人不得超过 {most} 名"
    en = "At most {most} bidders"


class BidderTwice(RoundsFault):
    code = "bidder_twice"
    zh = "竞价人“{bidder}”重复出现"
    en = "The bidder “{bidder}” is listed twice"


class BidderNameless(RoundsFault):
    code = "bidder_nameless"
    zh = "竞价人标识不能为空"
    en = "A bidder's id cannot be empty"


class OpeningPriceNotPositive(RoundsFault):
    code = "opening_price_not_positive"
    zh = "竞价人的起始报价必须大于零"
    en = "A bidder's opening price must be above zero"


class BadPrice(RoundsFault):
    code = "bad_price"
    zh = '金额“{value}”无法识别，应为带引号的数字，最多两位小数，如 "109.00"'
    en = 'The amount “{value}” cannot be read; write it as text with at most two decimals, such as "109.00"'


class BadInstant(RoundsFault):
    code = "bad_instant"
    zh = "时间“{value}”无效，格式如 2026-01-05T10:00:00+08:00"
    en = "“{value}” is not an instant written like 2026-01-05T10:00:00+08:00"


class InstantWithoutZone(RoundsFault):
    code = "naive_instant"
    zh = "时间缺少时区：{value}"
    en = "The instant has no time zone: {value}"


class EntryUnclear(RoundsFault):
    code = "entry_unclear"
    zh = "每条报价记录应当写明报价（price）或者撤回（withdraw: true），二者只能有一项"
    en = "An entry holds either a price or withdraw: true, not both and not neither"


class NotJson(RoundsFault):
    code = "not_json"
    zh = "输入不是有效的 JSON（第 {line} 行第 {column} 列）"
    en = "The input is not valid JSON (line {line}, column {column})"


class WrongShape(RoundsFault):
    code = "wrong_shape"
    zh = "此处的类型有误，应为：{wanted}"
    en = "Wrong kind of value; wanted: {wanted}"


class MemberMissing(RoundsFault):
    code = "member_missing"
    zh = "缺少必填项 {name}"
    en = "The member {name} is missing"


class MemberUnknown(RoundsFault):
    code = "member_unknown"
    zh = "多出无法识别的项 {name}，可用：{known}"
    en = "Unknown member {name}; known: {known}"


class MemberTwice(RoundsFault):
    code = "member_twice"
    zh = "{name} 在同一处写了两次"
    en = "The member {name} is written twice"
