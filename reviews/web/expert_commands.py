"""``flask experts``: the register from a list."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask.cli import AppGroup

from kernel.db import transaction
from kernel.errors import Invalids, PortalError
from kernel.trail import SYSTEM
from market.catalogue import FileUnreadable
from reviews import experts

group = AppGroup("experts", help="专家库 / Register of experts")


@group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_list(path: Path) -> None:
    """Take a CSV file of experts, whole or not at all; every fault is told with its row."""
    try:
        rows = _read(path)
        with transaction():
            count = experts.import_experts(rows, by=SYSTEM)
    except PortalError as error:
        for one in error.errors if isinstance(error, Invalids) else [error]:
            click.echo(f"✘ {one.text('zh')} / {one.text('en')}", err=True)
        sys.exit(1)
    click.echo(f"入库 {count} 名专家 / {count} experts registered")


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return experts.read_csv(file)
    except UnicodeDecodeError as error:
        raise FileUnreadable(field="file", what=str(error)) from None


commands = (group,)
