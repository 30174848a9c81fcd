"""Sealed bids: two of three open, one opens nothing, and the age program alone repeats it (trust G1, G2)."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import secrets
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import kernel.web as kernel_web
from kernel import sealing
from kernel.sealing import BidContent, BidFile, Reason, SealedBid, SealedBy
from kernel.web.sealing_commands import bids as bids_group
from tests import age_program

CALL = "ZB-2026-000012"
BIDDER = "91350100M000100Y43"
CUSTODIANS = ("buyer", "platform", "supervisor")
PAIRS = ["buyer+platform", "buyer+supervisor", "platform+supervisor"]
KEYS = {name: sealing.fresh_identity() for name in CUSTODIANS}
RECIPIENTS = {name: sealing.recipient_of(key) for name, key in KEYS.items()}
AT = datetime(2026, 3, 2, 1, 30, 0, 123456, tzinfo=UTC)


def bid(**changes: Any) -> BidContent:
    return BidContent(
        **{
            "call": CALL,
            "organisation": BIDDER,
            "price": 12_345_600,
            "discount": None,
            "working_days": 12,
            "statement": "按期完成",
            "sealed_by": SealedBy.OFFLINE,
        }
        | changes
    )


def sealed(content: BidContent | None = None, call: str = CALL, recipients: dict[str, str] | None = None) -> SealedBid:
    return sealing.seal((content or bid()).as_bytes(), call, recipients or RECIPIENTS)


def handed_in(one: SealedBid) -> SealedBid:
    """As the portal has it: without the bidder's own key."""
    return SealedBid(one.ciphertext, one.wraps)


def why(one: SealedBid, identities: dict[str, str], call: str = CALL, **held: Any) -> Reason:
    with pytest.raises(sealing.Unopenable) as told:
        sealing.open_bid(one, call, identities, **held)
    return told.value.reason


def only(*names: str) -> dict[str, str]:
    return {name: KEYS[name] for name in names}


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Who can open.


def test_no_single_custodian_opens_a_bid() -> None:
    one = handed_in(sealed())
    for name in CUSTODIANS:
        with pytest.raises(sealing.KeysMissing):
            sealing.open_bid(one, CALL, only(name))
        # Not by going round the check either: a custodian's key opens neither the bid nor, alone, any of its wraps.
        with pytest.raises(sealing.Unopenable):
            sealing.open_with_key(one.ciphertext, KEYS[name], CALL)
        for wrap in one.wraps.values():
            with pytest.raises(sealing.Unopenable):
                sealing.unwrap(wrap, KEYS[name])
            with pytest.raises(sealing.Unopenable):
                sealing.unwrap(wrap, KEYS[name], KEYS[name])


@pytest.mark.parametrize("lost", CUSTODIANS)
def test_any_two_custodians_open_a_bid_whoever_is_lost(lost: str) -> None:
    content = bid(files=(BidFile("方案.pdf", secrets.token_bytes(3000)),))
    one = handed_in(sealed(content))
    assert sorted(one.wraps) == PAIRS
    present = [name for name in CUSTODIANS if name != lost]
    assert sealing.open_bid(one, CALL, only(*present), bidder=BIDDER) == content


def test_bidder_opens_with_the_key_it_kept() -> None:
    one = sealed()
    assert BidContent.read(sealing.open_with_key(one.ciphertext, one.one_bid_key, CALL)) == bid(
        nonce=sealing.open_bid(one, CALL, {}).nonce
    )


def test_one_platform_key_serves_a_small_commission() -> None:
    alone = {"platform": RECIPIENTS["platform"]}
    one = handed_in(sealed(recipients=alone))
    sealing.check_form(one.ciphertext, one.wraps, alone)
    assert sealing.open_bid(one, CALL, only("platform")).price == 12_345_600


def test_bids_copied_to_another_call_open_there_in_0_of_50_cases() -> None:
    other = {name: sealing.fresh_identity() for name in CUSTODIANS}
    reasons = [why(handed_in(sealed()), other, "ZB-2026-000099") for _ in range(50)]
    assert reasons == [Reason.WRAP] * 50


def test_bid_wrapped_anew_for_another_call_does_not_open_there() -> None:
    """A bidder's own key lets it (or a thief of it) wrap the old ciphertext for another call's custodians."""
    one = sealed()
    other = {name: sealing.fresh_identity() for name in CUSTODIANS}
    wraps = {}
    for name in one.wraps:
        first, second = name.split("+")
        inner = sealing.age.encrypt(f"{one.one_bid_key}\n".encode(), sealing.recipient_of(other[second]))
        wraps[name] = sealing.age.encrypt(inner, sealing.recipient_of(other[first]))
    sealing.check_form(one.ciphertext, wraps, CUSTODIANS)
    assert why(SealedBid(one.ciphertext, wraps), other, "ZB-2026-000099") is Reason.OTHER_CALL
    # A content that names another call than its envelope is no bid for either.
    liar = sealing.seal(bid(call="ZB-2026-000099").as_bytes(), CALL, RECIPIENTS)
    assert why(handed_in(liar), KEYS) is Reason.OTHER_CALL
    moved = sealing.seal(bid().as_bytes(), "ZB-2026-000099", RECIPIENTS)
    assert why(handed_in(moved), KEYS) is Reason.OTHER_CALL
    with pytest.raises(sealing.Unopenable):
        sealing.open_envelope(moved.ciphertext, moved.wraps, CALL, KEYS)


