"""A draw can be repeated by anybody, favours nobody, and a changed byte shows (trust G7; competition, "Random draw")."""

from __future__ import annotations

import ast
import hashlib
import hmac
import importlib.util
import json
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import draws
from kernel.clock import NaiveInstant
from kernel.draws import Candidate, DrawRecord, Rule
from kernel.errors import PortalError
from kernel.web.draw_commands import draw_group

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "verify_draw.py"
PUBLISHED = datetime(2026, 3, 1, 1, tzinfo=UTC)


@cache
def verifier() -> Callable[[bytes], str]:
    """``verify`` of the stand-alone tool, which raises on a record that doesn't hold."""
    spec = importlib.util.spec_from_file_location("verify_draw", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verify: Callable[[bytes], str] = module.verify
    return verify


def holds(data: bytes) -> bool:
    try:
        verifier()(data)
    except Exception:
        return False
    return True


def seed(text: object) -> str:
    return hashlib.sha256(f"test/{text}".encode()).hexdigest()


def drawn(
    candidates: Sequence[Candidate],
    seeds: Mapping[str, str],
    *,
    number: str = "CQ-2026-000001",
    text: str = "抽取一家",
    picked: int = 1,
    source: str | None = None,
    outside: str | None = None,
) -> DrawRecord:
    """A draw from publication to record, everybody keeping the rules."""
    rule = Rule(text, picked, tuple(seeds), source)
    return draws.draw(
        number,
        rule,
        candidates,
        published_at=PUBLISHED,
        published_hash=draws.list_hash(number, rule, candidates),
        commitments={party: draws.commitment(number, party, value) for party, value in seeds.items()},
        seeds=seeds,
        outside=outside,
    )


def agencies(count: int) -> list[Candidate]:
    return [Candidate(f"ZJ-{index:06d}", f"第{index}咨询有限公司") for index in range(1, count + 1)]


SEEDS = {"建设单位": seed("owner"), "交易平台": seed("platform")}

#: Fixed for good: the format of ``docs/draw.md``. The commitment was worked out with sha256sum, the blocks with openssl.
EXAMPLE_SEEDS = {"建设单位": "0123456789abcdef" * 4, "交易平台": "fedcba9876543210" * 4}
EXAMPLE_LIST = [
    Candidate("ZJ-000408", "长桥检测有限公司"),
    Candidate("ZJ-000017", "江河咨询有限公司"),
    Candidate("ZJ-000233", "平野勘测有限公司"),
    Candidate("ZJ-000102", "山川设计院"),
    Candidate("ZJ-000351", "湖畔环评中心"),
]
EXAMPLE_HASHES = {
    "list_hash": "6a1d8fb42c3af42f6307e7342c41a423f95df0a54b2a62aed13f459a604c3519",
    "seed_hash": "4a94ff7b58b8e6e2806ce69cb935408d4a4ee197aadd482a1cc26ea2659007ed",
    "record_hash": "25bedeea1c291d4420ced87a56c01c69109b414cfa10306d427b7bbfc574e2ba",
}
EXAMPLE_COMMITMENT = "fe98203f35a1310a9993c1720bacef91be00c494fbd1ad00bffeef154a041d01"
EXAMPLE_FILE_SHA256 = "ffd617408fbf88c285dcc9e5323a097e85729747d5a840fc7f8916619b200b51"


def example() -> DrawRecord:
    return drawn(
        EXAMPLE_LIST,
        EXAMPLE_SEEDS,
        number="CQ-2026-000128",
        text="抽取一家，第一位中选，其余依次递补",
        source="2026-03-02 开奖的双色球红球，按开出顺序",
        outside="03 11 17 20 28 31",
    )


# The format never drifts


def test_the_format_stays_as_it_was_first_published() -> None:
    record = example()
    assert {name: getattr(record, name) for name in EXAMPLE_HASHES} == EXAMPLE_HASHES
    assert record.order == ("ZJ-000351", "ZJ-000017", "ZJ-000102", "ZJ-000233", "ZJ-000408")
    assert draws.commitment("CQ-2026-000128", "建设单位", "0123456789abcdef" * 4) == EXAMPLE_COMMITMENT
    assert hashlib.sha256(record.text().encode()).hexdigest() == EXAMPLE_FILE_SHA256


def test_the_documents_example_is_the_record_byte_for_byte() -> None:
    text = (ROOT / "docs" / "draw.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- example -->\n```json\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert block[1] == example().text()
    assert EXAMPLE_COMMITMENT in block[1]


def test_the_first_number_of_the_example_came_after_three_that_were_too_large() -> None:
    first = draws.steps(example())[0]
    assert [(attempt.number, attempt.is_taken) for attempt in first.attempts] == [
        (7, False),
        (5, False),
        (7, False),
        (3, True),
    ]
    assert (first.drawn, first.moved) == ("ZJ-000351", "ZJ-000017")


# The stand-alone verifier


def test_the_verifier_is_short_and_needs_the_standard_library_alone() -> None:
    source = TOOL.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source, feature_version=(3, 9)))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported
    assert imported <= sys.stdlib_module_names


