"""``flask story``: the whole chain over HTTP, from the shelf to the decision, as people play it.

A portal of its own (cluster, database, free port) is started in the sandbox, so that the story also runs beside
a running portal. Every act goes through the pages. It ends by verifying the history, and leaves under
``var/story/`` what it produced, to be checked by other programs: ``trail.jsonl`` (one act a line: ``act``, ``at``,
``by``, ``subject``), ``deliverable.pdf``, ``opening/`` (sealed bids and keys: the ``age`` program opens them),
``draw.json`` (``tools/verify_draw.py`` repeats it), ``rounds.json`` (``flask rounds replay`` recomputes it), ``review-report.pdf``
(``pdfsig`` checks its signatures) and ``table-four.json`` (the review's row of the fourth table).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import click

from integration.commands import say, tell
from integration.story import browser
from integration.story.first import First
from integration.story.fourth import Fourth, table_four
from integration.story.second import Second
from integration.story.stage import FOLDER, StoryBroken, flask, portal
from integration.story.third import Third
from integration.visitor import UnexpectedAnswer
from kernel import config, supervisor
from kernel.errors import PortalError

DATABASE = "story"
#: What the trail must contain, in this order, part by part.
CHAIN = (
    (
        # From the shelf to the decision.
        "commission.offered",
        "commission.taken_on",
        "service.started",
        "deliverable.submitted",
        "deliverable.returned",
        "deliverable.submitted",
        "deliverable.accepted",
        "document.attached",
        "service.finished",
        "matter.granted",
    ),
    (
        # Paid by government: five sealed bids, a tie, a draw, an objection.
        "commission.requested",
        "commission.taken_up",
        "key.provided",
        "call.approved",
        "commission.published",
        "bid.received",
        "bidding.closed",
        "bids.opened",
        "draw.listed",
        "draw.committed",
        "draw.drawn",
        "award.published",
        "objection.filed",
        "objection.rejected",
        "commission.offered",
        "commission.taken_on",
        "contract.confirmed",
        "service.started",
        "deliverable.submitted",
        "deliverable.accepted",
        "document.attached",
        "service.finished",
        "matter.granted",
    ),
    (
        # Three live rounds.
        "commission.published",
        "bid.received",
        "bids.opened",
        "auction.planned",
        "auction.started",
        "auction.finished",
        "award.published",
        "commission.offered",
    ),
    (
        # Drawings reviewed by three drawn experts and three departments, in two rounds.
        "commission.offered",
        "commission.taken_on",
        "service.started",
        "review.begun",
        "draw.listed",
        "draw.drawn",
        "review.conflict_declared",
        "review.replaced",
        "review.round_opened",
        "review.no_comment",
        "review.department_urged",
        "review.department_silent",
        "review.all_in",
        "review.issued",
        "review.answered",
        "review.resubmitted",
        "review.opinion_closed",
        "review.concluded",
        "review.signed",
        "review.published",
        "deliverable.submitted",
        "document.attached",
        "service.finished",
        "matter.granted",
    ),
)


@click.command("story")
@click.option(
    "--parts",
    type=click.IntRange(1, 4),
    default=4,
    help="演到第几部分 / How many of the four parts are played, from the first.",
)
def story(parts: int) -> None:
    """Play the whole chain over HTTP and verify its history; exit 1 when it breaks."""
    try:
        settings = config.load()
        _play(Path(settings.story_matters) if settings.story_matters else None, parts)
    except PortalError as error:
        tell(error)
        sys.exit(1)
    except (StoryBroken, UnexpectedAnswer, OSError, subprocess.CalledProcessError) as error:
        click.echo(f"✘ {error}", err=True)
        sys.exit(1)


def _play(matters_file: Path | None, parts: int) -> None:
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    with supervisor.running(FOLDER / "portal") as running:
        running.ensure_database(DATABASE)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PORTAL_")} | {
            "DATABASE_URL": running.web_url(DATABASE),
            "DATABASE_OWNER_URL": running.owner_url(DATABASE),
            "PORTAL_DATA": str(FOLDER / "portal"),
            "SANDBOX": "1",
            "STORY_MATTERS": "",
        }
        say("正在准备演示数据 / preparing the demo")
        flask(["init"], environment)
        flask(["demo", "load"], environment)
        if matters_file is not None:
            say(flask(["matters", "import", str(matters_file.resolve())], environment).strip())
        with portal(environment) as base:
            say("一、从货架到决定 / part one: from the shelf to the decision")
            number = First(base, has_own_matters=matters_file is not None).play()
            if parts > 1:
                say("二、政府付费的密封竞价 / part two: sealed bids, paid by government")
                Second(base, environment, has_browser=browser.is_there()).play()
            if parts > 2:
                say("三、多轮竞价 / part three: descending rounds")
                Third(base, environment).play()
            if parts > 3:
                say("四、施工图审查 / part four: a review of construction drawings")
                reviewed = Fourth(base, environment).play()
        lines = _export(environment)
        _check(lines, parts)
        if parts > 3:
            table_four(lines, reviewed)
        say(flask(["trail", "verify"], environment).strip())
        say(f"✔ 全链条办结，决定 {number} 引用了成果的确切版本 / the chain is complete; the decision pins the version")
    shutil.rmtree(FOLDER / "portal")


def _export(environment: dict[str, str]) -> list[dict[str, object]]:
    path = FOLDER / "trail.jsonl"
    flask(["trail", "export", str(path)], environment)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    told = [line for line in lines if str(line["subject"]).split(":")[0] in TOLD]
    for line in told:
        say(f"{str(line['at'])[:19].replace('T', ' ')}  {line['act']:<28} {line['by']}  {line['subject']}")
    return lines


#: Subjects whose acts are told on the terminal; the file holds all.
TOLD = frozenset({"commission", "deliverable", "document", "case", "matter", "draw", "objection", "contract", "review"})


def _check(lines: list[dict[str, object]], parts: int) -> None:
    acts = iter(str(line["act"]) for line in lines)
    for wanted in chain(*CHAIN[:parts]):
        if wanted not in acts:
            raise StoryBroken(f"缺少 {wanted}，或次序不对 / {wanted} is missing or out of order")