def test_bid_copied_by_a_rival_is_not_the_rivals_bid() -> None:
    assert why(handed_in(sealed()), KEYS, bidder="91350100M000100Y44") is Reason.OTHER_BIDDER


# Padding.


def test_padding_hides_what_is_inside() -> None:
    small = [bid(price=1, working_days=1, statement=""), bid(statement="长" * 1000), bid(statement="x" * 3000)]
    assert {len(sealing.pad(one.as_bytes(), CALL, 4096)) for one in small} == {4096}
    shapes = {sealing.check_form(one.ciphertext, one.wraps, CUSTODIANS) for one in map(sealed, small)}
    assert shapes == {4096}
    # What pyrage adds to the header at random is all that varies.
    payloads = {
        len(one.ciphertext) - one.ciphertext.index(b"\n", one.ciphertext.index(b"\n--- ") + 1)
        for one in map(sealed, small)
    }
    assert len(payloads) == 1


def test_smallest_size_class_is_chosen_and_nothing_larger_than_the_largest_is_sealed() -> None:
    for size in sealing.CLASSES:
        line = len(f"sealed/v1 {CALL} {size}\n") - (len(str(size)) - len(str(size - 40)))
        assert sealing.class_for(b"x" * (size - line), CALL) == size
    assert sealing.class_for(b"x" * 4096, CALL) == 65536
    with pytest.raises(sealing.ContentTooLarge):
        sealing.class_for(b"x" * sealing.CLASSES[-1], CALL)
    with pytest.raises(sealing.ContentTooLarge, match="4 KiB"):
        sealing.seal(b"x" * 4096, CALL, RECIPIENTS, classes=[4096])


@given(st.binary(max_size=5000), st.from_regex(r"[A-Za-z0-9-]{1,64}", fullmatch=True))
def test_what_was_padded_comes_back(content: bytes, context: str) -> None:
    size = sealing.class_for(content, context)
    padded = sealing.pad(content, context, size)
    assert len(padded) == size
    assert sealing.unpad(padded) == (context, content)


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"sealed/v1 A 3\nab",
        b"sealed/v1 A 1\nab",
        b"sealed/v1 A 01\na ",
        b"sealed/v2 A 1\na ",
        b"sealed/v1  1\na",
        b"sealed/v1 A -1\na",
        b"sealed/v1 A 999999999\na",
        "sealed/v1 A ١\na".encode(),
    ],
)
def test_padding_of_another_form_is_refused(padded: bytes) -> None:
    with pytest.raises(sealing.Unopenable) as told:
        sealing.unpad(padded)
    assert told.value.reason is Reason.PADDING


# What doesn't open says why.


def test_changed_bids_say_why_they_do_not_open() -> None:
    one = handed_in(sealed())
    for at in (30, 200, len(one.ciphertext) - 1):
        assert why(SealedBid(changed(one.ciphertext, at), one.wraps), KEYS) is Reason.CIPHERTEXT
    assert why(SealedBid(one.ciphertext[:-1], one.wraps), KEYS) is Reason.CIPHERTEXT
    broken = {name: changed(wrap, len(wrap) - 1) for name, wrap in one.wraps.items()}
    assert why(SealedBid(one.ciphertext, broken), KEYS) is Reason.WRAP
    assert why(SealedBid(one.ciphertext, sealed().wraps), KEYS) is Reason.CIPHERTEXT


def test_one_good_wrap_is_enough() -> None:
    one = handed_in(sealed())
    wraps = {
        name: wrap if name == "platform+supervisor" else changed(wrap, len(wrap) - 1)
        for name, wrap in one.wraps.items()
    }
    assert sealing.open_bid(SealedBid(one.ciphertext, wraps), CALL, KEYS).price == 12_345_600
    assert why(SealedBid(one.ciphertext, wraps), only("buyer", "platform")) is Reason.WRAP


def test_reasons_are_told_in_both_languages() -> None:
    error = sealing.Unopenable(Reason.WRAP)
    assert error.text("zh") == "报价无法打开：封装密钥无法解开"
    assert error.text("en") == "The bid can't be opened: The wrapped key can't be opened"


