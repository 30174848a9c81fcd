"""``flask matters``: the guide's lists of matters."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from flask.cli import AppGroup

from integration.approvals import guide
from kernel.db import transaction
from kernel.errors import Invalids, PortalError
from kernel.trail import SYSTEM

matters = AppGroup("matters", help="审批事项清单 / Lists of approval matters")


@matters.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output")
def import_(file: Path, as_json: bool) -> None:
    """Import a list of matters and their materials from a CSV file: all rows or none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = guide.read_csv(opened)
        with transaction():
            report = guide.import_matters(rows, SYSTEM, source=file.name)
    except Invalids as error:
        for each in error.errors:
            click.echo(f"{each.text('zh')} / {each.text('en')}", err=True)
        raise click.ClickException("没有导入任何一行 / nothing was imported") from error
    except PortalError as error:
        raise click.ClickException(f"{error.text('zh')} / {error.text('en')}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException("文件应为 UTF-8 编码 / the file must be UTF-8") from error
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False))
        return
    click.echo(f"事项 {report.matters} 个，材料 {report.materials} 份 / matters, materials")
    click.echo(f"可由服务事项产出 {report.mapped} 份 / can be delivered by a service item")
    click.echo(f"自愿委托、不作要求 {len(report.voluntary)} 份 / voluntary, not demanded")
    click.echo(f"重复、只留一份 {len(report.dropped_duplicates)} 份 / named twice, kept once")
    click.echo(f"未匹配服务事项 {len(report.unmapped)} 份 / delivered by no service item:")
    for matter, material in report.unmapped:
        click.echo(f"  {matter} · {material}")
