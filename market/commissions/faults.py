"""What can be wrong with a commission's move, in the words of its parties."""

from __future__ import annotations

from kernel.errors import Conflict, Invalid


class MaterialMissing(Invalid):
    code = "material_missing"
    zh = "缺少材料：{name}"
    en = "Missing: {name}"


class NotYourProject(Invalid):
    code = "not_your_project"
    zh = "项目 {value} 不是贵单位的项目，不能为其委托服务"
    en = "{value} is not your organisation's project"


class ChosenOtherwise(Conflict):
    code = "chosen_otherwise"
    zh = "此件的采购方式为“{route}”，不能从菜单直接选择机构"
    en = "The agency of this purchase is found by “{route_en}”, not from the menu"


class CallStands(Conflict):
    code = "call_stands"
    zh = "采购公告已发布，请在采购公告页面终止采购"
    en = "A call for bids was published; withdraw it on its own page"


class PointsMissing(Invalid):
    code = "points_missing"
    zh = "请逐条写明需要补齐的内容"
    en = "List what is needed, point by point"


class ReasonMissing(Invalid):
    code = "reason_missing"
    zh = "请写明理由"
    en = "Give the reason"


class InquiryOpen(Conflict):
    code = "inquiry_open"
    zh = "已发出一份告知，请待委托人答复后再办"
    en = "One notice is open already; wait for the answer"


class TooLateToTakeBack(Conflict):
    code = "too_late_to_take_back"
    zh = "委托发出已超过 {minutes} 分钟，不能撤回；如不再需要，可取消委托"
    en = "The {minutes} minutes for taking an offer back are over; you can still cancel it"


class FeeUnknown(Conflict):
    code = "fee_unknown"
    zh = "项目信息缺少“{measure}”，无法计算费用，请先完善项目信息"
    en = "The fee can't be computed: the project lacks its {measure_en}"


class ListingChanged(Conflict):
    code = "listing_changed"
    zh = "您打开页面后，机构调整了收费或承诺时限，请按最新内容核对后再发出"
    en = "The agency changed its fee or days after you opened the page; check them and send again"


class AgreedFeeInvalid(Invalid):
    code = "agreed_fee_invalid"
    zh = "请填写商定的费用，且不高于上限 {ceiling}"
    en = "Enter the agreed fee, at most {ceiling}"
