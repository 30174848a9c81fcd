"""A document of 300 pages becomes readable in the browser: how soon its first page, how fast all, in how much memory.

Measured is the real worker process (``flask previews work``) with the reader it starts. The document is text, tables and
drawings of thousands of lines, made anew from a seed, with its fonts inside. Its first page counts from the moment in
which somebody asks for it: once with an idle worker, and once while the worker is busy with another such document.
"""

from __future__ import annotations

import argparse
import io
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench.storm import merge, quantile  # noqa: E402

#: Seconds until the first page, bytes of worker and reader together.
FIRST, MEMORY = 2.0, 300 << 20
SIGNS = "防火间距容积率建筑高度结构安全等级抗震设防烈度基础埋深给水排水通风空调电气照明消防疏散绿地停车"


@dataclass(frozen=True, slots=True)
class Plan:
    """``asked``: so often a first page is asked for, of a document of its own."""

    pages: int
    strokes: int
    asked: int


FULL = Plan(300, 3_000, 5)
QUICK = Plan(12, 300, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: a dozen pages")
    parser.add_argument("--output", type=Path, default=None, help="the results (JSON) into which this one is merged")
    asked = parser.parse_args(arguments)
    found = run(QUICK if asked.quick else FULL, "quick" if asked.quick else "full")
    output = asked.output or (ROOT / "var" / "bench" / "quick.json" if asked.quick else ROOT / "bench" / "results.json")
    merge(output, "previews", found)
    for name, value in found.items():
        print(f"  {name}: {value}")
    print(f"first page within {FIRST:g} s: {'met' if found['first_met'] else 'MISSED'}")
    print(f"memory within {MEMORY >> 20} MB: {'met' if found['memory_met'] else 'MISSED'}")
    return 0 if found["ready"] else 2


def run(plan: Plan, kind: str) -> dict[str, Any]:
    """Make the documents, let the worker draw them, and answer what is written to the results."""
    import psutil

    from bench import ground as grounds
    from bench.watch import Peak, Tree
    from kernel import previews, supervisor

    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with supervisor.running(folder) as cluster, grounds.town(cluster, f"previews_{kind}", folder) as made:
        print(f"making a document of {plan.pages} pages", flush=True)
        content = document(plan, seed=1)
        others = psutil.cpu_percent(3.0)
        with worker(made) as process:
            idle = [_first_page(f"idle {turn}", document(_short(plan), seed=100 + turn)) for turn in range(plan.asked)]
            print("drawing it", flush=True)
            with Peak(Tree(process.pid)) as peak:
                sha256 = _keep("whole.pdf", content)
                began = time.monotonic()
                is_ready, most = _until_ready(sha256, plan, process)
                seconds = time.monotonic() - began
            _keep("busy.pdf", document(plan, seed=2))
            time.sleep(0.5)
            busy = [_first_page(f"busy {turn}", document(_short(plan), seed=200 + turn)) for turn in range(plan.asked)]
        pictures = [previews.image_path(sha256, page).stat().st_size for page in range(1, plan.pages + 1)]
    return {
        "kind": kind,
        "others_busy_percent": others,
        "pages": plan.pages,
        "document_mb": round(len(content) / 2**20, 1),
        "ready": is_ready,
        "seconds": round(seconds, 1),
        "pages_per_second": round(plan.pages / seconds, 1),
        "picture_kb_p50": round(quantile(pictures, 0.5) / 1024, 1),
        "picture_kb_most": round(max(pictures) / 1024, 1),
        "first_page_seconds": round(quantile(idle, 0.5), 2),
        "first_page_most_seconds": round(max(idle), 2),
        "first_page_while_busy_seconds": round(quantile(busy, 0.5), 2),
        "first_page_while_busy_most_seconds": round(max(busy), 2),
        "first_target_seconds": FIRST,
        "first_met": max(idle + busy) <= FIRST,
        "peak_mb": round(peak.bytes / 2**20),
        "peak_reader_mb": round(most / 2**20),
        "target_mb": MEMORY >> 20,
        "memory_met": peak.bytes <= MEMORY,
    }


def document(plan: Plan, seed: int) -> bytes:
    """A PDF of so many pages: of four, two with text, one with a table, one a drawing on A3."""
    import typst

    chance = random.Random(seed)
    parts = [f'#set text(size: 10.5pt, lang: "zh")\n#set page(paper: "a4")\n#set document(title: "{seed}")\n']
    for number in range(plan.pages):
        match number % 4:
            case 3:
                parts.append(_drawing(chance, plan.strokes))
            case 2:
                cells = ", ".join(f"[{_words(chance, 6)}]" for _ in range(5 * 30))
                parts.append(f'#page(paper: "a4")[#table(columns: 5, {cells})]\n')
            case _:
                paragraphs = "\n\n".join(_words(chance, 150) for _ in range(6))
                parts.append(f'#page(paper: "a4")[= {number + 1} {_words(chance, 8)}\n\n{paragraphs}]\n')
    return bytes(typst.compile("".join(parts).encode(), format="pdf"))


def _words(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(SIGNS, k=count)) + "。"


def _drawing(chance: random.Random, strokes: int) -> str:
    """Lines in several colours, with short texts among them."""
    lines = []
    for _ in range(strokes):
        x, y, length = chance.randint(0, 1000), chance.randint(0, 700), chance.randint(5, 120)
        angle, colour = chance.choice((0, 0, 90, 90, 45)), chance.choice(("black", "black", "red", "blue", "gray"))
        lines.append(
            f"#place(dx: {x}pt, dy: {y}pt, line(length: {length}pt, angle: {angle}deg, stroke: 0.4pt + {colour}))"
        )
    texts = [
        f"#place(dx: {chance.randint(0, 1000)}pt, dy: {chance.randint(0, 700)}pt, text(size: 6pt)[{_words(chance, 5)}])"
        for _ in range(60)
    ]
    return f'#page(paper: "a3", flipped: true)[{"".join(lines + texts)}]\n'


@contextmanager
def worker(made: Any) -> Iterator[Any]:
    """The worker's process, once it has drawn something."""
    import psutil

    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "previews", "work"],
        cwd=ROOT,
        env=made.environment,
        stdin=subprocess.DEVNULL,
    )
    try:
        _first_page("warm up", document(Plan(1, 1, 1), seed=3), patience=120)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(15)


