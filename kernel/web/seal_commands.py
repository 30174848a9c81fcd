"""``flask seals``: the certificate of the authority that signs here, and what the portal finds about a signed PDF.

Exit status: 0 fine, 1 a problem was found, 2 wrong use.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from flask.cli import AppGroup

from kernel import seals

seals_group = AppGroup(
    "seals", help="电子签章：根证书、核验签名 / Electronic seals: root certificate, checking signatures"
)


@seals_group.command("certificate")
def certificate() -> None:
    """Print the authority's certificate (PEM), for whoever wants to trust what is signed here."""
    click.echo(seals.certificate().decode("ascii"), nl=False)


@seals_group.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON / JSON alone")
def check(file: Path, as_json: bool) -> None:
    """Tell who signed FILE and whether it holds; exit 1 when a signature is broken or there is none."""
    problem = None
    found: list[seals.Signature] = []
    try:
        found = seals.verify(file, file.name, wanted=1)
    except (seals.SignatureBroken, seals.SignatureMissing) as error:
        problem = error
    if as_json:
        rows = [one.as_json() for one in found]
        click.echo(json.dumps({"signatures": rows, "problem": problem.code if problem else None}, ensure_ascii=False))
    elif problem is not None:
        click.echo(f"✘ {problem.text('zh')} / {problem.text('en')}")
    for one in () if as_json else found:
        trust = "证书可信 / trusted" if one.is_trusted else "证书未列入信任名单 / certificate not trusted here"
        click.echo(f"✔ {one.signer} · {trust}")
    sys.exit(1 if problem is not None else 0)
