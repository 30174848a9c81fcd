"""What can be wrong with an uploaded file, each with a name (trust G14, requirement "Bad input")."""

from __future__ import annotations

from kernel.errors import Invalid, Unavailable
from kernel.words import Worded


class FileEmpty(Invalid):
    code = "file_empty"
    zh = "文件“{name}”是空文件（0 字节），请核对后重新上传"
    en = "“{name}” is empty (0 bytes); check it and upload it again"


class FileTooLarge(Invalid):
    """The body is over the limit; raised from the length header or while streaming."""

    code = "file_too_large"
    status = 413
    zh = "文件超过大小上限（单个文件不超过 {megabytes} MB），请压缩图像或拆分后上传"
    en = "The file is over the limit of {megabytes} MB; reduce its images or split it"


class FileNameInvalid(Invalid):
    code = "file_name_invalid"
    zh = "文件名无效，请改为一般文件名后重新上传，例如“勘察报告.pdf”"
    en = "The file name can't be used; rename the file, for instance “survey report.pdf”"


class FileTypeNotAllowed(Invalid):
    code = "file_type_not_allowed"
    zh = "不接受文件“{name}”的类型，可以上传的类型：{allowed}"
    en = "The type of “{name}” isn't accepted; these are: {allowed}"


class FileTypeMismatch(Invalid):
    code = "file_type_mismatch"
    zh = "文件“{name}”的扩展名为 {extension}，内容却是{found_zh}，请以正确的格式重新上传"
    en = "“{name}” is named {extension}, but its content is {found_en}; upload it in its true format"


class FileDamaged(Invalid):
    code = "file_damaged"
    zh = "文件“{name}”已损坏或不完整，请用原软件重新导出后上传"
    en = "“{name}” is damaged or incomplete; export it again and upload that"


class FileEncrypted(Invalid):
    code = "file_encrypted"
    zh = "文件“{name}”已加密或设有密码，请解除后重新上传"
    en = "“{name}” is encrypted or has a password; remove that and upload it again"


class FileTooLong(Invalid):
    code = "file_too_long"
    zh = "文件“{name}”超过 {pages} 页，请按专业或者分册拆开后上传"
    en = "“{name}” has more than {pages} pages; split it by discipline or volume and upload the parts"


class FileUnsafe(Invalid):
    code = "file_unsafe"
    zh = "文件“{name}”{reason_zh}，为保障安全不予接收"
    en = "“{name}” {reason_en} and is refused for safety"


class FilesUnavailable(Unavailable):
    """The store can't write or read: disk full, folder gone, a blob lost. Nothing was changed."""

    code = "files_unavailable"
    zh = "文件存储暂时不可用，您的内容没有改变，请稍后再试"
    en = "The file store is temporarily unavailable; nothing was changed"


class Danger(Worded):
    """Why a file is unsafe. Each label completes the sentence “the file …”."""

    ACTIVE = "active", "含有脚本或自动执行的动作", "contains scripts or automatic actions"
    EMBEDDED = "embedded", "内嵌了其他文件或对象", "has other files or objects embedded in it"
    MACRO = "macro", "含有宏", "contains macros"
    REMOTE = "remote", "引用了外部模板或对象", "loads templates or objects from elsewhere"
    BOMB = "bomb", "解压后过大或结构异常复杂", "expands far beyond its size or is unreasonably complex"
    NESTED = "nested", "内含压缩包", "contains another archive"
    PATHS = "paths", "的压缩包内有非法路径或链接", "has unsafe paths or links in its archive"
    FORBIDDEN = "forbidden", "的压缩包内有不允许的文件类型", "has file types in its archive that aren't accepted"
    ENTITIES = "entities", "含有外部实体声明", "declares document types or external entities"
    DISGUISED = "disguised", "同时是另一种格式的文件", "is a file of another format at the same time"
    PIXELS = "pixels", "的图像像素过大", "has an image with too many pixels"
    FORMULA = "formula", "含有可调用外部程序的公式", "contains formulas that call other programs"
    MALWARE = "malware", "含有恶意代码特征", "contains a known malware signature"


def unsafe(name: str, danger: Danger) -> FileUnsafe:
    """The incident for one danger; ``params["danger"]`` is its stable word for programs."""
    return FileUnsafe(name=name, danger=danger.value, reason_zh=danger.zh, reason_en=danger.en)
