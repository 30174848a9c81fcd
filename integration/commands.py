"""``flask init | demo | catalogue | serve | scheduler | story``: commands that need more than one package."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

import click
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from integration import demo
from kernel import clock, cluster, files, jobs, sandbox, schema, search, supervisor
from kernel.config import ROOT, Config
from kernel.database import NAME, Database
from kernel.db import db, session, transaction
from kernel.errors import Invalids, PortalError
from kernel.trail import SYSTEM
from kernel.web.once import forget_attempts
from market import catalogue

demo_group = AppGroup("demo", help="演示数据 / Demo data")
catalogue_group = AppGroup("catalogue", help="服务事项目录 / Catalogue of service items")
#: Locked by the one scheduler that leads; others wait for it.
LEADER = 7302
_DAY = timedelta(days=1)


def say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


@click.command("init")
def init() -> None:
    """Migrate, and load what every installation starts with; safe to run again."""
    database: Database = current_app.extensions["database"]
    schema.upgrade(database.urls()[1])
    with transaction():
        demo.city.load_reference()
        if not _settings().sandbox:
            sandbox.leave()
    say(f"✔ {schema.head()}")


@demo_group.command("load")
@click.option("--size", type=click.Choice(["s", "m", "l"]), default="s", help="s 演示；m、l 另加测量用数据")
@click.option("--seed", default=1, help="同一种子产生同样的数据 / the same seed makes the same data")
def demo_load(size: str, seed: int) -> None:
    """Load the demo city; sizes m and l add seeded mass data for measuring."""
    with transaction():
        city = demo.load()
    say("演示数据已载入 / demo loaded" if city else "演示数据已存在 / the demo is there already")
    if size != "s":
        demo.bulk.load(demo.bulk.SIZES[size], seed=seed, say=say)
    search.index_pending()


@demo_group.command("reset")
@click.confirmation_option(prompt="将清除演示数据库的全部数据 / This empties the demo database")
def demo_reset() -> None:
    """Empty the bundled database and load the demo anew; refused for a database of your own."""
    database: Database = current_app.extensions["database"]
    if not database.is_bundled:
        raise click.ClickException("只能重置自带的演示数据库 / only the bundled database can be reset")
    url = database.urls()[1]
    db.engine.dispose()
    running = cluster.start(_settings().data)
    running.drop_database(NAME)
    running.ensure_database(NAME)
    schema.upgrade(url)
    with transaction():
        demo.load()
    search.rebuild()
    say("✔")


@catalogue_group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def catalogue_import(path: Path) -> None:
    """Take a CSV or XLSX file of items, whole or not at all."""
    try:
        if path.suffix.lower() == ".xlsx":
            with path.open("rb") as binary:
                rows = catalogue.read_xlsx(binary)
        else:
            with path.open(encoding="utf-8-sig", newline="") as plain:
                rows = catalogue.read_csv(plain)
        with transaction():
            new, changed = catalogue.import_items(rows, by=SYSTEM)
    except PortalError as error:
        tell(error)
        sys.exit(1)
    say(f"新增 {new} 项，更新 {changed} 项，共 {len(rows)} 行 / {new} new, {changed} changed of {len(rows)} rows")


@catalogue_group.command("export")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def catalogue_export(path: Path) -> None:
    """Write all items to a CSV or XLSX file."""
    if path.suffix.lower() == ".xlsx":
        path.write_bytes(catalogue.write_xlsx())
    else:
        out: IO[str]
        with path.open("w", encoding="utf-8", newline="") as out:
            catalogue.write_csv(out)
    say(f"✔ {path}")


def tell(error: PortalError) -> None:
    """An error's text on standard error, every fault of a file on a line of its own."""
    for one in error.errors if isinstance(error, Invalids) else [error]:
        click.echo(f"✘ {one.text('zh')} / {one.text('en')}", err=True)


@click.command("serve")
def serve() -> None:
    """Start database, web, scheduler and previews, and stop all of them together (TERM, INT)."""
    from kernel import config

    settings = config.load()
    try:
        supervisor.require_free(settings.host, settings.port)
        if settings.database_url:
            sys.exit(_supervise(settings, dict(os.environ)))
        with supervisor.running(settings.data) as running:
            running.ensure_database(NAME)
            environment = os.environ | {
                "DATABASE_URL": running.web_url(NAME),
                "DATABASE_OWNER_URL": running.owner_url(NAME),
                "SANDBOX": os.environ.get("SANDBOX", "1"),
            }
            sys.exit(_supervise(settings, environment))
    except PortalError as error:
        tell(error)
        sys.exit(1)


