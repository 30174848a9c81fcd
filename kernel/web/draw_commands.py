"""``flask draw verify FILE``: the stand-alone verifier, run as a stranger runs it (competition, "Random draw").

Exit status: 0 the record holds, 1 it doesn't, 2 wrong use.
"""

from __future__ import annotations

import json
import subprocess
import sys

import click
from flask.cli import AppGroup

from kernel.config import ROOT

VERIFIER = ROOT / "tools" / "verify_draw.py"

draw_group = AppGroup("draw", help="随机抽取 / Random draws")


@draw_group.command("verify", with_appcontext=False)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True))
@click.option("--json", "as_json", is_flag=True, help='{"ok": …, "why": …}')
def verify(file: str, as_json: bool) -> None:
    """Work the record of a draw (draw.json) out anew; exit 1 when it doesn't hold. Needs no database."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(VERIFIER), file], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode not in (0, 1):
        click.echo(done.stderr.strip(), err=True)
        sys.exit(2)
    holds = done.returncode == 0
    if as_json:
        click.echo(json.dumps({"ok": holds, "why": None if holds else done.stderr.strip()}, ensure_ascii=False))
    else:
        click.echo(done.stdout.strip() if holds else done.stderr.strip())
    sys.exit(done.returncode)
