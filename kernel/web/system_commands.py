"""``flask clock | trail | tick | index | db | doctor``: what operators and auditors run by hand.

Exit status: 0 fine, 1 a problem was found, 2 wrong use. Answers for programs are JSON alone on standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import create_engine

from kernel import clock, files, jobs, outbox, schema, search, trail
from kernel.config import Config
from kernel.database import Database
from kernel.db import db, transaction
from kernel.errors import PortalError

clock_group = AppGroup("clock", help="时限计算 / Time limits")
trail_group = AppGroup("trail", help="全程留痕 / History")
index_group = AppGroup("index", help="检索索引 / Search index")
db_group = AppGroup("db", help="数据库 / Database")


def _settings() -> Config:
    settings: Config = current_app.extensions["portal"]
    return settings


@clock_group.command("explain", with_appcontext=False)
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
def explain(file: IO[str]) -> None:
    """Answer a question about a time limit (JSON in, JSON out); needs no database."""
    try:
        click.echo(clock.main_explain(file.read()))
    except PortalError as error:
        click.echo(clock.fault_json(error))
        sys.exit(1)


@trail_group.command("verify")
@click.option("--subject", help="只核验一个对象 / One subject only, e.g. commission:WT-2026-000001")
@click.option("--json", "as_json", is_flag=True)
def verify(subject: str | None, as_json: bool) -> None:
    """Recompute every chain of history; exit 1 when one does not hold."""
    count, breaks = trail.verify(subject)
    if as_json:
        found = [{"subject": b.subject, "row": b.row, "why": b.why} for b in breaks]
        click.echo(json.dumps({"acts": count, "breaks": found}, ensure_ascii=False))
    else:
        for b in breaks:
            click.echo(f"✘ {b.subject} #{b.row or '—'} {b.why}")
        click.echo(f"已核验 {count} 条记录，发现 {len(breaks)} 处异常 / {count} acts verified, {len(breaks)} breaks")
    sys.exit(1 if breaks else 0)


@trail_group.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(file: IO[str]) -> None:
    """Write the whole history, one JSON act a line."""
    for entry in trail.everything_unscoped():
        file.write(json.dumps(as_line(entry), ensure_ascii=False) + "\n")


def as_line(entry: trail.TrailAct) -> dict[str, object]:
    """One act as a program reads it."""
    return {
        "act": entry.act,
        "at": entry.at.astimezone(clock.SHANGHAI).isoformat(),
        "by": f"{entry.organisation} {entry.person}".strip(),
        "subject": entry.subject,
        "sequence": entry.sequence,
        "data": entry.data,
        "hash": entry.hash,
    }


@click.command("tick")
def tick() -> None:
    """Apply what is due now and drain what waits, once."""
    acts = jobs.run_due()
    rows = search.index_pending()
    click.echo(f"到期事项 {acts} 项，索引 {rows} 条 / {acts} due acts, {rows} index messages")


@index_group.command("rebuild")
def rebuild() -> None:
    """Build the search index anew from the database and switch to it."""

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done}/{total}", nl=False, err=True)

    click.echo(f"\n{search.rebuild(progress)} 条 / entries")


@index_group.command("check")
def check_index() -> None:
    """Compare the index with the database; exit 1 when they differ."""
    differences = search.check()
    for line in differences:
        click.echo(f"✘ {line}")
    if not differences:
        click.echo("✔ 索引与数据库一致 / index and database agree")
    sys.exit(1 if differences else 0)


@db_group.command("upgrade")
def upgrade() -> None:
    """Run the migrations as the owner and grant the web role its rights."""
    database: Database = current_app.extensions["database"]
    schema.upgrade(database.urls()[1])
    click.echo(f"✔ {schema.head()}")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: its name, and what is wrong with how to mend it (None: fine)."""

    name: str
    fault: Callable[[], str | None]


@click.command("doctor")
def doctor() -> None:
    """Look the installation over: ✔ fine, ✘ wrong with a one-line mend; exit 1 if anything is wrong."""
    faults = 0
    for check in (
        Check("数据库 / database", _database_fault),
        Check("迁移 / migrations", _migration_fault),
        Check("历史只增 / history is insert-only", _history_fault),
        Check("文件目录 / files", _files_fault),
        Check("索引 / index", _index_fault),
        Check("待处理队列 / outbox", _outbox_fault),
        Check("日历 / calendar", _calendar_fault),
        Check("演示模式 / sandbox", _sandbox_fault),
    ):
        try:
            fault = check.fault()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
        faults += fault is not None
        click.echo(f"✔ {check.name}" if fault is None else f"✘ {check.name}：{fault}")
    sys.exit(1 if faults else 0)


def _database_fault() -> str | None:
    with db.engine.connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
    return None if int(version) >= 150000 else "需要 PostgreSQL 15 以上 / PostgreSQL 15 or newer is needed"


def _migration_fault() -> str | None:
    database: Database = current_app.extensions["database"]
    engine = create_engine(database.urls()[1])
    try:
        have = schema.current(engine)
    finally:
        engine.dispose()
    return None if have == schema.head() else f"运行 flask db upgrade（现为 {have or '空'}）/ run flask db upgrade"


def _history_fault() -> str | None:
    with db.engine.connect() as connection:
        may = connection.exec_driver_sql("SELECT has_table_privilege('trail', 'UPDATE, DELETE')").scalar_one()
    return "网页角色能修改历史，请用独立的角色运行 / the web role can change history" if may else None


def _files_fault() -> str | None:
    folder = _settings().files_folder
    folder.mkdir(parents=True, exist_ok=True)
    return None if folder.is_dir() and files.MEDIA_TYPES else f"{folder} 不可用 / unusable"


def _index_fault() -> str | None:
    differences = search.check()
    return f"运行 flask index rebuild（{len(differences)} 处不同）/ run flask index rebuild" if differences else None


def _outbox_fault() -> str | None:
    waiting = outbox.waiting("search")
    return (
        f"{waiting} 条未处理，请确认 flask scheduler 在运行 / {waiting} waiting; is flask scheduler running?"
        if waiting > 1000
        else None
    )


def _calendar_fault() -> str | None:
    today = clock.today()
    if clock.china().is_provisional(today):
        return f"{today.year} 年放假安排尚未导入，时限为暂定 / the calendar of {today.year} is provisional"
    return None


def _sandbox_fault() -> str | None:
    settings = _settings()
    if settings.sandbox and settings.database_owner_url == "" and settings.database_url:
        return "正式数据库上开着演示模式 / the sandbox is on with a real database"
    return None


@db_group.command("reference")
def reference() -> None:
    """Load what every installation starts with (policies, qualifications, items, example guide)."""
    load: Callable[[], None] = current_app.extensions["load_reference"]
    with transaction():
        load()
    click.echo("✔")


commands = [clock_group, trail_group, index_group, db_group, tick, doctor]
