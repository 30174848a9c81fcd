"""The market's pages. Each module brings its blueprint, the cells of its routes and the addresses of its nouns."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from flask import Blueprint

from kernel.access import Cell

MODULES = ("shelf", "agencies", "commissions", "deliverables")

blueprints: list[Blueprint] = []
ACCESS: dict[str, Cell] = {}
LINKS: dict[str, Callable[[str], str]] = {}
commands: list[Any] = []

for _name in MODULES:
    if find_spec(f"{__name__}.{_name}") is None:
        continue
    _module = import_module(f"{__name__}.{_name}")
    blueprints += getattr(_module, "blueprints", None) or [_module.blueprint]
    ACCESS |= _module.ACCESS
    LINKS |= getattr(_module, "LINKS", {})
    commands += getattr(_module, "commands", [])
