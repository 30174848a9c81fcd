"""The market's pages. Each module brings its blueprint, the cells of its routes and the addresses of its nouns."""

from __future__ import annotations

from collections.abc import Callable

from click import Command
from flask import Blueprint

from kernel.access import Cell
from market.web import (
    agencies,
    awards,
    bidding,
    calls,
    commissions,
    contracts,
    custody,
    deliverables,
    draws,
    needs,
    notices,
    objections,
    operations,
    requests,
    room,
    round_commands,
    shelf,
    signals,
)

MODULES = (
    shelf,
    agencies,
    commissions,
    deliverables,
    awards,
    contracts,
    objections,
    draws,
    signals,
    room,
    bidding,
    custody,
    calls,
    needs,
    requests,
    notices,
    operations,
)

blueprints: list[Blueprint] = [module.blueprint for module in MODULES]
ACCESS: dict[str, Cell] = {endpoint: cell for module in MODULES for endpoint, cell in module.ACCESS.items()}
LINKS: dict[str, Callable[[str], str]] = {noun: link for module in MODULES for noun, link in module.LINKS.items()}
#: The catalogue's commands stand with the demo's.
commands: list[Command] = [*round_commands.commands]
