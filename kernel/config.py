"""Settings, read once from the environment and frozen.

Each field of :class:`Config` is one setting; its environment name is the upper-cased field name, with the
prefix ``PORTAL_`` unless the name is one of the plain ones below. An unknown ``PORTAL_`` key is an error,
because a misspelt setting that is silently ignored is a fault nobody finds.
"""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kernel.errors import PortalError

#: Settings known by a name without prefix, because other tools share them or the design names them.
PLAIN = frozenset(
    {
        "database_url",
        "database_owner_url",
        "sandbox",
        "port",
        "search",
        "password_profile",
        "story_matters",
        "timestamp_url",
    }
)
ROOT = Path(__file__).resolve().parent.parent


class UnknownSetting(PortalError):
    code = "unknown_setting"
    zh = "不认识的配置项 {key}{hint}"
    en = "Unknown setting {key}{hint}"


class BadSetting(PortalError):
    code = "bad_setting"
    zh = "配置项 {key} 的值 {value!r} 无效，应为 {wanted}"
    en = "Setting {key} has the value {value!r}; wanted: {wanted}"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one process. Durations are in seconds, sizes in bytes."""

    database_url: str = field(
        default="",
        metadata={
            "zh": "业务数据库地址；留空时使用自带的 PostgreSQL",
            "en": "Database URL of the web role; empty means the bundled PostgreSQL",
        },
    )
    database_owner_url: str = field(
        default="",
        metadata={
            "zh": "执行迁移的数据库地址；留空时与 DATABASE_URL 相同",
            "en": "Database URL for migrations; empty means DATABASE_URL",
        },
    )
    sandbox: bool = field(
        default=False,
        metadata={
            "zh": "演示模式：可以向前拨动法定时间，显示演示账号",
            "en": "Sandbox: legal time can be moved forward, demo accounts exist",
        },
    )
    port: int = field(default=8000, metadata={"zh": "监听端口", "en": "Port to listen on", "range": (1, 65535)})
    search: str = field(default="whoosh", metadata={"zh": "检索引擎", "en": "Search engine", "choices": ("whoosh",)})
    password_profile: str = field(
        default="mlps3",
        metadata={
            "zh": "口令规则：mlps3 等级保护三级，asvs 为 OWASP ASVS",
            "en": "Password rules: mlps3 (classified protection level 3) or asvs",
            "choices": ("mlps3", "asvs"),
        },
    )
    story_matters: str = field(
        default="", metadata={"zh": "演示故事使用的审批事项表（CSV）", "en": "CSV of approval matters for the story"}
    )
    timestamp_url: str = field(
        default="",
        metadata={
            "zh": "电子签名使用的时间戳服务地址（RFC 3161）；留空时由本平台签发时间戳",
            "en": "RFC 3161 time-stamp service for signatures; empty means the portal stamps by itself",
        },
    )
    data: Path = field(
        default=ROOT / "var",
        metadata={"zh": "数据目录：数据库、文件、索引", "en": "Data directory: cluster, files, index"},
    )
    host: str = field(default="127.0.0.1", metadata={"zh": "监听地址", "en": "Address to listen on"})
    name: str = field(default="工程建设项目中介服务超市", metadata={"zh": "门户名称", "en": "Name of the portal"})
    sponsor: str = field(
        default="示例市工程建设项目审批制度改革工作领导小组办公室",
        metadata={"zh": "主办单位", "en": "Body that runs the portal"},
    )
    name_en: str = field(
        default="Intermediary-service supermarket for construction projects",
        metadata={"zh": "门户的英文名称", "en": "Name of the portal in English"},
    )
    sponsor_en: str = field(
        default="Office of the leading group for construction-approval reform, Example City",
        metadata={"zh": "主办单位的英文名称", "en": "Body that runs the portal, in English"},
    )
    secret_key: str = field(
        default="",
        metadata={
            "zh": "会话签名密钥；留空时在数据目录生成",
            "en": "Session key; empty means one is made in the data directory",
        },
    )
    workers: int = field(default=2, metadata={"zh": "网页进程数", "en": "Number of web processes", "range": (1, 64)})
    threads: int = field(
        default=4,
        metadata={
            "zh": "每个网页进程的线程数（等于数据库连接池大小）",
            "en": "Threads per web process, which is also its connection pool",
            "range": (1, 64),
        },
    )
    upload_limit: int = field(
        default=100 * 1024 * 1024,
        metadata={"zh": "单个文件大小上限（字节）", "en": "Largest file accepted, in bytes", "range": (1, 2**40)},
    )
    secure_cookies: bool = field(
        default=False, metadata={"zh": "仅在 HTTPS 下发送会话 Cookie", "en": "Send the session cookie over HTTPS only"}
    )

    @property
    def files_folder(self) -> Path:
        return self.data / "files"

    @property
    def index_folder(self) -> Path:
        return self.data / "index"


def environment_name(setting: str) -> str:
    """The environment variable of a field, e.g. ``port`` → ``PORT``, ``host`` → ``PORTAL_HOST``."""
    return setting.upper() if setting in PLAIN else f"PORTAL_{setting.upper()}"


def load(environment: Mapping[str, str] | None = None) -> Config:
    """Read the settings.

    Raises:
        UnknownSetting: a ``PORTAL_`` key that no field explains.
        BadSetting: a value that cannot be read as the field's type.
    """
    source = os.environ if environment is None else environment
    known = {environment_name(f.name): f for f in fields(Config)}
    for key in source:
        if key.startswith("PORTAL_") and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise UnknownSetting(key=key, hint=f"（是否为 {near[0]}？）" if near else "")
    values: dict[str, object] = {}
    for key, spec in known.items():
        raw = source.get(key)
        if raw is None or raw == "":
            continue
        values[spec.name] = _read(key, raw, str(spec.type), spec.metadata)
    return Config(**values)  # type: ignore[arg-type]


def _read(key: str, raw: str, kind: str, metadata: Mapping[str, Any]) -> object:
    choices = metadata.get("choices")
    if choices and raw not in choices:
        raise BadSetting(key=key, value=raw, wanted=" / ".join(choices))
    if kind == "bool":
        if raw.lower() in {"1", "true", "yes", "on"}:
            return True
        if raw.lower() in {"0", "false", "no", "off"}:
            return False
        raise BadSetting(key=key, value=raw, wanted="0 / 1")
    if kind == "int":
        if not raw.isascii() or not raw.isdigit():
            raise BadSetting(key=key, value=raw, wanted="整数")
        low, high = metadata.get("range", (0, 2**53))
        if not low <= int(raw) <= high:
            raise BadSetting(key=key, value=raw, wanted=f"{low}–{high}")
        return int(raw)
    if kind == "Path":
        return Path(raw).resolve()
    return raw


def secret_key(config: Config) -> str:
    """The session key: the configured one, or one made once and kept readable by the owner alone."""
    if config.secret_key:
        return config.secret_key
    path = config.data / "secret_key"
    config.data.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii").strip()
