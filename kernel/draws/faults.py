"""What can be wrong with a draw: its list, its rule, what the parties hand in, its record."""

from __future__ import annotations

from kernel.errors import Invalid


class BadDrawEntry(Invalid):
    code = "bad_draw_entry"
    zh = "抽取内容不合规范：编号只用字母、数字和“:._-”（64 字以内），文字 1 至 500 字且不含控制字符"
    en = "This can't stand in a draw: numbers are letters, digits and “:._-” up to 64, texts are 1 to 500 characters without controls"


class EmptyDrawList(Invalid):
    code = "empty_draw_list"
    zh = "抽取名单为空"
    en = "The list to draw from is empty"


class LongDrawList(Invalid):
    code = "long_draw_list"
    zh = "抽取名单超过 {most} 个"
    en = "The list to draw from has more than {most} entries"


class DuplicateCandidate(Invalid):
    code = "duplicate_candidate"
    zh = "“{candidate}”在抽取名单中重复"
    en = "“{candidate}” is on the list twice"


class PickedOutOfRange(Invalid):
    code = "picked_out_of_range"
    zh = "名单共 {candidates} 个，不能抽取 {picked} 个"
    en = "{picked} can't be drawn from a list of {candidates}"


class DuplicateParty(Invalid):
    code = "duplicate_draw_party"
    zh = "抽取参与方“{party}”重复"
    en = "The party “{party}” is named twice"


class NoRandomness(Invalid):
    code = "no_randomness"
    zh = "抽取规则没有任何随机来源：至少要有一方提供种子，或事先指明一个外部数值"
    en = "The rule names no source of randomness: at least one party's seed or an outside value is needed"


class BadSeed(Invalid):
    code = "bad_draw_seed"
    zh = "“{party}”的种子应为 64 位小写十六进制字符"
    en = "The seed of “{party}” must be 64 lower-case hexadecimal digits"


class MissingCommitment(Invalid):
    code = "missing_commitment"
    zh = "“{party}”尚未提交种子承诺"
    en = "“{party}” hasn't committed to a seed"


class MissingSeed(Invalid):
    code = "missing_draw_seed"
    zh = "缺少“{party}”的种子，抽取不能进行"
    en = "The seed of “{party}” is missing; the draw can't go on"


class SeedMismatch(Invalid):
    code = "seed_mismatch"
    zh = "“{party}”的种子与其事先提交的承诺不符"
    en = "The seed of “{party}” isn't the one committed to"


class UnknownParty(Invalid):
    code = "unknown_draw_party"
    zh = "“{party}”不是已公布规则中的参与方"
    en = "“{party}” isn't a party of the published rule"


class OutsideValueMismatch(Invalid):
    code = "outside_value_mismatch"
    zh = "外部数值与已公布规则不符：事先指明了来源才能使用，且必须使用"
    en = "The outside value doesn't fit the published rule: it is used if, and only if, its source was named beforehand"


class ListChanged(Invalid):
    code = "draw_list_changed"
    zh = "名单或规则与已公布的名单哈希不符，抽取不能进行"
    en = "The list or the rule isn't the one whose hash was published; the draw can't go on"


class DrawRecordBroken(Invalid):
    code = "draw_record_broken"
    zh = "抽取记录内容不符，不能采信"
    en = "The record of the draw doesn't hold"