GOOD = json.loads(bid().as_bytes())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b"\xff",
        bid().as_bytes() + b" ",
        json.dumps(GOOD, sort_keys=True).encode(),
        *(
            sealing.content.canonical(GOOD | change)
            for change in (
                {"discount": 100},
                {"price": -1},
                {"price": 10**15 + 1},
                {"price": True},
                {"price": "12"},
                {"working_days": 0},
                {"working_days": 10**6},
                {"working_days": None},
                {"statement": "a\x00b"},
                {"statement": "a\rb"},
                {"statement": "x" * 20_001},
                {"statement": 1},
                {"version": 2},
                {"version": True},
                {"more": 1},
                {"organisation": "1"},
                {"organisation": None},
                {"sealed_by": "thief"},
                {"sealed_by": ["browser"]},
                {"nonce": ""},
                {"call": "x y"},
                {"files": {}},
                {"files": [{"name": "../a", "content": ""}]},
                {"files": [{"name": "", "content": ""}]},
                {"files": [{"name": "a", "content": "=="}]},
                {"files": [{"name": "a", "content": "QQ"}]},
                {"files": [{"name": "a", "content": "QR=="}]},
                {"files": [{"name": "a"}]},
                {"files": [1]},
                {"files": [{"name": "a", "content": ""}] * 21},
            )
        ),
        json.dumps(GOOD | {"statement": "\ud800"}, sort_keys=True, separators=(",", ":")).encode(),
        bid().as_bytes().replace(b'"price":12345600', b'"price":12345600.0'),
        bid().as_bytes().replace(b'"price":12345600', b'"price":NaN'),
        bid().as_bytes().replace(b'"price":12345600', b'"price":' + b"9" * 5000),
        bid().as_bytes().replace(b'"price":12345600', b'"price":1,"price":12345600'),
    ],
)
def test_content_in_another_form_is_recorded_as_unopenable_and_harms_nobody(raw: bytes) -> None:
    assert why(handed_in(sealing.seal(raw, CALL, RECIPIENTS)), KEYS) is Reason.CONTENT


def test_a_bid_for_a_call_without_prices_names_neither_price_nor_discount() -> None:
    content = bid(price=None)
    assert sealing.open_bid(handed_in(sealed(content)), CALL, KEYS) == content


# The canonical content.


def test_canonical_content_has_these_very_bytes() -> None:
    content = bid(statement='"\\/\n\t\x01\x7f\u2028😀', files=(BidFile("a.txt", b"hi"),), nonce="0" * 32)
    assert (
        content.as_bytes()
        == (
            '{"call":"ZB-2026-000012","discount":null,"files":[{"content":"aGk=","name":"a.txt"}],'
            '"nonce":"00000000000000000000000000000000","organisation":"91350100M000100Y43","price":12345600,'
            '"sealed_by":"offline","statement":"\\"\\\\/\\n\\t\\u0001\x7f\u2028😀","version":1,"working_days":12}'
        ).encode()
    )


@given(
    statement=st.text(max_size=200),
    name=st.text(max_size=250),
    content=st.binary(max_size=100),
    points=st.integers(0, 10_000),
)
def test_any_text_is_kept_and_read_back(statement: str, name: str, content: bytes, points: int) -> None:
    one = bid(
        price=None,
        discount=points,
        statement=sealing.plain_text(statement),
        files=(BidFile(sealing.clean_name(name), content),),
    )
    assert BidContent.read(one.as_bytes()) == one


def test_texts_are_made_fit_to_be_kept() -> None:
    assert sealing.plain_text("a\r\nb\rc\x00d\ud800e") == "a\nb\ncd\ufffde"
    assert sealing.clean_name("../a\\b\n.pdf") == ".._a_b_.pdf"
    assert sealing.clean_name("") == "_"
    assert sealing.clean_name("长" * 300) == "长" * 200


@pytest.mark.parametrize(
    ("text", "points"), [("15.5", 1550), ("１５．５％", 1550), ("0", 0), (" 100 % ", 10_000), ("7.", 700), ("0.01", 1)]
)
def test_discounts_are_read_as_people_type_them(text: str, points: int) -> None:
    assert sealing.parse_discount(text) == points


@pytest.mark.parametrize("text", ["", "100.01", "-1", "1.234", "x", "1e1", "１５．５五"])
def test_other_discounts_are_refused(text: str) -> None:
    with pytest.raises(sealing.DiscountUnreadable):
        sealing.parse_discount(text, field="discount")


def test_working_days_are_read_with_full_width_digits() -> None:
    assert sealing.parse_working_days(" １２ ") == 12
    for text in ("0", "", "-1", "1.5", "10000", "十", "²"):
        with pytest.raises(sealing.WorkingDaysUnreadable):
            sealing.parse_working_days(text)


# What the portal checks of what it can't read.


