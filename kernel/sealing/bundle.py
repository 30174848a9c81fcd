"""What is published after an opening, so that anyone repeats it with the ``age`` program alone (competition, step 4).

::

    bids/<sha256>.age            the bids as they were handed in
    wraps/<sha256>.<pair>.age    the key of each bid, wrapped for each pair of custodians
    keys/<custodian>.txt         this call's keys, as the custodians handed them in
    keys/<sha256>.txt            only where a bidder had to produce the key of a bid that didn't open
    README                       the commands, one a bid

The same bids and keys make the same bytes, whoever writes them and when.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kernel.sealing import age
from kernel.sealing.content import BidContent
from kernel.sealing.custody import call_of, identity_text
from kernel.sealing.envelope import SealedBid, open_bid, open_with_key, unwrap
from kernel.sealing.incidents import BundleDamaged, KeysMissing, KeyUnreadable, Reason, Unopenable

_BID = re.compile(r"bids/([0-9a-f]{64})\.age")
_WRAP = re.compile(r"wraps/([0-9a-f]{64})\.([a-z0-9-]+(?:\+[a-z0-9-]+)?)\.age")
_KEY = re.compile(r"keys/([a-z][a-z0-9-]{0,30})\.txt")
_PRODUCED = re.compile(r"keys/([0-9a-f]{64})\.txt")
#: The earliest instant that a zip archive can tell: a bundle's time is nobody's.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class BundleReport:
    """An opening repeated. ``opened``: SHA-256 → content, or the reason why it doesn't open."""

    call: str
    opened: Mapping[str, BidContent | Reason]


def bundle_files(
    call: str, bids: Sequence[SealedBid], keys: Mapping[str, str], facts: Mapping[str, str]
) -> dict[str, bytes]:
    """The bundle in memory: path → bytes, in order.

    ``bids``: all that were handed in in time, with ``one_bid_key`` only where the bidder produced it at the opening;
    ``keys``: custodian → this call's identity, of those who handed it in; ``facts``: lines for the README's head.
    """
    files = {"README": _readme(call, bids, keys, facts).encode()}
    for custodian, identity in keys.items():
        files[f"keys/{custodian}.txt"] = identity_text(identity, call).encode("ascii")
    for bid in bids:
        files[f"bids/{bid.sha256}.age"] = bid.ciphertext
        for name, wrap in bid.wraps.items():
            files[f"wraps/{bid.sha256}.{name}.age"] = wrap
        if bid.one_bid_key:
            files[f"keys/{bid.sha256}.txt"] = identity_text(bid.one_bid_key, call).encode("ascii")
    return dict(sorted(files.items()))


