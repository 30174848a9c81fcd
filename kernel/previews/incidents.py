"""Why a document, or one of its pages, has no preview: each with a name (requirement "Bad input").

A problem is stored as its code and shown as its words. None of them touches the original, which stays as it was
received and can be downloaded.
"""

from __future__ import annotations

from kernel.errors import Invalid, PortalError, Unavailable


class PreviewUnsupported(Invalid):
    code = "preview_unsupported"
    zh = "该格式不支持在线预览，请下载原件查看"
    en = "This format can't be shown here; download the original to read it"


class PreviewEncrypted(Invalid):
    code = "preview_encrypted"
    zh = "文件已加密或设有密码，无法在线预览；请提交人解除后重新上传"
    en = "The file is encrypted or has a password and can't be shown; its sender should remove that and upload it again"


class PreviewDamaged(Invalid):
    code = "preview_damaged"
    zh = "文件已损坏或不完整，无法在线预览；请下载原件核对，或请提交人重新导出后上传"
    en = "The file is damaged or incomplete and can't be shown; check the original, or have it exported and uploaded again"


class PreviewTooLong(Invalid):
    code = "preview_too_long"
    zh = "文件超过 2000 页，不生成在线预览；请下载原件查看，或请提交人分册上传"
    en = (
        "The file has more than 2,000 pages and isn't shown here; download the original, or have it uploaded in volumes"
    )


class PreviewTooHeavy(Invalid):
    code = "preview_too_heavy"
    zh = "文件内容过于复杂，在规定的时间和内存内无法生成预览；请下载原件查看"
    en = "The file needs more time or memory than a preview may take; download the original to read it"


class PreviewLost(Unavailable):
    code = "preview_lost"
    zh = "文件存储暂时读不到原件，未能生成预览，请联系系统运营人员"
    en = "The original could not be read from the store, so there is no preview; tell the operator"


class PageUnreadable(Invalid):
    code = "page_unreadable"
    zh = "本页内容有误，无法生成预览，请下载原件查看本页"
    en = "This page is faulty and can't be shown; read it in the original"


class PageTooHeavy(Invalid):
    code = "page_too_heavy"
    zh = "本页内容过于复杂，无法生成预览，请下载原件查看本页"
    en = "This page needs more time or memory than a preview may take; read it in the original"


#: Code → the incident that explains it.
PROBLEMS: dict[str, type[PortalError]] = {
    problem.code: problem
    for problem in (
        PreviewUnsupported,
        PreviewEncrypted,
        PreviewDamaged,
        PreviewTooLong,
        PreviewTooHeavy,
        PreviewLost,
        PageUnreadable,
        PageTooHeavy,
    )
}


def problem_text(code: str, language: str = "zh") -> str:
    """The words for a stored problem in ``language`` ("zh" or "en"); '' for none."""
    return PROBLEMS[code]().text(language) if code else ""
