"""The pages of technical review. Each module brings its blueprint, the cells of its routes and the addresses of its nouns."""

from __future__ import annotations

from collections.abc import Callable

from click import Command
from flask import Blueprint

from kernel.access import Cell
from reviews.web import (
    concluding,
    drawings,
    expert_commands,
    expert_upkeep,
    experts,
    forming,
    gathering,
    kind_upkeep,
    kinds,
    reading,
    reviews,
    round_acts,
    round_pages,
)

MODULES = (
    kinds, kind_upkeep, experts, expert_upkeep, drawings, reviews, forming, round_pages, round_acts, reading, gathering, concluding,
)  # fmt: skip

blueprints: list[Blueprint] = [module.blueprint for module in MODULES]
ACCESS: dict[str, Cell] = {endpoint: cell for module in MODULES for endpoint, cell in module.ACCESS.items()}
LINKS: dict[str, Callable[[str], str]] = {noun: link for module in MODULES for noun, link in module.LINKS.items()}
commands: list[Command] = [*expert_commands.commands]