def test_portal_takes_what_was_sealed_well() -> None:
    for size, statement in ((4096, ""), (65536, "长" * 5000)):
        one = sealed(bid(statement=statement))
        assert sealing.check_form(one.ciphertext, one.wraps, CUSTODIANS) == size
    large = sealed(bid(files=(BidFile("a.bin", bytes(700_000)),)))
    assert sealing.check_form(large.ciphertext, large.wraps, CUSTODIANS) == 1 << 20


def test_ciphertext_of_another_form_is_refused() -> None:
    one = sealed()
    key = sealing.recipient_of(one.one_bid_key)
    good = one.ciphertext
    two = sealing.age.encrypt(b" " * 4096, key, RECIPIENTS["buyer"])
    armored = b"-----BEGIN AGE ENCRYPTED FILE-----\n" + base64.b64encode(good)
    scrypt = good.replace(b"-> X25519", b"-> scrypt")
    for data in (b"", b"price: 100", two, armored, scrypt, good[:100], b" " + good, good.replace(b"/v1\n", b"/v2\n")):
        with pytest.raises(sealing.CiphertextMalformed) as told:
            sealing.check_form(data, one.wraps, CUSTODIANS)
        assert told.value.field == "sealed"
    for length in (1, 4095, 4097, 65537):
        with pytest.raises(sealing.SizeNotInClass):
            sealing.check_form(sealing.age.encrypt(b" " * length, key), one.wraps, CUSTODIANS)
    for data in (good + b"x", good[:-1]):
        with pytest.raises(sealing.SizeNotInClass):
            sealing.check_form(data, one.wraps, CUSTODIANS)
    with pytest.raises(sealing.SizeNotInClass):
        sealing.check_form(good, one.wraps, CUSTODIANS, classes=[65536])


def test_wraps_must_be_those_of_every_pair_and_nothing_else() -> None:
    one = sealed()
    wraps = dict(one.wraps)
    lacking = {name: wrap for name, wrap in wraps.items() if name != "buyer+platform"}
    for found in ({}, lacking, wraps | {"../../etc": b""}, lacking | {"platform+buyer": wraps["buyer+platform"]}):
        with pytest.raises(sealing.WrapsIncomplete):
            sealing.check_form(one.ciphertext, found, CUSTODIANS)
    for wrong in (
        b"",
        b"x" * 600,
        one.ciphertext,
        wraps["buyer+platform"][:-200],
        wraps["buyer+platform"] + bytes(400),
    ):
        with pytest.raises(sealing.WrapMalformed) as told:
            sealing.check_form(one.ciphertext, wraps | {"buyer+supervisor": wrong}, CUSTODIANS)
        assert told.value.params == {"name": "buyer+supervisor"}


def test_every_malformed_bid_is_one_family_of_incidents() -> None:
    for kind in ("CiphertextMalformed", "SizeNotInClass", "WrapsIncomplete", "WrapMalformed", "SealedFileUnreadable"):
        assert issubclass(getattr(sealing, kind), sealing.BidMalformed)


def test_sealed_file_comes_back_without_the_bidders_key() -> None:
    one = sealed()
    raw = sealing.write_sealed(one, CALL, SealedBy.OFFLINE)
    assert one.one_bid_key.encode() not in raw
    back, sealed_by = sealing.read_sealed(raw, CALL)
    assert (back.ciphertext, back.wraps, back.one_bid_key, sealed_by) == (
        one.ciphertext,
        one.wraps,
        "",
        SealedBy.OFFLINE,
    )
    with pytest.raises(sealing.SealedForOtherCall) as told:
        sealing.read_sealed(raw, "ZB-2026-000099")
    assert told.value.params == {"call": CALL}


def test_sealed_file_of_another_form_is_refused() -> None:
    good = json.loads(sealing.write_sealed(sealed(), CALL, SealedBy.BROWSER))
    wrong: list[object] = [
        None,
        [],
        "x",
        {},
        *({name: value for name, value in good.items() if name != lost} for lost in good),
        *(
            good | {name: value}
            for name in good
            for value in (None, 7, "*", {"a": 1})
            if (name, value) != ("version", 1)
        ),
        good | {"sealed_by": "server"},
    ]
    for found in wrong:
        with pytest.raises(sealing.SealedFileUnreadable):
            sealing.read_sealed(json.dumps(found).encode(), CALL)
    for raw in (b"", b"\xff", b"[" * 100_000, b" " * (sealing.handover.LARGEST_SEALED + 1)):
        with pytest.raises(sealing.SealedFileUnreadable):
            sealing.read_sealed(raw, CALL)


