"""The confirm page before a binding act of any noun: what it is about, what is asked, one button, once (goal 12).

A view says how its page looks (:class:`Confirm`) and what its button does; :func:`serve` shows the page, performs the
act once and, when it is refused, shows the page again with everything that was typed and handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response, flash, render_template, request
from markupsafe import Markup
from sqlalchemy.exc import IntegrityError

from kernel import trail
from kernel.errors import Conflict, PortalError
from kernel.trail import Actor
from kernel.web import act_once, choose, form_errors
from kernel.workflow import MoveNotOpen, StaleVersion
from market.web import progress
from market.web.forms import Field, Sheet, Words, receive

Row = tuple[str, str | Markup]
Answer = Response | tuple[str, int] | str


class Overtaken(Conflict):
    """Two people acted in the same instant and the database kept one of the acts."""

    code = "overtaken"
    zh = "此件刚刚已由他人办理，请核对最新情况"
    en = "Somebody else acted in the same instant; look at how it stands now"


@dataclass(frozen=True, slots=True)
class Confirm:
    """``crumbs`` lead here as (label, address); ``subject`` is the chain whose last act a refused person is shown.

    Without a ``button`` the page only shows how things stand.
    """

    title: str
    button: str
    done: str
    back: str
    crumbs: Sequence[tuple[str, str]]
    rows: Sequence[Row] = ()
    explain: Sequence[str] = ()
    fields: Sequence[Field] = ()
    subject: str = ""
    version: int | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    is_ending: bool = False
    is_open: bool = True


def serve(make: Callable[[], Confirm], perform: Callable[[Sheet, int | None], str], by: Actor) -> Answer:
    """Show the page of ``make``, or do ``perform(sheet, version seen)`` in a transaction and go where it says."""
    page = make()
    if request.method == "GET":
        return render(page, {one.name: one.initial for one in page.fields})
    sheet = receive([one.name for one in page.fields if one.kind == "files"])
    refused = attempt(lambda: perform(sheet, version_seen()))
    if isinstance(refused, Response):
        flash(page.done, "success")
        return refused
    kept = sheet.keep(by)
    return render(make(), sheet.typed, refused, kept), refused.status


def attempt(act: Callable[[], str]) -> Response | PortalError:
    """Do an act once; answers where it leads, or why it was refused."""
    try:
        return act_once(act)
    except IntegrityError:
        return Overtaken()
    except PortalError as error:
        return error


def version_seen() -> int | None:
    """The version of the record that the page showed; none on a page without one."""
    text = request.form.get("version")
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def render(
    page: Confirm, values: Mapping[str, str], error: PortalError | None = None, kept: Mapping[str, Any] | None = None
) -> str:
    changed = None
    if page.subject and isinstance(error, StaleVersion | MoveNotOpen | Overtaken):
        acts = trail.of(page.subject)
        changed = progress.entry(acts[-1]) if acts else None
    shown = page.fields if page.is_open else [one for one in page.fields if one.kind in ("text", "points")]
    return render_template(
        "market/confirm_page.html",
        page=page,
        fields=shown,
        values={one.name: values.get(one.name, "") for one in shown},
        kept=kept or {},
        errors=by_field(error),
        form_errors=form_errors(error) if error else None,
        changed=changed,
        token=request.form.get("act"),
    )


def by_field(error: PortalError | None) -> dict[str, str]:
    """Field → message; several messages of one field stand together."""
    told: dict[str, str] = {}
    for name, message in form_errors(error) if error else []:
        if name:
            told[name] = f"{told[name]} {message}" if name in told else message
    return told


def spoken(words: Sequence[Words]) -> list[str]:
    """Pairs of Chinese and English in the reader's language."""
    return [choose(*one) for one in words]