def _short(plan: Plan) -> Plan:
    """A document that is quickly made and of which only the first page is waited for."""
    return Plan(min(plan.pages, 8), plan.strokes, 1)


def _keep(name: str, content: bytes) -> str:
    from kernel import files, previews
    from kernel.db import session, transaction
    from kernel.trail import SYSTEM

    with transaction():
        kept = files.put(io.BytesIO(content), name, by=SYSTEM)
        previews.request(kept)
    session.remove()
    return kept.sha256


def _first_page(name: str, content: bytes, *, patience: float = 30) -> float:
    """Seconds from asking for a new document's first page until it is there."""
    from kernel import previews
    from kernel.db import session, transaction

    sha256 = _keep(f"{name}.pdf", content)
    with transaction():
        previews.ask_first(sha256)
    began = time.monotonic()
    while previews.page_of(sha256, 1) is None:
        if time.monotonic() > began + patience:
            raise SystemExit("the worker draws nothing")
        session.remove()
        time.sleep(0.01)
    assert previews.image_path(sha256, 1).is_file()
    return time.monotonic() - began


def _until_ready(sha256: str, plan: Plan, process: Any) -> tuple[bool, int]:
    """Wait for the whole document, or a second for each page.

    Answers whether every page is there without a problem, and the most memory that the reader alone held.
    """
    import psutil

    from kernel import previews
    from kernel.db import session
    from kernel.previews import PreviewStatus

    until, most = time.monotonic() + 30 + plan.pages, 0
    while time.monotonic() < until:
        for reader in process.children():
            with suppress(psutil.NoSuchProcess):
                most = max(most, reader.memory_info().rss)
        session.remove()
        preview = previews.of(sha256)
        assert preview is not None
        if not preview.is_open:
            pages = previews.pages_of(sha256, with_text=False)
            return preview.status == PreviewStatus.READY and not any(page.problem for page in pages), most
        time.sleep(0.1)
    return False, most


if __name__ == "__main__":
    sys.exit(main())