def test_largest_bid_fits_into_the_largest_sealed_file() -> None:
    one = sealing.seal(b"x" * (sealing.CLASSES[-1] - 100), CALL, RECIPIENTS)
    raw = sealing.write_sealed(one, CALL, SealedBy.BROWSER)
    assert sealing.read_sealed(raw, CALL)[0].sha256 == one.sha256


def test_call_file_comes_back_and_other_files_are_refused() -> None:
    keys = sealing.CallKeys(CALL, RECIPIENTS)
    assert sealing.read_call(keys.as_bytes()) == keys
    good = json.loads(keys.as_bytes())
    for change in (
        {"version": 2},
        {"call": "a b"},
        {"recipients": {}},
        {"recipients": {"Käufer": RECIPIENTS["buyer"]}},
        {"recipients": {"buyer": "age1x"}},
        {"recipients": {"buyer": KEYS["buyer"]}},
        {"size_classes": []},
        {"size_classes": [17]},
        {"size_classes": None},
    ):
        with pytest.raises(sealing.CallUnreadable):
            sealing.read_call(json.dumps(good | change).encode())


# Custodians' keys.


def test_call_key_is_stored_for_its_custodian_alone_and_for_its_call_alone() -> None:
    long_term, stranger, spare = (sealing.fresh_identity() for _ in range(3))
    call_key = sealing.fresh_identity()
    stored = sealing.protect(call_key, CALL, sealing.recipient_of(long_term), sealing.recipient_of(spare))
    assert call_key.encode() not in stored
    assert sealing.recover(stored, CALL, long_term) == call_key
    assert sealing.recover(stored, CALL, spare) == call_key
    with pytest.raises(sealing.KeyNotYours):
        sealing.recover(stored, CALL, stranger)
    with pytest.raises(sealing.KeyNotYours):
        sealing.recover(changed(stored, len(stored) - 1), CALL, long_term)
    # A portal that shows the key of a call still open in place of this one's gets nothing.
    with pytest.raises(sealing.KeyOfOtherCall):
        sealing.recover(stored, "ZB-2026-000099", long_term)
    nothing = sealing.age.encrypt(f"# call: {CALL}\nno key\n".encode(), sealing.recipient_of(long_term))
    with pytest.raises(sealing.KeyNotYours):
        sealing.recover(nothing, CALL, long_term)


def test_handed_in_key_must_belong_to_the_call() -> None:
    assert sealing.check_key(f" {KEYS['buyer']}\r\n", RECIPIENTS["buyer"]) == KEYS["buyer"]
    with pytest.raises(sealing.KeyDoesNotFit):
        sealing.check_key(KEYS["buyer"], RECIPIENTS["platform"], field="key")
    for text in (
        "",
        "AGE-SECRET-KEY-1X",
        KEYS["buyer"].lower(),
        KEYS["buyer"][:-1] + "QP"[KEYS["buyer"][-1] == "Q"],
        f"{KEYS['buyer']}\n" * 2,
    ):
        with pytest.raises(sealing.KeyUnreadable) as told:
            sealing.check_key(text, RECIPIENTS["buyer"], field="key")
        assert told.value.field == "key"


# Receipts.


@pytest.fixture
def signing(tmp_path: Path) -> Any:
    before = sealing.receipts._folder
    sealing.configure(tmp_path / "data")
    yield tmp_path / "data"
    sealing.receipts._folder = before


def test_receipt_says_call_hash_and_instant_and_no_running_number(signing: Path) -> None:
    sha256 = sealed().sha256
    found = sealing.receipt(CALL, sha256, AT.astimezone(timezone(timedelta(hours=8))))
    assert found.keys() == {"version", "call", "sha256", "at", "key", "signature"}
    assert (found["call"], found["sha256"], found["at"]) == (CALL, sha256, "2026-03-02T01:30:00.123456Z")
    sealing.verify_receipt(found)
    sealing.verify_receipt(found, sealing.public_key())
    assert stat.S_IMODE((signing / "receipt_key").stat().st_mode) == 0o600
    assert [path.name for path in signing.iterdir()] == ["receipt_key"]


def test_receipt_with_one_byte_changed_does_not_hold(signing: Path) -> None:
    raw = json.dumps(sealing.receipt(CALL, "ab" * 32, AT)).encode()
    held = 0
    for at, flip in itertools.product(range(len(raw)), (0x01, 0x20)):
        other = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
        try:
            found = json.loads(other)
        except ValueError:
            continue
        if found == json.loads(raw):
            continue  # white space
        with pytest.raises(sealing.ReceiptInvalid):
            sealing.verify_receipt(found)
        held += 1
    assert held > 300
    with pytest.raises(sealing.ReceiptInvalid):
        sealing.verify_receipt({})
    with pytest.raises(sealing.ReceiptInvalid):
        sealing.verify_receipt(json.loads(raw) | {"more": 1})


