"""What can be wrong with keys, sealed bids, receipts and bundles."""

from __future__ import annotations

from kernel.errors import Conflict, Invalid, PortalError
from kernel.words import Worded


class Reason(Worded):
    """Why a bid could not be opened; recorded with the bid, which is never dropped."""

    WRAP = "wrap", "封装密钥无法解开", "The wrapped key can't be opened"
    CIPHERTEXT = "ciphertext", "密文损坏，或与封装密钥不符", "The ciphertext is damaged, or isn't the wrapped key's"
    PADDING = "padding", "解密后的格式不符", "What was inside isn't in the agreed form"
    OTHER_CALL = "other_call", "报价是为另一份公告封装的", "The bid was sealed for another call"
    CONTENT = "content", "报价内容格式不符", "The bid's content isn't in the agreed form"
    OTHER_BIDDER = "other_bidder", "报价内容中的单位不是提交单位", "The bid names another organisation than its bidder"


class Unopenable(PortalError):
    """``reason``: a :class:`Reason`."""

    code = "bid_unopenable"
    zh = "报价无法打开：{reason_zh}"
    en = "The bid can't be opened: {reason_en}"

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason_zh=reason.zh, reason_en=reason.en)


class KeysMissing(Conflict):
    code = "opening_keys_missing"
    zh = "开启报价需要两位保管人交来密钥，现有：{present}"
    en = "Opening needs the keys of two custodians; present: {present}"


class KeyUnreadable(Invalid):
    code = "age_key_unreadable"
    zh = "无法识别密钥，应为以 AGE-SECRET-KEY-1 开头的一行"
    en = "This isn't a key; it is one line that begins with AGE-SECRET-KEY-1"


class RecipientUnreadable(Invalid):
    code = "age_recipient_unreadable"
    zh = "无法识别公钥“{value}”，应以 age1 开头"
    en = "“{value}” isn't a public key; one begins with age1"


class KeyDoesNotFit(Invalid):
    code = "key_does_not_fit"
    zh = "这把密钥不是本公告公布的公钥的密钥"
    en = "This key doesn't belong to the public key that the call published"


class KeyNotYours(Invalid):
    code = "protected_key_not_yours"
    zh = "本公告的密钥不能用您的长期密钥解开：长期密钥不对，或密文已损坏"
    en = "The call's key doesn't open with your long-term key: it is another key, or the stored one is damaged"


class KeyOfOtherCall(Invalid):
    code = "key_of_other_call"
    zh = "这把密钥属于公告 {call}，不要为其他公告交出"
    en = "This key belongs to the call {call}; don't hand it in for another"


class CallUnreadable(Invalid):
    code = "call_keys_unreadable"
    zh = "无法识别公告密钥文件，请重新从公告页面下载"
    en = "The call's key file can't be read; download it again from the call's page"


class ContentInvalid(Invalid):
    code = "bid_content_invalid"
    zh = "报价内容“{member}”不符合要求"
    en = "The bid's “{member}” isn't valid"


class ContentTooLarge(Invalid):
    code = "bid_content_too_large"
    zh = "报价与附件合计过大，封装后不能超过 {largest}，请减少或压缩附件"
    en = "The bid and its files are too large together: sealed, at most {largest}; attach less"


class DiscountUnreadable(Invalid):
    code = "discount_unreadable"
    zh = "下浮率“{value}”无法识别，请填写 0 至 100 之间的百分数，最多两位小数，如 15.5"
    en = "The discount “{value}” can't be read; write a percentage from 0 to 100 with at most two decimals, like 15.5"


class WorkingDaysUnreadable(Invalid):
    code = "working_days_unreadable"
    zh = "工作日数“{value}”无法识别，请填写 1 至 9999 的整数"
    en = "“{value}” isn't a number of working days from 1 to 9999"


class BidMalformed(Invalid):
    code = "bid_malformed"
    zh = "封装的报价格式不符，请重新封装后提交"
    en = "The sealed bid isn't in the agreed form; seal it again"


class SealedFileUnreadable(BidMalformed):
    code = "sealed_file_unreadable"
    zh = "无法识别封装文件，请选择封装后得到的 .sealed.json 文件"
    en = "The sealed file can't be read; choose the .sealed.json file that sealing made"


class SealedForOtherCall(BidMalformed):
    code = "sealed_for_other_call"
    zh = "该文件是为公告 {call} 封装的，不能用于本公告"
    en = "This file was sealed for the call {call} and can't be used here"


class CiphertextMalformed(BidMalformed):
    code = "ciphertext_malformed"
    zh = "报价密文不是只有一个收件密钥的 age 文件，请重新封装"
    en = "The bid isn't an age file for exactly one key; seal it again"


class SizeNotInClass(BidMalformed):
    code = "sealed_size_not_in_class"
    zh = "报价密文的长度不是规定的固定长度之一，请重新封装"
    en = "The bid's length isn't one of the fixed lengths; seal it again"


class WrapsIncomplete(BidMalformed):
    code = "wraps_incomplete"
    zh = "封装密钥不齐，应当恰好包括：{wanted}"
    en = "The wrapped keys aren't complete; exactly these are wanted: {wanted}"


class WrapMalformed(BidMalformed):
    code = "wrap_malformed"
    zh = "封装密钥“{name}”格式不符，请重新封装"
    en = "The wrapped key “{name}” isn't in the agreed form; seal the bid again"


class ReceiptInvalid(Invalid):
    code = "receipt_invalid"
    zh = "回执无效：内容被改动，或不是本平台签发的"
    en = "The receipt doesn't hold: it was changed, or this portal didn't sign it"


class BundleDamaged(Invalid):
    code = "bundle_damaged"
    zh = "开启结果包不完整或被改动：{path}"
    en = "The opening's bundle is incomplete or was changed: {path}"