def write_bundle(
    folder: Path, call: str, bids: Sequence[SealedBid], keys: Mapping[str, str], facts: Mapping[str, str]
) -> None:
    """Write the bundle into ``folder``, which is made if it isn't there. See :func:`bundle_files`."""
    for name, content in bundle_files(call, bids, keys, facts).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def bundle_zip(call: str, bids: Sequence[SealedBid], keys: Mapping[str, str], facts: Mapping[str, str]) -> bytes:
    """The bundle as one zip archive, the same bytes each time. See :func:`bundle_files`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in bundle_files(call, bids, keys, facts).items():
            entry = zipfile.ZipInfo(f"opening/{name}", _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def open_bundle(folder: Path) -> BundleReport:
    """Repeat an opening from its bundle.

    Raises:
        BundleDamaged: a file's name isn't its SHA-256, a file doesn't belong, or the keys aren't of one call.
    """
    bids: dict[str, bytes] = {}
    wraps: dict[str, dict[str, bytes]] = {}
    keys: dict[str, str] = {}
    produced: dict[str, str] = {}
    calls = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name == "README" or name.startswith("opened/"):
            continue
        content = path.read_bytes()
        if found := _BID.fullmatch(name):
            if hashlib.sha256(content).hexdigest() != found[1]:
                raise BundleDamaged(path=name)
            bids[found[1]] = content
        elif found := _WRAP.fullmatch(name):
            wraps.setdefault(found[1], {})[found[2]] = content
        elif found := _PRODUCED.fullmatch(name) or _KEY.fullmatch(name):
            text = content.decode("ascii", "replace")
            calls.add(call_of(text))
            try:
                (produced if _PRODUCED.fullmatch(name) else keys)[found[1]] = age.parse_identity(text)
            except KeyUnreadable as error:
                raise BundleDamaged(path=name) from error
        else:
            raise BundleDamaged(path=name)
    call = calls.pop() if len(calls) == 1 else None
    if call is None:
        raise BundleDamaged(path="keys")
    if strange := sorted((wraps.keys() | produced.keys()) - bids.keys()):
        raise BundleDamaged(path=strange[0])
    opened: dict[str, BidContent | Reason] = {}
    for sha256, ciphertext in sorted(bids.items()):
        bid = SealedBid(ciphertext, wraps.get(sha256, {}), produced.get(sha256, ""))
        try:
            opened[sha256] = open_bid(bid, call, keys)
        except Unopenable as error:
            opened[sha256] = error.reason
        except KeysMissing as error:
            raise BundleDamaged(path=f"wraps/{sha256}") from error
    return BundleReport(call, opened)


def _readme(call: str, bids: Sequence[SealedBid], keys: Mapping[str, str], facts: Mapping[str, str]) -> str:
    head = "\n".join(f"{label}: {value}" for label, value in {"公告 / Call": call, **facts}.items())
    commands = "\n".join(f"    {_command(bid, call, keys)}" for bid in sorted(bids, key=lambda bid: bid.sha256))
    return f"""{head}

人人可以重复开启 / Anyone can repeat the opening

只需要 age 程序（https://age-encryption.org，各 Linux 发行版均有）。在本目录执行下列命令，每份报价一条。
报价的密钥以 age(甲, age(乙, 密钥)) 的方式封装给每两位保管人；命令依次用两位保管人的本公告密钥解开。
All it takes is the age program (https://age-encryption.org, in every Linux distribution). Run these commands in
this folder, one a bid. Each bid's key is wrapped for every pair of custodians as age(A, age(B, key)); a command
opens it with the keys of two custodians, then the bid with it.

    mkdir -p opened
{commands}

每份文件的第一行是“sealed/v1 公告编号 内容长度”，其后是报价内容（JSON），末尾以空格补足固定长度。
price 为报价（分），discount 为下浮率（万分之一），files 为附件（base64）。文件名是密文的 SHA-256，
与提交回执一致。有命令报错的，该报价无法开启，已如实记录。
The first line of each file is “sealed/v1 <call> <length>”; the bid follows as JSON, then spaces up to the fixed length.
price is in fen, discount in basis points, files are base64. A bid's name is the SHA-256 of its ciphertext, as on
the bidder's receipt. Where a command fails the bid can't be opened, and is recorded so.

    sha256sum bids/*.age
"""


def _command(bid: SealedBid, call: str, keys: Mapping[str, str]) -> str:
    target = f"bids/{bid.sha256}.age > opened/{bid.sha256}.txt"
    if bid.one_bid_key:
        return f"age -d -i keys/{bid.sha256}.txt {target}"
    possible = [name for name in sorted(bid.wraps) if keys.keys() >= set(name.split("+"))]
    # A bidder may have wrapped badly for one pair: name a pair that opens, if any does.
    name = next((one for one in possible if _opens(bid, call, one, keys)), possible[0] if possible else "")
    first, *second = name.split("+")
    steps = [f"age -d -i keys/{first}.txt wraps/{bid.sha256}.{name}.age"]
    steps += [f"age -d -i keys/{custodian}.txt" for custodian in second]
    return " | ".join([*steps, f"age -d -i - {target}"])


def _opens(bid: SealedBid, call: str, name: str, keys: Mapping[str, str]) -> bool:
    try:
        open_with_key(bid.ciphertext, unwrap(bid.wraps[name], *(keys[one] for one in name.split("+"))), call)
    except Unopenable:
        return False
    return True