def test_receipt_of_another_portal_does_not_hold(signing: Path, tmp_path: Path) -> None:
    mine = sealing.public_key()
    sealing.configure(tmp_path / "other")
    found = sealing.receipt(CALL, "ab" * 32, AT)
    with pytest.raises(sealing.ReceiptInvalid):
        sealing.verify_receipt(found, mine)
    with pytest.raises(sealing.ReceiptInvalid):
        sealing.verify_receipt(found | {"key": mine}, mine)


def test_nothing_unclear_is_signed(signing: Path) -> None:
    for call, sha256, at in (("a b", "ab" * 32, AT), (CALL, "AB" * 32, AT), (CALL, "ab" * 32, AT.replace(tzinfo=None))):
        with pytest.raises(ValueError):
            sealing.receipt(call, sha256, at)


def test_two_processes_that_sign_first_at_once_sign_alike(signing: Path) -> None:
    code = (
        "import sys, pathlib; from kernel import sealing;"
        "sealing.configure(pathlib.Path(sys.argv[1])); sys.stdin.read(1); print(sealing.public_key())"
    )
    command = [sys.executable, "-c", code, str(signing)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {one.communicate("x", timeout=60)[0] for one in running}
    assert len(answers) == 1
    assert answers == {f"{sealing.public_key()}\n"}


# The age program.


def test_age_program_opens_what_was_sealed_here(tmp_path: Path) -> None:
    content = bid(statement="\u2028😀")
    one = sealed(content)
    wrap = one.wraps["buyer+supervisor"]
    inner = age_program.decrypt(wrap, KEYS["buyer"], tmp_path)
    key = age_program.decrypt(inner, KEYS["supervisor"], tmp_path)
    assert key.decode() == f"{one.one_bid_key}\n"
    opened = age_program.decrypt(one.ciphertext, key.decode(), tmp_path)
    assert len(opened) == 4096
    assert opened.partition(b"\n")[2].rstrip(b" ") == content.as_bytes()
    kept = sealing.key_text(one.one_bid_key, CALL, one.sha256)
    assert "\n".join(line for line in kept.splitlines() if not line.startswith("#")) == one.one_bid_key
    long_term = sealing.fresh_identity()
    stored = sealing.protect(KEYS["buyer"], CALL, sealing.recipient_of(long_term))
    assert sealing.parse_identity(age_program.decrypt(stored, long_term, tmp_path).decode()) == KEYS["buyer"]


# The public bundle.


@pytest.fixture
def opening() -> tuple[list[SealedBid], list[BidContent], SealedBid]:
    """Three bids that open, one of them badly wrapped for the first pair; and one that doesn't open."""
    contents = [bid(price=price, statement="甲'乙\"$(丙)") for price in (100, 200, 300)]
    bids = [handed_in(sealed(content)) for content in contents]
    bids[2] = SealedBid(bids[2].ciphertext, dict(bids[2].wraps) | {"buyer+platform": sealed().wraps["buyer+platform"]})
    lost = SealedBid(sealed().ciphertext, sealed().wraps)
    return bids, contents, lost


def run_commands(folder: Path, environment: Any) -> list[int]:
    """Type the indented lines of the README into a shell; answers the exit status of each."""
    lines = (folder / "README").read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    statuses = []
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True)
        statuses.append(done.returncode)
    return statuses


@pytest.mark.parametrize("present", [("buyer", "supervisor"), ("buyer", "platform", "supervisor")])
def test_bundle_opens_with_the_age_program_by_the_commands_of_its_readme(
    opening: tuple[list[SealedBid], list[BidContent], SealedBid], present: tuple[str, ...], tmp_path: Path
) -> None:
    bids, contents, lost = opening
    produced = sealed(bid(price=400))
    folder = tmp_path / "opening"
    facts = {"开启时间 / Opened at": "2026-03-02 09:30"}
    sealing.write_bundle(folder, CALL, [*bids, lost, produced], only(*present), facts)
    environment = age_program.environment(tmp_path)
    statuses = run_commands(folder, environment)
    assert len(statuses) == 1 + 5 + 1
    assert statuses.count(0) == 6
    for one, content in zip([*bids, produced], [*contents, None], strict=True):
        opened = (folder / "opened" / f"{one.sha256}.txt").read_bytes()
        raw = opened.partition(b"\n")[2].rstrip(b" ")
        assert BidContent.read(raw).price == (content.price if content else 400)
    assert (folder / "opened" / f"{lost.sha256}.txt").read_bytes() == b""
    readme = (folder / "README").read_text(encoding="utf-8")
    assert "开启时间 / Opened at: 2026-03-02 09:30" in readme
    for path in (folder / "bids").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    report = sealing.open_bundle(folder)
    assert report.call == CALL
    assert {sha256: one.price for sha256, one in report.opened.items() if isinstance(one, BidContent)} == {
        **{one.sha256: content.price for one, content in zip(bids, contents, strict=True)},
        produced.sha256: 400,
    }
    assert report.opened[lost.sha256] is Reason.CIPHERTEXT