def varied(count: int) -> Iterator[DrawRecord]:
    """Records of every shape: one candidate to forty, no party to four, with and without an outside value."""
    chance = random.Random(3797)
    for index in range(count):
        size = chance.randint(1, 40)
        entries = [
            Candidate(f"{chance.choice(['ZJ', 'expert:', 'a.b_c'])}-{place * 7919 % 1000:03d}", chance.choice(NAMES))
            for place in range(size)
        ]
        entries = list({entry.id: entry for entry in entries}.values())
        parties = chance.sample(["建设单位", "交易平台", "监督部门", "Bidder “2” \\ é"], chance.randint(0, 4))
        waits = not parties or chance.random() < 0.5
        yield drawn(
            entries,
            {party: seed((index, party)) for party in parties},
            number=f"CQ-2026-{index:06d}",
            text=chance.choice(NAMES),
            picked=chance.randint(1, len(entries)),
            source="未来某日的彩票号码" if waits else None,
            outside=f"{chance.randrange(10**12)}" if waits else None,
        )


NAMES = ["江河咨询有限公司", "Río & Söhne Ltd", '含"引号"与\\的名称', "𠮷野测绘", "一", "勘" * 500]


def test_a_thousand_records_hold_and_a_thousand_changed_bytes_are_found() -> None:
    chance = random.Random(1000)
    held = found = 0
    for record in varied(1000):
        data = bytearray(record.text().encode())
        held += holds(bytes(data))
        place = chance.randrange(len(data))
        data[place] = chance.choice([byte for byte in range(256) if byte != data[place]])
        found += not holds(bytes(data))
    assert (held, found) == (1000, 1000)


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x10, 0x20, 0x80])
def test_every_single_byte_of_a_record_counts(flip: int) -> None:
    data = example().text().encode()
    missed = [
        place for place in range(len(data)) if holds(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
    ]
    assert missed == []


def test_no_byte_can_be_added_or_left_out() -> None:
    data = example().text().encode()
    for place in range(len(data) + 1):
        assert not holds(data[:place] + data[place + 1 :]) or place == len(data)
        assert not holds(data[:place] + b" " + data[place:])
        assert not holds(data[:place] + b"\n" + data[place:])


def members() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(example().text())
    return whole


def written(whole: object, **how: Any) -> bytes:
    how = {"ensure_ascii": False, "sort_keys": True, "separators": (",", ":")} | how
    return (json.dumps(whole, **how) + "\n").encode("utf-8", "surrogatepass")


def resealed(whole: dict[str, Any]) -> bytes:
    """The record as a forger writes it who knows how to work out the last hash."""
    rest = {key: value for key, value in whole.items() if key != "record_hash"}
    text = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    sealed = hashlib.sha256(f"draw/record/v1\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return written(rest | {"record_hash": sealed})


def test_the_forger_of_these_tests_seals_as_the_record_does() -> None:
    assert resealed(members()) == example().text().encode()


def test_the_same_content_written_otherwise_is_refused() -> None:
    for how in ({"indent": 1}, {"ensure_ascii": True}, {"sort_keys": False}, {"separators": (", ", ": ")}):
        whole = dict(reversed(members().items()))
        assert not holds(written(whole, **how)), how
    text = example().text()
    assert not holds(text.encode("utf-16"))
    assert not holds(text.encode("utf-8-sig"))
    assert not holds(text.replace('"version":1', '"version":1,"version":1').encode())


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another winner": lambda whole: whole["order"].insert(0, whole["order"].pop()),
    "one left out of the order": lambda whole: whole["order"].pop(),
    "a renamed candidate": lambda whole: whole["candidates"][0].update(name="别家公司"),
    "a candidate taken off": lambda whole: whole["candidates"].pop(),
    "candidates out of order": lambda whole: whole["candidates"].reverse(),
    "a candidate twice": lambda whole: whole["candidates"].append(whole["candidates"][-1]),
    "another seed": lambda whole: whole["parties"][0].update(seed="0" * 64),
    "a short seed": lambda whole: whole["parties"][0].update(seed="00"),
    "a seed in capitals": lambda whole: whole["parties"][0].update(seed=whole["parties"][0]["seed"].upper()),
    "another commitment": lambda whole: whole["parties"][0].update(commitment="0" * 64),
    "a party left out": lambda whole: whole["parties"].pop(),
    "another outside value": lambda whole: whole.update(outside="01 02 03 04 05 06"),
    "no outside value": lambda whole: whole.update(outside=None),
    "no source": lambda whole: whole["rule"].update(outside=None),
    "more picked": lambda whole: whole["rule"].update(picked=2),
    "none picked": lambda whole: whole["rule"].update(picked=0),
    "picked true": lambda whole: whole["rule"].update(picked=True),
    "another list hash": lambda whole: whole.update(list_hash="0" * 64),
    "another seed hash": lambda whole: whole.update(seed_hash="0" * 64),
    "another number": lambda whole: whole.update(draw="CQ-2026-000129"),
    "another version": lambda whole: whole.update(version=2),
    "version true": lambda whole: whole.update(version=True),
    "version 1.0": lambda whole: whole.update(version=1.0),
    "an instant without zone": lambda whole: whole.update(published="2026-03-01T01:00:00"),
    "an unknown member": lambda whole: whole.update(note="公证"),
    "an unknown member of the rule": lambda whole: whole["rule"].update(note="公证"),
    "an unknown member of a candidate": lambda whole: whole["candidates"][0].update(note="公证"),
    "an unknown member of a party": lambda whole: whole["parties"][0].update(note="公证"),
    "a missing member": lambda whole: whole.pop("published"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_with_a_fresh_record_hash_is_refused(name: str) -> None:
    whole = members()
    FORGERIES[name](whole)
    assert not holds(resealed(whole))
    with pytest.raises(draws.DrawRecordBroken):
        draws.read(resealed(whole))


def reworked(whole: dict[str, Any]) -> bytes:
    """The record as a forger writes it who works out everything anew from the inputs."""

    def digest(kind: str, value: object) -> str:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"draw/{kind}/v1\n{text}".encode()).hexdigest()

    for entry in whole["parties"]:
        entry["commitment"] = digest("commitment", [whole["draw"], entry["party"], entry["seed"]])
    whole["list_hash"] = digest("list", {key: whole[key] for key in ("draw", "rule", "candidates")})
    seeds = [entry["seed"] for entry in whole["parties"]]
    whole["seed_hash"] = digest("seed", [whole["list_hash"], seeds, whole["outside"]])
    whole["order"] = list(draws.shuffled(whole["seed_hash"], [entry["id"] for entry in whole["candidates"]])[0])
    return resealed(whole)


def without_randomness(whole: dict[str, Any], outside: object) -> None:
    whole["parties"], whole["rule"]["parties"] = [], []
    whole["outside"] = whole["rule"]["outside"] = outside


def both_orders_of_parties(whole: dict[str, Any], change: Callable[[list[Any]], object]) -> None:
    change(whole["parties"])
    whole["rule"]["parties"] = [entry["party"] for entry in whole["parties"]]


#: Each breaks one rule of the format and nothing else. Without randomness a list maker could try lists until one pleases.
UNRULY: dict[str, Callable[[dict[str, Any]], object]] = {
    "no randomness": lambda whole: without_randomness(whole, None),
    "an empty outside value": lambda whole: without_randomness(whole, ""),
    "an outside value that is no text": lambda whole: without_randomness(whole, 5),
    "a value without a source": lambda whole: whole["rule"].update(outside=None),
    "a source without a value": lambda whole: whole.update(outside=None),
    "candidates out of order": lambda whole: whole["candidates"].reverse(),
    "a candidate twice": lambda whole: whole["candidates"].append(whole["candidates"][-1]),
    "no candidate": lambda whole: whole["candidates"].clear(),
    "an id that isn't plain": lambda whole: whole["candidates"][-1].update(id="甲"),
    "a number that isn't plain": lambda whole: whole.update(draw="抽 1"),
    "a name with a line feed": lambda whole: whole["candidates"][0].update(name="甲\n乙"),
    "a name that turns the line round": lambda whole: whole["candidates"][0].update(name="\u202e甲"),
    "a rule without words": lambda whole: whole["rule"].update(text=""),
    "parties out of order": lambda whole: both_orders_of_parties(whole, list.reverse),
    "a party twice": lambda whole: both_orders_of_parties(whole, lambda parties: parties.append(dict(parties[-1]))),
    "a party the rule doesn't name": lambda whole: whole["rule"]["parties"].pop(),
    "a short seed": lambda whole: whole["parties"][0].update(seed="00"),
    "a seed in capitals": lambda whole: whole["parties"][0].update(seed="AB" * 32),
    "picked true": lambda whole: whole["rule"].update(picked=True),
    "picked 1.0": lambda whole: whole["rule"].update(picked=1.0),
    "none picked": lambda whole: whole["rule"].update(picked=0),
    "too many picked": lambda whole: whole["rule"].update(picked=6),
    "an instant without zone": lambda whole: whole.update(published="2026-03-01T01:00:00"),
}


def test_a_record_reworked_without_a_change_is_the_same() -> None:
    assert reworked(members()) == example().text().encode()


@pytest.mark.parametrize("name", UNRULY)
def test_a_record_against_the_rules_is_refused_though_every_hash_fits(name: str) -> None:
    whole = members()
    UNRULY[name](whole)
    assert not holds(reworked(whole))
    with pytest.raises(draws.DrawRecordBroken):
        draws.read(reworked(whole))


GARBAGE = {
    "empty": b"",
    "zeros": bytes(4096),
    "text": "抽取".encode(),
    "null": b"null\n",
    "list": b"[]\n",
    "number": b"1\n",
    "empty object": b"{}\n",
    "deep": b"[" * 200_000,
    "long number": b"9" * 100_000,
    "not a number": b'{"version":NaN}\n',
    "half a character": b'{"draw":"\\ud800"}\n',
    "not UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_by_both_readers(name: str) -> None:
    assert not holds(GARBAGE[name])
    with pytest.raises(draws.DrawRecordBroken):
        draws.read(GARBAGE[name])


def broken(data: bytes, place: int, value: object) -> bytes:
    """The record with one value of it, counted in reading order, replaced."""
    count = 0

    def walk(node: object) -> object:
        nonlocal count
        count += 1
        if count == place + 1:
            return value
        if isinstance(node, dict):
            return {key: walk(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [walk(inner) for inner in node]
        return node

    changed = walk(json.loads(data))
    return resealed(changed) if isinstance(changed, dict) else written(changed)


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, 60),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
)
def test_any_value_put_anywhere_gets_the_same_answer_from_both_readers(place: int, value: object) -> None:
    data = broken(example().text().encode(), place, value)
    try:
        draws.read(data)
        read = True
    except draws.DrawRecordBroken:
        read = False
    assert read == holds(data)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=dict(os.environ) | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_tool_answers_by_its_exit_status_in_one_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "draw.json", tmp_path / "bad.json"
    good.write_bytes(example().text().encode())
    bad.write_bytes(example().text().replace("湖畔", "湖岸").encode())
    done = run("-X", "utf8", "-I", str(TOOL), str(good))
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert "CQ-2026-000128 可复核" in done.stdout
    assert "holds" in done.stdout
    assert EXAMPLE_HASHES["list_hash"] in done.stdout
    refused = run("-X", "utf8", str(TOOL), str(bad))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "list_hash" in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["."], ["missing.json"], ["x" * 5000], ["a.json", "b.json"]])
def test_wrong_use_of_the_tool_is_told_apart(arguments: list[str]) -> None:
    done = run(str(TOOL), *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_tool_never_answers_garbage_with_a_traceback(tmp_path: Path) -> None:
    for name in ("zeros", "deep", "long number", "half a character", "not UTF-8"):
        file = tmp_path / "draw.json"
        file.write_bytes(GARBAGE[name])
        done = run("-X", "utf8", str(TOOL), str(file))
        assert (done.returncode, "Traceback" in done.stderr, done.stderr.count("\n")) == (1, False, 1), name


def test_the_tool_speaks_on_a_terminal_without_chinese(tmp_path: Path) -> None:
    file = tmp_path / "draw.json"
    file.write_bytes(example().text().encode())
    done = run(str(TOOL), str(file), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "draw CQ-2026-000128 holds" in done.stdout


def test_flask_draw_verify_answers_as_the_tool_does(tmp_path: Path) -> None:
    good, bad = tmp_path / "draw.json", tmp_path / "bad.json"
    good.write_bytes(example().text().encode())
    bad.write_bytes(example().text().encode() + b"\n")

    def verify(*arguments: str) -> Result:
        return CliRunner().invoke(draw_group, ["verify", *arguments])

    done = verify(str(good))
    assert done.exit_code == 0
    assert "可复核" in done.stdout
    done = verify("--json", str(good))
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"ok": True, "why": None})
    done = verify("--json", str(bad))
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["ok"]) == (1, False)
    assert answer["why"]
    done = verify(str(tmp_path / "missing.json"))
    assert (done.exit_code, done.stdout) == (2, "")


