"""What can be wrong with what people hand in to a draw."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class DrawHeldAlready(Conflict):
    code = "draw_held_already"
    zh = "已有抽取 {number}，不得再次抽取"
    en = "The draw {number} decides; there is no second one"


class PublishedOnce(Conflict):
    code = "draw_published_once"
    zh = "抽取中已公布的内容不能更改"
    en = "What a draw has published can't be changed"


class TooFewParties(Invalid):
    code = "too_few_draw_parties"
    zh = "抽取至少要由两个单位提供种子，或者事先指明一个外部数值"
    en = "A draw needs seeds of two organisations at least, or an outside value named beforehand"


class NotYourDraw(Forbidden):
    code = "not_your_draw"
    zh = "这一步由“{party}”的工作人员办理"
    en = "This is for the people of “{party_en}”"


class CommittedAlready(Conflict):
    code = "committed_already"
    zh = "“{party}”已提交过承诺，不能更换"
    en = "“{party_en}” has committed already, and can't change it"


class CommitmentUnreadable(Invalid):
    code = "commitment_unreadable"
    zh = "承诺应为 64 位小写十六进制字符"
    en = "A commitment is 64 lower-case hexadecimal digits"


class SeedUnsealed(Invalid):
    code = "seed_unsealed"
    zh = "种子没有为保管人密封，请刷新页面后重新提交"
    en = "The seed isn't sealed for the custodians; reload the page and submit again"


class SeedUnreadable(Invalid):
    code = "seed_unreadable"
    zh = "没有找到种子：请选择提交承诺时保存的种子文件，或粘贴其中 64 位的一行"
    en = "No seed found: choose the file that you saved when you committed, or paste its line of 64 digits"


class RevealedAlready(Conflict):
    code = "revealed_already"
    zh = "“{party}”的种子已经公开"
    en = "The seed of “{party_en}” is open already"


class WithheldTooSoon(Conflict):
    code = "withheld_too_soon"
    zh = "“{party}”应在 {until} 之前自行公开种子，到期仍未公开的，才由保管人开启"
    en = "“{party_en}” has until {until} to open its seed; custodians open it only after that"


class OutsideValueUnreadable(Invalid):
    code = "outside_value_unreadable"
    zh = "请填写事先指明的外部数值，1 至 500 字，不含换行"
    en = "Enter the outside value that was named beforehand: 1 to 500 characters on one line"


class OutsideValueFixed(Conflict):
    code = "outside_value_fixed"
    zh = "已有种子公开，外部数值不能更改"
    en = "A seed is open, so that the outside value can't change any more"


class OutsideValueAwaited(Conflict):
    code = "outside_value_awaited"
    zh = "请先由平台登记外部数值“{source}”，再公开种子"
    en = "The outside value “{source}” comes first; the seeds are opened after it"


class NotDrawnYet(Conflict):
    code = "not_drawn_yet"
    zh = "抽取 {number} 尚未完成"
    en = "The draw {number} isn't finished"