def test_bundle_has_exactly_the_published_layout(opening: tuple[list[SealedBid], list[BidContent], SealedBid]) -> None:
    bids, _, _ = opening
    names = set(sealing.bundle_files(CALL, bids, only("buyer", "platform"), {}))
    assert names == {"README", "keys/buyer.txt", "keys/platform.txt"} | {
        name
        for one in bids
        for name in (f"bids/{one.sha256}.age", *(f"wraps/{one.sha256}.{pair}.age" for pair in PAIRS))
    }


def test_bundle_archive_is_the_same_bytes_each_time(
    opening: tuple[list[SealedBid], list[BidContent], SealedBid], tmp_path: Path
) -> None:
    bids, _, lost = opening
    keys = only("buyer", "platform")
    first = sealing.bundle_zip(CALL, [*bids, lost], keys, {})
    assert first == sealing.bundle_zip(CALL, [lost, *reversed(bids)], dict(reversed(keys.items())), {})
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    assert len(sealing.open_bundle(tmp_path / "opening").opened) == 4


def test_changed_bundle_is_found_out(
    opening: tuple[list[SealedBid], list[BidContent], SealedBid], tmp_path: Path
) -> None:
    bids, _, _ = opening
    counter = itertools.count()

    def spoilt(spoil: Callable[[Path], object]) -> Path:
        folder = tmp_path / str(next(counter))
        sealing.write_bundle(folder, CALL, bids, only("buyer", "supervisor"), {})
        spoil(folder)
        return folder

    sha256 = bids[0].sha256
    bid_file, wrap_file = f"bids/{sha256}.age", f"wraps/{sha256}.buyer+supervisor.age"
    for spoil in (
        lambda folder: (folder / bid_file).write_bytes(bids[1].ciphertext),
        lambda folder: (folder / bid_file).unlink(),
        lambda folder: (folder / wrap_file).unlink(),
        lambda folder: (folder / "keys/buyer.txt").write_text("no key"),
        lambda folder: (folder / "keys/buyer.txt").write_text(f"# call: OTHER\n{KEYS['buyer']}\n"),
        lambda folder: (folder / "keys/buyer.txt").unlink(),
        lambda folder: (folder / "more.txt").write_text("x"),
    ):
        with pytest.raises(sealing.BundleDamaged):
            sealing.open_bundle(spoilt(spoil))
    # Wrong bytes in a wrap or a wrong key are a bid that doesn't open, not a bundle that can't be read.
    report = sealing.open_bundle(spoilt(lambda folder: (folder / wrap_file).write_bytes(b"x")))
    assert report.opened[sha256] is Reason.WRAP


# The commands.


@pytest.fixture
def flask() -> Callable[..., Result]:
    """The commands by themselves: no application, no database."""
    runner = CliRunner()

    def run(*arguments: object) -> Result:
        return runner.invoke(bids_group, [*map(str, arguments)])

    return run


def test_commands_are_among_the_portals() -> None:
    assert bids_group in kernel_web.commands


