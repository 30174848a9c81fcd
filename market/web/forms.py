"""What a confirm page asks for, and what a person sent: typed text is kept when an act is refused, files are sent once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import BinaryIO, cast

from flask import request
from sqlalchemy import select

from kernel import clock, files
from kernel.db import in_transaction, session, transaction
from kernel.errors import Invalid, Invalids, PortalError
from kernel.files import Blob, Document
from kernel.trail import Actor

#: A text in Chinese and in English.
Words = tuple[str, str]

_DATE = re.compile(r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?")
#: Two names count as alike from this share of common characters on.
_ALIKE = 0.5


class NumberUnclear(Invalid):
    code = "number_unclear"
    zh = "“{value}”不是整数，请填写如 12"
    en = "“{value}” is not a whole number; write it like 12"


class NumberMissing(Invalid):
    code = "number_missing"
    zh = "请填写{what_zh}"
    en = "Fill in: {what_en}"


class DateUnclear(Invalid):
    code = "date_unclear"
    zh = "日期“{value}”无法识别，请填写如 2026-03-31"
    en = "The date “{value}” cannot be read; write it like 2026-03-31"


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a confirm page; ``kind`` names the component in ``market/commission_act.html``.

    Kinds: text (many lines), points (one per line), number, date, money, code, choice, tick, files.
    """

    name: str
    kind: str
    label: Words
    hint: Words = ("", "")
    is_required: bool = True
    initial: str = ""
    options: tuple[tuple[str, Words], ...] = ()
    unit: Words = ("", "")
    takes_many: bool = False


@dataclass(slots=True)
class Sheet:
    """What was sent with a form, its files already stored safely but not yet entered."""

    typed: Mapping[str, str]
    blobs: dict[str, list[Blob]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    faults: list[PortalError] = field(default_factory=list)

    def text(self, name: str) -> str:
        return self.typed.get(name, "")

    def points(self, name: str) -> list[str]:
        """One point per line; leading numbers and bullets are dropped, the page numbers them itself."""
        lines = (
            re.sub(r"^\s*(?:[0-9]{1,2}[.、．)）]|[-•·])\s*", "", line).strip() for line in self.text(name).splitlines()
        )
        return [line for line in lines if line]

    def whole(self, name: str, what: Words) -> int:
        """A whole number of at most nine digits. Raises NumberMissing, NumberUnclear."""
        plain = unicodedata.normalize("NFKC", self.text(name)).replace(",", "").strip()
        if not plain:
            raise NumberMissing(field=name, what_zh=what[0], what_en=what[1])
        if not re.fullmatch(r"-?[0-9]{1,9}", plain):
            raise NumberUnclear(field=name, value=self.text(name).strip())
        return int(plain)

    def day(self, name: str) -> date | None:
        """A date as typed, or None when the field is empty. Raises DateUnclear."""
        plain = unicodedata.normalize("NFKC", self.text(name)).strip()
        if not plain:
            return None
        found = _DATE.fullmatch(plain)
        try:
            return date(*(int(part) for part in found.groups())) if found else date.fromisoformat(plain)
        except ValueError:
            raise DateUnclear(field=name, value=plain) from None

    def is_ticked(self, name: str) -> bool:
        return bool(self.text(name))

    def documents(self, name: str, by: Actor) -> list[Document]:
        """The files of a field, entered in the caller's transaction; kept ones must be the caller's own.

        Raises:
            Invalids: what was wrong with any file of the form.
        """
        if self.faults:
            raise Invalids(self.faults) if len(self.faults) > 1 else self.faults[0]
        return own_documents(self.kept.get(name, []), by) + [
            files.enter(blob, by=by) for blob in self.blobs.get(name, [])
        ]

    def keep(self, by: Actor) -> dict[str, list[Document]]:
        """After a refusal: the files that were in order stay stored, so that nobody has to choose them again."""
        found = {name: own_documents(numbers, by) for name, numbers in self.kept.items()}
        if any(self.blobs.values()) and not in_transaction():
            with transaction():
                for name, blobs in self.blobs.items():
                    found[name] = found.get(name, []) + [files.enter(blob, by=by) for blob in blobs]
        return {name: documents for name, documents in found.items() if documents}


def receive(names: Sequence[str] = ()) -> Sheet:
    """Read the request: texts, and the files of the fields ``names``, before any transaction is open."""
    sheet = Sheet(request.form)
    for name in names:
        sheet.kept[name] = request.form.getlist(f"kept-{name}")
        for storage in request.files.getlist(name):
            if not storage.filename:
                continue
            try:
                blob = files.receive(cast(BinaryIO, storage.stream), storage.filename, field=name)
            except PortalError as error:
                sheet.faults.append(error)
            else:
                sheet.blobs.setdefault(name, []).append(blob)
    return sheet


def own_documents(numbers: Sequence[str], by: Actor) -> list[Document]:
    """Documents that the actor's organisation uploaded; other numbers are passed over."""
    if not numbers or by.organisation_id is None:
        return []
    rows = session.scalars(
        select(Document).where(Document.number.in_(numbers), Document.organisation_id == by.organisation_id)
    )
    found = {document.number: document for document in rows}
    return [found[number] for number in dict.fromkeys(numbers) if number in found]


def assign(names: Sequence[str], handed_in: Sequence[Document]) -> tuple[dict[str, Document], list[Document]]:
    """Which file is which of the wanted ``names``: by likeness of names, the rest in order; and what is left over.

    A single file answers for every name: people often hand in one bound volume.
    """
    if len(handed_in) == 1:
        return dict.fromkeys(names, handed_in[0]), [] if names else list(handed_in)
    wanted, rest = list(names), list(handed_in)
    likeness = sorted(
        ((_likeness(name, one.name), -wanted.index(name), -rest.index(one)) for name in wanted for one in rest),
        reverse=True,
    )
    found: dict[str, Document] = {}
    taken: set[int] = set()
    for alike, minus_name, minus_file in likeness:
        name = wanted[-minus_name]
        if alike >= _ALIKE and name not in found and -minus_file not in taken:
            found[name] = rest[-minus_file]
            taken.add(-minus_file)
    left = [one for index, one in enumerate(rest) if index not in taken]
    for name in wanted:
        if name not in found and left:
            found[name] = left.pop(0)
    return found, left


def stem(name: str) -> str:
    """A file's name without its extension: the title of a document that nobody named."""
    return PurePath(name).stem or name


def default_validity(months: int | None) -> str:
    """Today plus so many months, as a date field takes it; '' when validity is unlimited."""
    return clock.add_months(clock.today(), months).isoformat() if months else ""


def _likeness(name: str, file_name: str) -> float:
    one, other = (unicodedata.normalize("NFKC", text).lower() for text in (name, stem(file_name)))
    if one in other or (len(other) > 2 and other in one):
        return 1.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
