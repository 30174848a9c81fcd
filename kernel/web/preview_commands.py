"""``flask previews work | list | retry``: the worker that draws pages, and a look at what it did.

Exit status: 0 fine, 1 there is no such preview, 2 wrong use.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError

from kernel import clock, previews
from kernel.db import session, transaction
from kernel.errors import PortalError
from kernel.previews import PreviewStatus

log = logging.getLogger(__name__)
#: Seconds between two looks into an empty queue, and after a fault.
_LOOK, _AFTER_FAULT = 0.25, 1.0

previews_group = AppGroup("previews", help="页面预览 / Page previews")


@previews_group.command("work")
@click.option("--once", is_flag=True, help="处理完排队的即结束 / end when the queue is empty")
def work(once: bool) -> None:
    """Draw the pages of documents that arrive, until told to stop (TERM, INT); several at once are harmless.

    A database that goes away and comes back finds the worker still there.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: told.append(number))
    while not told:
        wait = _LOOK
        try:
            if previews.work(60.0, lambda: bool(told)):
                continue
            if once:
                return
        except DBAPIError:
            wait = _AFTER_FAULT
            click.echo("数据库连接中断，等待恢复 / lost the database, waiting for it", err=True)
        except Exception:
            wait = _AFTER_FAULT
            log.exception("previews")
        finally:
            session.remove()
        time.sleep(wait)
    # Nothing is left to tidy up, and the interpreter would take longer over it than the supervisor waits.
    os._exit(0)


@previews_group.command("list")
@click.option("--status", type=click.Choice([status.value for status in PreviewStatus]), multiple=True)
@click.option("--json", "as_json", is_flag=True, help="JSON，每行一条 / JSON, one object a line")
def list_(status: tuple[str, ...], as_json: bool) -> None:
    """The latest previews: content, state, pages done of all, and what is wrong."""
    for preview in previews.listing([PreviewStatus(each) for each in status]):
        if as_json:
            line = {
                "sha256": preview.sha256,
                "status": preview.status.value,
                "pages": preview.pages,
                "pages_done": preview.pages_done,
                "problem": preview.problem,
                "requested_at": preview.requested_at.astimezone(clock.SHANGHAI).isoformat(timespec="seconds"),
            }
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            state = f"{preview.status.zh}\t{preview.pages_done}/{preview.pages or '?'}"
            click.echo(f"{preview.sha256}\t{state}\t{preview.problem_text()}".rstrip())


@previews_group.command("retry")
@click.argument("sha256")
def retry(sha256: str) -> None:
    """Make what is missing of a preview: after a failure, or when pictures were deleted."""
    try:
        with transaction():
            preview = previews.retry(sha256.strip().lower())
    except PortalError as error:
        raise click.ClickException(f"{error.text('zh')} / {error.text('en')}") from error
    click.echo(f"{preview.status.zh} / {preview.status.en}")
