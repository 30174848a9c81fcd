"""What every page shows around its content: language, type size, person, inbox, demo time; and how it writes time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, redirect, request
from flask_babel import Babel
from markupsafe import Markup

from kernel import clock, notifications
from kernel.access import Role
from kernel.config import ROOT, Config
from kernel.trail import Actor
from kernel.web.identity import current_account

LANGUAGES = {"zh": "zh_Hans_CN", "en": "en"}
FONTS = ("normal", "care")
_YEAR = 365 * 24 * 3600

#: The entries of the main menu for an actor: (address, Chinese, English).
Navigation = Callable[[Actor | None], Sequence[tuple[str, str, str]]]


def language() -> str:
    """ "zh" or "en": what ``?lang=`` says, else the cookie, else (for programs) Accept-Language, else Chinese."""
    # Asked a hundred times a page; a request's environment lives as long as the answer.
    environment = request.environ
    known = environment.get("portal.language")
    if known is None:
        known = environment["portal.language"] = _language()
    return str(known)


def _language() -> str:
    chosen = request.args.get("lang") or request.cookies.get("lang")
    if chosen in LANGUAGES:
        return str(chosen)
    if request.path.startswith("/api/"):
        return request.accept_languages.best_match(["zh", "en"], default="zh") or "zh"
    return "zh"


def is_care() -> bool:
    """Whether the person reads the 关怀版 (larger type, more contrast)."""
    chosen = request.args.get("font") or request.cookies.get("font")
    return chosen == "care"


def choose(chinese: str, english: str) -> str:
    """One of two texts by the reader's language, for words that live in code."""
    return english if language() == "en" else chinese


def bracketed(text: str) -> str:
    """``text`` in the brackets of the reader's language, to be set right behind a word."""
    return choose(f"（{text}）", f" ({text})")


def instant(value: datetime | None, *, seconds: bool = False) -> str:
    """An instant as people read it: absolute, in China Standard Time, with its zone; '' for none."""
    if value is None:
        return ""
    local = value.astimezone(clock.SHANGHAI)
    time = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if language() == "en":
        return f"{local.day} {local:%B %Y}, {time} (UTC+8)"
    return f"{local.year}年{local.month}月{local.day}日 {time}（北京时间）"


def day(value: date | None) -> str:
    """A date as people read it; '' for none."""
    if value is None:
        return ""
    if language() == "en":
        return f"{value.day} {value:%B %Y}"
    return f"{value.year}年{value.month}月{value.day}日"


def url_with(**changes: object) -> str:
    """This address with some of its query changed; None drops a parameter."""
    query = [(name, value) for name, value in request.args.items(multi=True) if name not in changes]
    query += [(name, str(value)) for name, value in changes.items() if value is not None]
    return request.path + (f"?{urlencode(query)}" if query else "")


def local_path(target: str | None) -> str | None:
    """``target`` if it is an address of this portal, else None: nobody is sent elsewhere by a link."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    return target if target.isprintable() and "\\" not in target else None


def page_number() -> int:
    """``?page=`` within reason; 1 for whatever is no page."""
    asked = request.args.get("page", "1")
    return min(int(asked[:7]), 100_000) if asked.isascii() and asked.isdigit() and int(asked[:7]) > 0 else 1


def act_token() -> str:
    """A fresh value for the hidden field ``act`` of a form whose act must not happen twice."""
    return secrets.token_urlsafe(18)


def see_other(target: str) -> Response:
    """303: the answer to every POST that did something."""
    return redirect(target, 303)  # type: ignore[return-value]


def role_labels(actor: Actor, tongue: str) -> str:
    """The roles held in the organisation acted for, in words."""
    labels = [role.label(tongue) for role in Role if role.value in actor.roles]
    return (", " if tongue == "en" else "、").join(labels)


def install(app: Flask, config: Config, navigation: Navigation) -> None:
    """Set up languages, the context of ``kernel/layout.html``, and the filters ``instant``, ``day``, ``bracketed``."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(ROOT / "kernel" / "translations")
    app.config["BABEL_DEFAULT_LOCALE"] = LANGUAGES["zh"]
    Babel(app, locale_selector=lambda: LANGUAGES[language()])
    app.jinja_env.filters.update(instant=instant, day=day, bracketed=bracketed)
    app.jinja_env.globals.update(act_token=act_token, url_with=url_with)
    translate = _translator()
    app.jinja_env.globals.update(_=translate, gettext=translate)

    def context() -> dict[str, Any]:
        # A page that reports a broken database must not ask it anything.
        is_offline = bool(g.get("portal_offline"))
        account = None if is_offline else current_account()
        actor = account.actor if account else None
        tongue = language()
        return {
            "portal": {
                "name": choose(config.name, config.name_en),
                "sponsor": choose(config.sponsor, config.sponsor_en),
            },
            "language": tongue,
            "care": is_care(),
            "person": _person(account.actor, tongue) if account else None,
            "navigation": [] if is_offline else _menu(navigation(actor), tongue),
            "unread": notifications.unread(actor.person_id) if actor and actor.person_id else 0,
            "sandbox": {"now_text": instant(clock.now())} if config.sandbox and not is_offline else None,
            "printed_at": "" if is_offline else instant(clock.machine()),
        }

    app.context_processor(context)
    app.after_request(_remember_choices)


def _translator() -> Callable[..., Markup]:
    """``_`` for templates: Flask-Babel's finds its catalogue anew for every text, which is half of a page's time."""
    folder = str(ROOT / "kernel" / "translations")
    catalogues = {
        tongue: NullTranslations() if tongue == "zh" else Translations.load(folder, [locale])
        for tongue, locale in LANGUAGES.items()
    }
    plain: dict[tuple[str, str], Markup] = {}

    def translate(message: str, /, **values: object) -> Markup:
        tongue = language()
        if values:
            return Markup(catalogues[tongue].gettext(message)) % values  # noqa: S704  our own text; values are escaped
        found = plain.get((tongue, message))
        if found is None:
            found = plain[tongue, message] = Markup(catalogues[tongue].gettext(message)) % {}  # noqa: S704
        return found

    return translate


def _person(actor: Actor, tongue: str) -> dict[str, str]:
    return {
        "name": actor.person,
        "organisation_name": actor.organisation,
        "role_label": role_labels(actor, tongue),
        "url": "/account",
    }


def _menu(entries: Sequence[tuple[str, str, str]], tongue: str) -> list[dict[str, Any]]:
    longest = max((url for url, _, _ in entries if _is_under(url)), key=len, default=None)
    return [
        {"url": url, "label": english if tongue == "en" else chinese, "current": url == longest}
        for url, chinese, english in entries
    ]


def _is_under(url: str) -> bool:
    return request.path == url or (url != "/" and request.path.startswith(url.rstrip("/") + "/"))


def _remember_choices(response: Response) -> Response:
    for name, known in (("lang", tuple(LANGUAGES)), ("font", FONTS)):
        asked = request.args.get(name)
        if asked in known and request.cookies.get(name) != asked:
            response.set_cookie(
                name, str(asked), max_age=_YEAR, samesite="Lax", httponly=True, secure=request.is_secure
            )
    return response
