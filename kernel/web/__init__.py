"""The edge that every package's pages share: identity, access, incidents, once-only acts, and the kernel's own pages.

``app.py`` calls :func:`install` once and registers :data:`blueprints`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask, current_app, url_for

from kernel import previews
from kernel.access import PUBLIC, Cell
from kernel.accounts import passwords
from kernel.config import Config, secret_key
from kernel.trail import Actor
from kernel.web import gate, incidents, pages, views
from kernel.web.commands import people
from kernel.web.draw_commands import draw_group
from kernel.web.identity import current_account, current_actor, register_authenticator
from kernel.web.incidents import form_errors, is_api
from kernel.web.once import act_once, answer_once
from kernel.web.pages import (
    Navigation,
    act_token,
    bracketed,
    choose,
    day,
    instant,
    language,
    local_path,
    page_number,
    see_other,
    url_with,
)
from kernel.web.preview_commands import previews_group
from kernel.web.seal_commands import seals_group
from kernel.web.sealing_commands import bids

__all__ = [
    "ACCESS",
    "LINKS",
    "act_once",
    "act_token",
    "answer_once",
    "blueprints",
    "bracketed",
    "choose",
    "commands",
    "current_account",
    "current_actor",
    "day",
    "form_errors",
    "install",
    "instant",
    "is_api",
    "language",
    "local_path",
    "may",
    "page_number",
    "register_authenticator",
    "see_other",
    "signed_in_actor",
    "url_with",
]

#: The kernel's own cells, ``static`` included.
ACCESS: Mapping[str, Cell] = {"static": PUBLIC, **views.ACCESS}
#: Noun of a subject → the address of the page about it.
LINKS: Mapping[str, Callable[[str], str]] = {"file": lambda number: url_for("kernel.download", number=number)}
blueprints = (views.blueprint,)
commands = (people, draw_group, bids, previews_group, seals_group)


def install(
    app: Flask,
    config: Config,
    access: Mapping[str, Cell],
    link: Callable[[str], str | None],
    navigation: Navigation = lambda actor: (),
) -> None:
    """Make ``app`` the portal's edge.

    ``access`` is the whole table (endpoint → cell, :data:`ACCESS` among it); ``link`` tells where a subject such as
    ``"commission:WT-2026-000128"`` is shown; ``navigation`` names the main menu for an actor as (url, zh, en).
    """
    app.secret_key = secret_key(config)
    passwords.use_profile(config.password_profile)
    previews.configure(config.data / "previews")
    incidents.install(app)
    pages.install(app, config, navigation)
    gate.install(app, config, access)
    views.install(app, config, link)
    app.extensions["access"] = access
    app.jinja_env.globals["may"] = may


def may(endpoint: str) -> bool:
    """Whether a page should offer the way to a route: visitors are led to sign in, others only if their cell allows."""
    cell: Cell = current_app.extensions["access"][endpoint]
    actor = current_actor()
    return actor is None or cell.allows(actor)


def signed_in_actor() -> Actor:
    """The actor of a route whose cell admits no visitor."""
    actor = current_actor()
    if actor is None:
        raise gate.SignInFirst
    return actor