def test_flask_finds_the_command(tmp_path: Path) -> None:
    file = tmp_path / "draw.json"
    file.write_bytes(example().text().encode())
    done = run("-X", "utf8", "-m", "flask", "--app", "app.py", "draw", "verify", str(file))
    assert (done.returncode, "可复核" in done.stdout) == (0, True)


# Nobody is favoured


def tail(statistic: float, freedom: int) -> float:
    """P(χ² ≥ statistic), exact, by the finite sums for a whole number of degrees of freedom."""
    half = statistic / 2
    if freedom % 2:
        start, first = math.erfc(math.sqrt(half)), 0.5
    else:
        start, first = 0.0, 0.0
    powers = (first + place for place in range(freedom // 2))
    return start + math.fsum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)


@pytest.mark.parametrize(
    ("statistic", "freedom", "p"),
    [
        (3.841, 1, 0.05),
        (10.828, 1, 0.001),
        (22.458, 6, 0.001),
        (16.812, 6, 0.01),
        (24.322, 7, 0.001),
        (124.342, 100, 0.05),
    ],
)
def test_the_p_values_of_these_tests_are_those_of_the_tables(statistic: float, freedom: int, p: float) -> None:
    assert tail(statistic, freedom) == pytest.approx(p, rel=2e-3)


def evenness(counts: Mapping[Any, int], cells: int, total: int) -> float:
    """p of ``counts`` if every one of ``cells`` outcomes were equally likely."""
    expected = total / cells
    missing = (cells - len(counts)) * expected
    return tail(sum((seen - expected) ** 2 / expected for seen in counts.values()) + missing, cells - 1)


SEVEN = [f"ZJ-{index}" for index in range(7)]
DRAWS = 70_000


def test_over_70000_draws_nobody_is_favoured() -> None:
    """The inputs are fixed, 0 to 69,999, and were not chosen: each draw differs from the next by one party's seed."""
    firsts: Counter[str] = Counter()
    lasts: Counter[str] = Counter()
    orders: Counter[tuple[str, ...]] = Counter()
    for index in range(DRAWS):
        order, _ = draws.shuffled(draws.seed_of(seed("list"), [f"{index:064x}", seed("other")], None), SEVEN)
        firsts[order[0]] += 1
        lasts[order[-1]] += 1
        orders[order] += 1
    assert evenness(firsts, 7, DRAWS) > 0.001
    assert evenness(lasts, 7, DRAWS) > 0.001
    assert evenness(orders, math.factorial(7), DRAWS) > 0.001


def test_the_remainder_that_the_draw_avoids_would_be_found_out() -> None:
    """The measure above can fail: three bits modulo seven favour the first on the list twofold."""
    firsts = Counter(
        SEVEN[(hmac.digest(index.to_bytes(8, "big"), b"", "sha256")[0] >> 5) % 7] for index in range(DRAWS)
    )
    assert evenness(firsts, 7, DRAWS) < 0.001


# RFC 3797, section 6: a published selection of 10 out of 25

RFC_POOL = [
    "John",
    "Mary",
    "Bashful",
    "Dopey",
    "Sleepy",
    "Grouchy",
    "Doc",
    "Sneazy",
    "Handsome",
    "Cassandra",
    "Pollyanna",
    "Pendragon",
    "Pandora",
    "Faith",
    "Hope",
    "Charity",
    "Lee",
    "Longsuffering",
    "Chastity",
    "Smith",
    "Pride",
    "Sloth",
    "Envy",
    "Anger",
    "Kasczynski",
]
RFC_SOURCES = ([9319], [2, 5, 12, 8, 10], [9, 18, 26, 34, 41, 45])
RFC_SELECTED = [17, 7, 2, 16, 25, 23, 8, 24, 19, 13]
RFC_POOL_DRAWN = [23, 16, 5, 10, 22, 6, 19, 15, 24, 17]
RFC_FIRST_DIGESTS = ["990DD0A5692A029A98B5E01AA28F3459", "3691E55CB63FCC37914430B2F70B5EC6"]


def rfc_key() -> str:
    return "".join("".join(f"{value}." for value in sorted(source)) + "/" for source in RFC_SOURCES)


def rfc_selection(key: str, size: int, count: int) -> tuple[list[str], list[int]]:
    """The RFC's own method (MD5 and a remainder of 128 bits), as reference only: digests and chosen numbers from 1."""
    remaining, digests, chosen = list(range(1, size + 1)), [], []
    for index in range(count):
        fence = index.to_bytes(2, "big")
        digests.append(hashlib.md5(fence + key.encode() + fence, usedforsecurity=False).hexdigest().upper())
        chosen.append(remaining.pop(int(digests[-1], 16) % len(remaining)))
    return digests, chosen


def test_the_worked_example_of_rfc_3797_comes_out_as_printed() -> None:
    assert rfc_key() == "9319./2.5.8.10.12./9.18.26.34.41.45./"
    digests, chosen = rfc_selection(rfc_key(), len(RFC_POOL), 10)
    assert digests[:2] == RFC_FIRST_DIGESTS
    assert chosen == RFC_SELECTED


def test_the_pool_and_sources_of_rfc_3797_give_a_draw_that_anybody_can_repeat() -> None:
    """Our draw from the same pool, with the RFC's key string as the outside value and no party."""
    pool = [Candidate(f"{number:02d}", name) for number, name in enumerate(RFC_POOL, 1)]
    record = drawn(
        pool, {}, number="RFC-3797", text="Ten of the pool", picked=10, source="RFC 3797, section 6", outside=rfc_key()
    )
    assert holds(record.text().encode())
    assert [int(candidate.id) for candidate in record.picked] == RFC_POOL_DRAWN
    assert sorted(record.order) == [candidate.id for candidate in pool]


# What a draw promises


@settings(max_examples=100, deadline=None)
@given(
    ids=st.sets(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,10}", fullmatch=True), min_size=1, max_size=30),
    entropy=st.integers(0, 2**64),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_order_holds_everybody_once_however_the_list_was_handed_in(
    ids: set[str], entropy: int, shuffle: random.Random
) -> None:
    entries = [Candidate(one, f"名称 {one}") for one in sorted(ids)]
    parties = {"甲": seed(entropy), "乙": seed(entropy + 1), "丙": seed(entropy + 2)}
    record = drawn(entries, parties)
    assert sorted(record.order) == sorted(ids)
    shuffle.shuffle(entries)
    names = list(parties)
    shuffle.shuffle(names)
    assert drawn(entries, {party: parties[party] for party in names}) == record
    assert draws.read(record.text()) == record
    assert holds(record.text().encode())


@pytest.mark.parametrize("party", SEEDS)
def test_every_seed_counts(party: str) -> None:
    one, other = drawn(agencies(30), SEEDS), drawn(agencies(30), SEEDS | {party: seed("another")})
    assert one.list_hash == other.list_hash
    assert one.order != other.order


def test_the_outside_value_and_the_list_count_too() -> None:
    one = drawn(agencies(30), SEEDS, source="彩票", outside="1")
    assert drawn(agencies(30), SEEDS, source="彩票", outside="2").order != one.order
    renamed = [replace(agencies(30)[0], name="别家公司"), *agencies(30)[1:]]
    assert drawn(renamed, SEEDS, source="彩票", outside="1").order != one.order


def test_the_same_seeds_drawn_under_another_number_give_another_order() -> None:
    numbers = (f"CQ-2026-{index:06d}" for index in range(20))
    assert len({drawn(agencies(30), SEEDS, number=number).order for number in numbers}) == 20


def attempt(**changed: Any) -> DrawRecord:
    """The draw of one number whose list was published, with something changed afterwards."""
    number, rule, entries = "CQ-2026-000001", Rule("抽取一家", 1, tuple(SEEDS)), agencies(5)
    proper: dict[str, Any] = {
        "number": number,
        "rule": rule,
        "candidates": entries,
        "published_at": PUBLISHED,
        "published_hash": draws.list_hash(number, rule, entries),
        "commitments": {party: draws.commitment(number, party, value) for party, value in SEEDS.items()},
        "seeds": SEEDS,
    }
    return draws.draw(**proper | changed)


def test_who_comes_last_can_change_neither_list_nor_rule() -> None:
    assert attempt().rule.picked == 1
    for changed in (
        {"candidates": agencies(6)},
        {"candidates": agencies(4)},
        {"candidates": [*agencies(4), Candidate("ZJ-000005", "别家公司")]},
        {"number": "CQ-2026-000002"},
        {"rule": Rule("抽取两家", 2, tuple(SEEDS))},
        {"rule": Rule("抽取一家", 1, ("建设单位",))},
        {"rule": Rule("抽取一家", 1, tuple(SEEDS), "彩票"), "outside": "1"},
    ):
        with pytest.raises(draws.ListChanged):
            attempt(**changed)


def test_nobody_can_open_another_seed_or_stay_away() -> None:
    commitments = {party: draws.commitment("CQ-2026-000001", party, value) for party, value in SEEDS.items()}
    owner, platform = "建设单位", "交易平台"
    with pytest.raises(draws.SeedMismatch) as caught:
        attempt(seeds=SEEDS | {owner: seed("another")})
    assert caught.value.params == {"party": owner}
    with pytest.raises(draws.MissingSeed):
        attempt(seeds={platform: SEEDS[platform]})
    with pytest.raises(draws.MissingCommitment):
        attempt(commitments={platform: commitments[platform]})
    with pytest.raises(draws.UnknownParty):
        attempt(seeds=SEEDS | {"路人": seed("stranger")})
    with pytest.raises(draws.BadSeed):
        attempt(seeds=SEEDS | {owner: "1234"})
    with pytest.raises(draws.OutsideValueMismatch):
        attempt(outside="1")


def test_a_copied_commitment_is_worth_nothing() -> None:
    """Neither another party's nor one's own of an earlier draw can be opened here."""
    value = seed("owner")
    bound = {draws.commitment(number, party, value) for number in ("A-1", "A-2") for party in ("建设单位", "平台")}
    assert len(bound) == 4
    # Where one part ends and the next begins can't be shifted.
    assert draws.commitment("A-1", "1平台", value) != draws.commitment("A-11", "平台", value)


@pytest.mark.parametrize(
    ("incident", "rule", "entries"),
    [
        (draws.EmptyDrawList, Rule("规则", 1, ("平台",)), []),
        (draws.DuplicateCandidate, Rule("规则", 1, ("平台",)), [Candidate("a", "甲"), Candidate("a", "乙")]),
        (draws.LongDrawList, Rule("规则", 1, ("平台",)), agencies(draws.MOST_CANDIDATES + 1)),
        (draws.PickedOutOfRange, Rule("规则", 0, ("平台",)), agencies(3)),
        (draws.PickedOutOfRange, Rule("规则", 4, ("平台",)), agencies(3)),
        (draws.DuplicateParty, Rule("规则", 1, ("平台", "平台")), agencies(3)),
        (draws.NoRandomness, Rule("规则", 1, ()), agencies(3)),
        (draws.BadDrawEntry, Rule("", 1, ("平台",)), agencies(3)),
        (draws.BadDrawEntry, Rule("规则", 1, ("平台\n",)), agencies(3)),
        (draws.BadDrawEntry, Rule("规则", 1, ("平台",), "\u202e来源"), agencies(3)),
        (draws.BadDrawEntry, Rule("规则", 1, ("平台",)), [Candidate("甲", "甲")]),
        (draws.BadDrawEntry, Rule("规则", 1, ("平台",)), [Candidate("a", "\ud800")]),
    ],
)
def test_a_list_that_can_t_be_drawn_from_is_named(
    incident: type[PortalError], rule: Rule, entries: list[Candidate]
) -> None:
    with pytest.raises(incident) as caught:
        draws.list_hash("CQ-2026-000001", rule, entries)
    assert caught.value.text("zh")
    assert caught.value.text("en")


def test_instants_are_utc_to_the_second() -> None:
    shanghai = datetime(2026, 3, 1, 9, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=8)))
    assert attempt(published_at=shanghai) == attempt()
    assert json.loads(attempt().text())["published"] == "2026-03-01T01:00:00Z"
    with pytest.raises(NaiveInstant):
        attempt(published_at=datetime(2026, 3, 1, 1))  # noqa: DTZ001