def test_commands_carry_a_bid_from_the_offline_bidder_to_the_repeated_opening(
    flask: Callable[..., Result], tmp_path: Path
) -> None:
    recipients, protected, long_term = {}, {}, {}
    for name in CUSTODIANS:
        long_term[name] = tmp_path / f"{name}.key"
        made = flask("custodian-key", "--out", long_term[name])
        assert made.exit_code == 0
        assert stat.S_IMODE(long_term[name].stat().st_mode) == 0o600
        answer = json.loads(flask("call-keys", CALL, made.stdout.strip(), "--json").stdout)
        recipients[name], protected[name] = answer["recipient"], answer["protected"]
    call_file, bid_file = tmp_path / "call.json", tmp_path / "bid.json"
    call_file.write_bytes(sealing.CallKeys(CALL, recipients).as_bytes())
    (tmp_path / "方案.pdf").write_bytes(b"%PDF-1.7")
    said = {
        "organisation": BIDDER,
        "price": "１２３，４５６．００",
        "working_days": 12,
        "statement": "第一行\r\n第二行",
        "files": ["方案.pdf"],
    }
    bid_file.write_text(json.dumps(said), encoding="utf-8")
    answer = json.loads(flask("seal", call_file, bid_file, "--out", tmp_path / "out", "--json").stdout)
    kept = Path(answer["key"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    one, sealed_by = sealing.read_sealed(Path(answer["sealed"]).read_bytes(), CALL)
    assert sealed_by is SealedBy.OFFLINE
    assert one.sha256 == answer["sha256"]
    sealing.check_form(one.ciphertext, one.wraps, CUSTODIANS)
    content = sealing.open_with_key(one.ciphertext, sealing.parse_identity(kept.read_text(encoding="utf-8")), CALL)
    assert BidContent.read(content).files == (BidFile("方案.pdf", b"%PDF-1.7"),)

    keys = {}
    for name in ("platform", "supervisor"):
        stored = tmp_path / f"{name}.protected"
        stored.write_text(protected[name], encoding="ascii")
        got = flask("unwrap", CALL, stored, "--identity", long_term[name], "--recipient", recipients[name])
        assert got.exit_code == 0
        keys[name] = sealing.check_key(got.stdout, recipients[name])
    sealing.write_bundle(tmp_path / "opening", CALL, [one], keys, {})
    report = json.loads(flask("open-bundle", tmp_path / "opening", "--json").stdout)
    assert report["call"] == CALL
    (opened,) = report["bids"]
    assert (opened["price"], opened["statement"]) == (12_345_600, "第一行\n第二行")
    assert opened["files"] == [{"name": "方案.pdf", "size": 8}]
    told = flask("open-bundle", tmp_path / "opening")
    assert "¥123,456.00" in told.stdout
    assert told.exit_code == 0


def test_commands_say_what_is_wrong_and_end_with_1(flask: Callable[..., Result], tmp_path: Path) -> None:
    call_file, bid_file = tmp_path / "call.json", tmp_path / "bid.json"
    call_file.write_bytes(sealing.CallKeys(CALL, RECIPIENTS).as_bytes())
    good = {"organisation": BIDDER, "price": "1", "working_days": 1}
    for change, code in (
        ({"price": 1}, "bid_file_unreadable"),
        ({"price": "1.234"}, "amount_too_fine"),
        ({"discount": "5"}, "bid_content_invalid"),
        ({"working_days": 0}, "working_days_unreadable"),
        ({"organisation": "1"}, "bad_credit_code"),
        ({"files": ["missing.pdf"]}, "bid_file_unreadable"),
        ({"files": "a.pdf"}, "bid_file_unreadable"),
        ({"prise": "1"}, "bid_file_unreadable"),
    ):
        bid_file.write_text(json.dumps(good | change), encoding="utf-8")
        failed = flask("seal", call_file, bid_file, "--out", tmp_path / "out")
        assert (failed.exit_code, failed.stdout) == (1, "")
        assert failed.stderr.startswith(f"{code}: ")
    assert not (tmp_path / "out").exists()
    bid_file.write_text(json.dumps(good), encoding="utf-8")
    target = tmp_path / "mine.sealed.json"
    assert flask("seal", call_file, bid_file, "--out", target).exit_code == 0
    assert (tmp_path / "mine.key.txt").exists()
    assert flask("seal", call_file, bid_file, "--out", target).stderr.startswith("file_there: ")
    assert flask("seal", bid_file, bid_file, "--out", tmp_path / "out").stderr.startswith("call_keys_unreadable: ")
    key = tmp_path / "key"
    key.write_text(KEYS["buyer"], encoding="ascii")
    bid_file.write_bytes(base64.b64encode(sealing.protect(KEYS["platform"], CALL, RECIPIENTS["buyer"])))
    assert flask("unwrap", "OTHER", bid_file, "--identity", key).stderr.startswith("key_of_other_call: ")
    wrong = flask("unwrap", CALL, bid_file, "--identity", key, "--recipient", RECIPIENTS["supervisor"])
    assert (wrong.exit_code, wrong.stdout) == (1, "")


def test_commands_used_wrongly_end_with_2(flask: Callable[..., Result], tmp_path: Path) -> None:
    assert flask("seal").exit_code == 2
    assert flask("open-bundle", tmp_path / "nowhere").exit_code == 2
    assert flask("call-keys", CALL).exit_code == 2
    assert flask("call-keys", "a b", RECIPIENTS["buyer"]).exit_code == 2


def test_receipt_is_checked_by_command(flask: Callable[..., Result], signing: Path, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    found = sealing.receipt(CALL, "ab" * 32, AT)
    path.write_text(json.dumps(found), encoding="ascii")
    assert flask("verify-receipt", path, "--key", sealing.public_key()).exit_code == 0
    assert flask("verify-receipt", path, "--key", "0" * 64).exit_code == 1
    path.write_text(json.dumps(found | {"at": "2026-03-02T01:30:00.123457Z"}), encoding="ascii")
    assert flask("verify-receipt", path, "--key", sealing.public_key()).exit_code == 1


def test_vendored_library_is_the_one_that_is_described() -> None:
    folder = Path(__file__).resolve().parents[2] / "static" / "vendor"
    digest = hashlib.sha256((folder / "age-encryption.js").read_bytes()).hexdigest()
    assert f"`{digest}`" in (folder / "README.md").read_text(encoding="utf-8")
