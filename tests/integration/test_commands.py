"""What a newcomer types: the commands of the README are run here, as written there."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import story

ROOT = Path(__file__).resolve().parents[2]
#: Commands shown in a code block of the README → where they are run.
RUN = {
    "make run": "test_make_run_serves_the_portal_and_stops_it_whole",
    "make test": "this very run",
    "make story": "test_the_story_tells_the_whole_chain",
}


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PORTAL_", "DATABASE_", "PYTEST"))}
    return kept | more


@pytest.fixture
def place() -> Iterator[Path]:
    """A data folder inside the checkout, where the database's own user may go."""
    folder = ROOT / "var" / f"commands-{os.getpid()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("readme", ["README.md", "README.en.md"])
def test_the_first_lines_of_the_readme_are_the_two_commands(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert text.index("```sh") < 200
    assert [line.split("#")[0].strip() for line in block[1].strip().splitlines()] == ["make run", "make test"]


@pytest.mark.parametrize("readme", ["README.md", "README.en.md"])
def test_every_command_of_the_readme_exists_and_is_run(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    shown = [
        line.split("#")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    assert {line for line in shown if line} <= RUN.keys()
    known = commands_of_a_process()
    for words in re.findall(r"`(?:[^`]*&& )?(?:\.venv/bin/)?flask ([a-z]+)(?: ([a-z]+))?[^`]*`", text):
        inner = known[words[0]]
        assert not words[1] or not inner or words[1] in inner, words


def commands_of_a_process() -> dict[str, list[str]]:
    """Every `flask` command with its subcommands, asked of a process of its own: an application is wired once in one."""
    code = "import app, json; c = app.create_app().cli.commands; print(json.dumps({n: sorted(getattr(x, 'commands', [])) for n, x in c.items()}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_make_run_serves_the_portal_and_stops_it_whole(place: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(PORT=str(port), PORTAL_DATA=str(place))
    with subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            page = wait_for(f"http://127.0.0.1:{port}/", running)
            assert "演示环境" in page
            taken = subprocess.run(["make", "run"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert taken.returncode != 0
            assert str(port) in taken.stderr + taken.stdout
            assert "Traceback" not in taken.stderr
        finally:
            running.send_signal(signal.SIGTERM)
        told, _ = running.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}/" in told
    assert "applicant" in told
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    assert not (place / "pg" / "postmaster.pid").exists()


def wait_for(url: str, running: subprocess.Popen[str]) -> str:
    for _ in range(1800):  # the three minutes that the README promises
        assert running.poll() is None, running.stdout and running.stdout.read()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the portal did not answer")


def test_the_story_tells_the_whole_chain_and_leaves_what_others_can_check() -> None:
    done = subprocess.run(["make", "story"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = _told()
    assert all(line.keys() >= {"act", "at", "by", "subject"} for line in lines)
    acts = iter(line["act"] for line in lines)
    assert all(wanted in acts for part in story.CHAIN for wanted in part)
    assert "commission.offered" in done.stdout
    row = json.loads((ROOT / "var/story/table-four.json").read_text(encoding="utf-8"))
    assert row["中介服务超市平台办理开始时间"] < row["中介服务超市平台办理结束时间"]
    assert row["成果材料是否上传中介服务超市平台"] == "是"
    _signatures_hold(ROOT / "var/story/review-report.pdf")


def _signatures_hold(report: Path) -> None:
    """By a program of others: three signatures, and none after one changed byte."""
    if shutil.which("pdfsig") is None:
        pytest.skip("pdfsig is not installed")
    whole = _pdfsig(report)
    assert whole.count("Signature is Valid.") == 3
    assert whole.count("Total document signed") == 1
    content = bytearray(report.read_bytes())
    content[1000] ^= 1
    changed = report.with_name("changed.pdf")
    changed.write_bytes(content)
    assert "Signature is Valid." not in _pdfsig(changed)
    changed.unlink()


def _pdfsig(file: Path) -> str:
    return subprocess.run(["pdfsig", str(file)], capture_output=True, text=True, check=False).stdout


def test_the_story_is_told_with_a_citys_own_matters(tmp_path: Path) -> None:
    file = tmp_path / "matters.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["matter_no", "matter", "department", "promised_working_days", "material"])
        rows.writerow([1, "某市取水许可审批", "某市行政审批局", 5, "水资源论证报告书"])
        rows.writerow([1, "某市取水许可审批", "某市行政审批局", 5, "取水许可申请书"])
    command = [sys.executable, "-m", "flask", "--app", "app", "story", "--parts", "1"]
    env = environment() | {"STORY_MATTERS": str(file)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "某市取水许可审批" in done.stdout
    acts = iter(line["act"] for line in _told())
    assert all(wanted in acts for wanted in story.CHAIN[0])


def _told() -> list[dict[str, str]]:
    return [json.loads(line) for line in (ROOT / "var/story/trail.jsonl").read_text(encoding="utf-8").splitlines()]


def test_clock_explain_needs_no_database_and_answers_json_alone() -> None:
    question = {
        "timer": {"unit": "working_day", "limit": 10, "warn": 2},
        "ruleset": {"pause_day": True, "resume_day": True},
        "events": [
            {"on": "2024-03-04", "event": "start"},
            {"on": "2024-03-06", "event": "stop", "key": "correction:1"},
            {"on": "2024-03-13", "event": "go", "key": "correction:1"},
        ],
        "now": "2024-03-14",
    }
    done = subprocess.run(
        [ROOT / ".venv/bin/flask", "clock", "explain", "-"],
        cwd=ROOT,
        env=environment(DATABASE_URL="postgresql+psycopg://nobody@127.0.0.1:1/none"),
        input=json.dumps([question]),
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = json.loads(done.stdout)
    assert answer | {"days": []} == {
        "used": 2,
        "left": 8,
        "due": "2024-03-26",
        "light": "green",
        "provisional": False,
        "days": [],
    }
    assert answer["days"][0]["on"] == "2024-03-05"
