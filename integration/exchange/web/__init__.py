"""The JSON API of ``/api/v1``, its description, and the commands that issue access tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from integration.exchange.web import calls, commissions, contract, description, dossiers, matters, shelf
from integration.exchange.web import commands as token_commands
from kernel.access import Cell
from kernel.web import register_authenticator

__all__ = ["ACCESS", "LINKS", "blueprints", "calls", "commands", "commissions", "dossiers", "matters", "shelf"]

blueprints = (contract.blueprint, description.blueprint)
ACCESS: Mapping[str, Cell] = {**contract.ACCESS, **description.ACCESS}
LINKS: Mapping[str, Callable[[str], str]] = {}
commands = (token_commands.group,)

register_authenticator(contract.vouch)