def test_seeds_are_fresh_and_of_the_right_form() -> None:
    made = {draws.fresh_seed() for _ in range(100)}
    assert len(made) == 100
    assert all(draws.commitment("CQ-2026-000001", "平台", one) for one in made)


# The draw in words


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 25), entropy=st.integers(0, 2**32))
def test_a_person_who_follows_the_steps_arrives_at_the_order(size: int, entropy: int) -> None:
    record = drawn(agencies(size), {"平台": seed(entropy)})
    remaining = [candidate.id for candidate in record.candidates]
    counter = 0
    placed = []
    for place, step in enumerate(draws.steps(record), 1):
        assert (step.place, step.remaining) == (place, len(remaining))
        for tried in step.attempts:
            assert tried.counter == counter
            assert tried.is_taken == (tried.number < len(remaining))
            counter += 1
        assert [tried.number for tried in step.attempts if tried.is_taken] == ([step.number] if size > place else [])
        front = remaining[0]
        assert (step.drawn, step.moved) == (remaining[step.number], front)
        remaining[step.number] = front
        placed.append(step.drawn)
        remaining.pop(0)
    assert tuple(placed) == record.order


def test_the_words_tell_every_input_every_place_and_the_result() -> None:
    record = example()
    told = draws.in_words(record)
    for language in ("zh", "en"):
        whole = "\n".join(getattr(words, language) for words in told)
        for pledge in record.pledges:
            assert pledge.commitment in whole
            assert pledge.seed in whole
        for needed in (record.list_hash, record.seed_hash, "03 11 17 20 28 31"):
            assert needed in whole
        places = [getattr(words, language) for words in told[-6:-1]]
        by_id = {candidate.id: candidate.name for candidate in record.candidates}
        assert all(by_id[one] in place for one, place in zip(record.order, places, strict=True))
        assert "湖畔环评中心" in getattr(told[-1], language)
    assert told[-6].zh == (
        "第 1 位：余 5 个，随机数（先得 8、6、8，超出范围，作废）为 4，抽中余下名单第 4 个“湖畔环评中心”；"
        "原在最前的“江河咨询有限公司”补到它的位置。"
    )
