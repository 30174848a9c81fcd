"""What can be wrong with a panel."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class NoSeat(Forbidden):
    code = "no_seat"
    zh = "您不是本次审查的审查人员"
    en = "You have no seat on this review"


class SeatTaken(Conflict):
    code = "seat_taken"
    zh = "{name} 已在审查组中"
    en = "{name} is on the panel already"


class ConflictFound(Invalid):
    code = "conflict_found"
    zh = "{name} 应当回避：{reason_zh}"
    en = "{name} must recuse themselves: {reason_en}"


class DeclarationMissing(Invalid):
    code = "declaration_missing"
    zh = "请选择“无利害关系”，或逐项勾选并说明利害关系"
    en = "Choose “no conflict”, or tick and explain what there is"


class NotWaivable(Conflict):
    code = "not_waivable"
    zh = "亲属、任职、持股、参与编制的利害关系不能准予继续参加，请更换审查人员"
    en = "Family, employment, ownership and authorship can't be waived; replace the reviewer"


class OwnConflict(Forbidden):
    code = "own_conflict"
    zh = "不能处理本人申报的利害关系，请由审查机构其他人员担任负责人后处理"
    en = "Nobody decides on their own conflict; hand the lead over first"


class TooFewExperts(Invalid):
    code = "too_few_experts"
    zh = "符合条件且无须回避的专家只有 {found} 人，不足 {wanted} 人"
    en = "Only {found} experts qualify without a conflict; {wanted} are wanted"


class TooFewSeats(Conflict):
    code = "too_few_seats"
    zh = "审查组尚未组建完成：{reason_zh}"
    en = "The panel isn't complete: {reason_en}"
