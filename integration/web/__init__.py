"""Pages that cross packages: the first page, projects with everything under their code, documents of the dossier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import url_for

from integration.web import documents, home, projects
from kernel.access import Cell

blueprints = (home.blueprint, projects.blueprint, documents.blueprint)
ACCESS: Mapping[str, Cell] = {**home.ACCESS, **projects.ACCESS, **documents.ACCESS}
LINKS: Mapping[str, Callable[[str], str]] = {
    "project": lambda code: url_for("projects.project", code=code),
    "document": lambda number: url_for("documents.document", number=number),
}
commands: tuple[Any, ...] = ()

__all__ = ["ACCESS", "LINKS", "blueprints", "commands"]
