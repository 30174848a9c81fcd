"""The approval slice's pages: applications and matters, evidence and decisions, the public guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import url_for

from integration.approvals.web import evidence, guide, matters
from integration.approvals.web.commands import matters as import_commands
from kernel.access import Cell

blueprints = (matters.blueprint, evidence.blueprint, guide.blueprint)
ACCESS: Mapping[str, Cell] = {**matters.ACCESS, **evidence.ACCESS, **guide.ACCESS}
LINKS: Mapping[str, Callable[[str], str]] = {
    "matter": lambda number: url_for("matters.matter", number=number),
    "case": lambda number: url_for("matters.case", number=number),
}
commands = (import_commands,)

__all__ = ["ACCESS", "LINKS", "blueprints", "commands"]
