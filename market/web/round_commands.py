"""``flask rounds``: an auction in rounds recomputed from its record, by anyone (competition.md "Descending rounds").

Exit status: 0 answered, 2 the record cannot be read. Either answer is JSON alone on standard output.
"""

from __future__ import annotations

import sys
from typing import IO

import click
from flask.cli import AppGroup

from kernel import clock
from kernel.errors import PortalError
from market import rounds

group = AppGroup("rounds", help="多轮竞价 / Descending rounds")


@group.command("replay", with_appcontext=False)
@click.argument("file", type=click.File("rb"), default="-")
def replay(file: IO[bytes]) -> None:
    """Recompute the result from a record file (JSON in, JSON out); needs no database."""
    try:
        click.echo(rounds.main_replay(file.read()))
    except PortalError as error:
        click.echo(clock.fault_json(error))
        sys.exit(2)


commands = (group,)