def _supervise(settings: Config, environment: dict[str, str]) -> int:
    import subprocess

    flask = [sys.executable, "-m", "flask", "--app", "app"]
    is_demo = environment.get("SANDBOX") == "1"
    say("正在准备数据库 / preparing the database")
    for command in [["init"], *([["demo", "load"]] if is_demo else [])]:
        done = subprocess.run([*flask, *command], env=environment, cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
    address = f"http://{settings.host}:{settings.port}/"
    say("正在启动网页和定时任务 / starting web and scheduler")
    return supervisor.supervise(
        [
            supervisor.Child(
                "web",
                web_command(settings.host, settings.port, settings.workers, settings.threads),
                supervisor.listening(settings.host, settings.port),
                environment,
            ),
            supervisor.Child("scheduler", [*flask, "scheduler"], environment=environment),
            supervisor.Child("previews", [*flask, "previews", "work"], environment=environment, restarts=True),
        ],
        lambda: _welcome(address, is_demo),
    )


def web_command(host: str, port: int, workers: int, threads: int) -> list[str]:
    """The server that every way of starting the portal runs: here, in the story and when measuring.

    A worker that dies is replaced while the others go on; one that dies again at once ends the server.
    """
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "app:web",
        "--host", host, "--port", str(port),
        "--workers", str(workers), "--blocking-threads", str(threads),
        "--workers-kill-timeout", "1", "--respawn-failed-workers", "--log-level", "warning", "--no-ws",
    ]  # fmt: skip


def _welcome(address: str, is_demo: bool) -> None:
    say(f"\n已启动 / running: {address}")
    if is_demo:
        say(f"演示账号（口令均为 / all with the password {demo.city.PASSWORD}；登录页显示动态口令并可一键登录）：")
        for login, name, organisation, role in demo.city.PEOPLE:
            full = demo.city.ORGANISATIONS[organisation][1]
            say(f"  {login:<11} {role.zh}　{name}　{full}")
    say("按 Ctrl+C 停止 / Ctrl+C stops everything\n")


@click.command("scheduler")
def scheduler() -> None:
    """Drive the one due-loop and the index; several at once are harmless, one leads.

    A database that goes away and comes back finds the scheduler still there, competing to lead again.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    search.warm_up()
    while True:
        leader = _lead()
        session.remove()
        _drive(app, leader)
        leader.invalidate()
        leader.close()
        say("数据库连接中断，等待恢复 / lost the database, waiting for it")


def _lead() -> Connection:
    """Wait for the database and for one's turn to lead; the connection holds the lock."""
    while True:
        with suppress(DBAPIError):
            leader = db.engine.connect()
            leader.detach()
            while not leader.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER}).scalar_one():
                time.sleep(1)
            return leader
        time.sleep(1)


def _drive(app: Flask, leader: Connection) -> None:
    """Run what is due, four times a second, and the index beside it, until the lock is lost."""

    def due() -> None:
        with app.app_context():
            jobs.run_due()

    def second() -> None:
        with app.app_context():
            search.index_pending()

    def hour() -> None:
        with app.app_context():
            files.sweep()
            with transaction():
                forget_attempts(clock.machine().replace(microsecond=0) - _DAY)

    runner = BlockingScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
    # A turn of a live auction is announced within a second: four looks leave the acts most of it.
    runner.add_job(due, "interval", seconds=0.25, id="due")
    runner.add_job(second, "interval", seconds=1, id="second")
    runner.add_job(hour, "interval", hours=1, id="hour")
    # That a look takes longer than a quarter of a second, so that the next one is left out, is no news.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)

    def check() -> None:
        if not _is_alive(leader):
            runner.shutdown(wait=False)

    runner.add_job(check, "interval", seconds=1, id="leader")
    runner.start()


def _is_alive(connection: Connection) -> bool:
    try:
        connection.execute(text("SELECT 1"))
    except DBAPIError:
        return False
    return not connection.invalidated


def _settings() -> Config:
    settings: Config = current_app.extensions["portal"]
    return settings


commands = [init, demo_group, catalogue_group, serve, scheduler]
