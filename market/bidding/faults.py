"""What can be wrong with a bid and its opening, named after the incident."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class NotYourBid(Forbidden):
    code = "not_your_bid"
    zh = "只有本机构人员可以办理本机构的报价"
    en = "Only the agency's own people can do this"


class BidReplayed(Conflict):
    code = "bid_replayed"
    zh = "这份密文已被提交过，请重新封装后再提交"
    en = "This sealed bid was handed in before; seal again and hand in that"


class BidNotStanding(Conflict):
    code = "bid_not_standing"
    zh = "这份报价已被替换或撤回，不能办理此操作"
    en = "This bid was replaced or withdrawn"


class NothingToConfirm(Conflict):
    code = "nothing_to_confirm"
    zh = "这份报价对现行公告有效，无需确认"
    en = "This bid stands for the notice in force; there is nothing to confirm"


class BidsOpened(Conflict):
    code = "bids_opened"
    zh = "本次采购已开标"
    en = "The bids have been opened"


class NotOpenedYet(Conflict):
    code = "not_opened_yet"
    zh = "本次采购尚未开标"
    en = "The bids haven't been opened"


class KeyNotNeeded(Conflict):
    code = "key_not_needed"
    zh = "只有开标时无法解密的报价才需要出示密钥，且只能出示一次"
    en = "A key is produced once, and only for a bid that could not be opened"


class TooManyWorkingDays(Invalid):
    code = "too_many_working_days"
    zh = "工作日数不能超过公告规定的 {most} 个"
    en = "The notice allows {most} working days at most"


class PriceNotAllowed(Invalid):
    code = "price_not_allowed"
    zh = "报价不符合公告：{why}"
    en = "The price does not fit the call: {why_en}"
