"""``flask bids``: what bidders and custodians do on their own machine, and what anyone does with a published opening.

None of it needs a database or the network. Exit status: 0 fine, 1 a problem was found, 2 wrong use.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from flask.cli import AppGroup

from kernel import money, sealing
from kernel.accounts.organisations import parse_credit_code
from kernel.errors import PortalError
from kernel.sealing import BidContent, BidFile, SealedBy

bids = AppGroup(
    "bids", help="密封报价：离线封装、保管人密钥、重复开启 / Sealed bids: offline sealing, keys, repeating an opening"
)

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_as_json = click.option("--json", "as_json", is_flag=True, help="只输出 JSON / JSON alone")
#: What BID.json may say; ``price`` in yuan or ``discount`` in per cent, both as text.
_MEMBERS = {"organisation", "price", "discount", "working_days", "statement", "files"}


class BidFileUnreadable(PortalError):
    code = "bid_file_unreadable"
    zh = "无法识别报价文件：{why}"
    en = "The bid's file can't be read: {why}"


class FileThere(PortalError):
    code = "file_there"
    zh = "文件已存在，未覆盖：{path}"
    en = "The file is there already and was not overwritten: {path}"


@contextmanager
def _told() -> Iterator[None]:
    """A named incident ends the command with 1 and one line in both languages."""
    try:
        yield
    except PortalError as error:
        click.echo(f"{error.code}: {error.text('zh')} / {error.text('en')}", err=True)
        sys.exit(1)


def _offline(name: str) -> Callable[[Callable[..., None]], click.Command]:
    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def told(*arguments: Any, **options: Any) -> None:
            with _told():
                function(*arguments, **options)

        return bids.command(name, with_appcontext=False)(told)

    return decorate


@_offline("seal")
@click.argument("call", type=click.File("rb"))
@click.argument("bid", type=_FILE)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="文件夹，或 .sealed.json 文件 / folder, or file"
)
@_as_json
def seal(call: IO[bytes], bid: Path, out: Path, as_json: bool) -> None:
    """Seal BID.json for the call whose key file CALL.json is; writes what to hand in and the key to keep.

    BID.json: {"organisation": credit code, "price": "1,234.50" (yuan) or "discount": "15.5" (per cent),
    "working_days": 10, "statement": "…", "files": ["report.pdf", …]}; files are looked for beside it.
    """
    keys = sealing.read_call(call.read())
    content = _content(bid, keys.call)
    sealed = sealing.seal(content.as_bytes(), keys.call, keys.recipients, classes=keys.size_classes)
    if out.suffix == ".json":
        hand_in = out
        keep = out.with_name(out.name.removesuffix(".json").removesuffix(".sealed") + ".key.txt")
    else:
        stem = f"{keys.call}-{sealed.sha256[:12]}"
        hand_in, keep = out / f"{stem}.sealed.json", out / f"{stem}.key.txt"
    _write(keep, sealing.key_text(sealed.one_bid_key, keys.call, sealed.sha256).encode(), mode=0o600)
    _write(hand_in, sealing.write_sealed(sealed, keys.call, SealedBy.OFFLINE))
    _say(
        as_json,
        {"call": keys.call, "sha256": sealed.sha256, "sealed": str(hand_in), "key": str(keep)},
        f"✔ 提交此文件 / hand in: {hand_in}\n"
        f"✔ 自己保管，开启前不给任何人 / keep, show nobody: {keep}\n"
        f"SHA-256 {sealed.sha256}",
    )


@_offline("custodian-key")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="密钥文件 / the key's file")
@_as_json
def custodian_key(out: Path, as_json: bool) -> None:
    """Make a custodian's long-term key, readable by its owner alone; prints the public recipient."""
    identity = sealing.fresh_identity()
    recipient = sealing.recipient_of(identity)
    _write(out, f"# public key: {recipient}\n{identity}\n".encode("ascii"), mode=0o600)
    _say(as_json, {"recipient": recipient, "key": str(out)}, recipient)


@_offline("call-keys")
@click.argument("call")
@click.argument("recipients", nargs=-1, required=True)
@_as_json
def call_keys(call: str, recipients: tuple[str, ...], as_json: bool) -> None:
    """Make a fresh key for the call numbered CALL, encrypted to your own RECIPIENTS (one, or also a spare one)."""
    if not sealing.CALL.fullmatch(call):
        raise click.BadParameter("字母、数字和连字符 / letters, digits and hyphens", param_hint="CALL")
    identity = sealing.fresh_identity()
    recipient = sealing.recipient_of(identity)
    protected = base64.b64encode(sealing.protect(identity, call, *recipients)).decode("ascii")
    _say(
        as_json,
        {"call": call, "recipient": recipient, "protected": protected},
        f"recipient: {recipient}\nprotected: {protected}",
    )


@_offline("unwrap")
@click.argument("call")
@click.argument("protected", type=click.File("r", encoding="ascii"))
@click.option("--identity", type=_FILE, required=True, help="您的长期密钥文件 / your long-term key's file")
@click.option("--recipient", help="本公告公布的公钥 / the public recipient that the call published")
@_as_json
def unwrap(call: str, protected: IO[str], identity: Path, recipient: str | None, as_json: bool) -> None:
    """Recover the key of the call numbered CALL from PROTECTED (base64, a file or -), to hand in at the opening."""
    try:
        stored = base64.b64decode("".join(protected.read().split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise sealing.KeyNotYours from error
    long_term = sealing.parse_identity(identity.read_text(encoding="utf-8", errors="replace"))
    key = sealing.recover(stored, call, long_term)
    if recipient is not None:
        sealing.check_key(key, recipient)
    _say(as_json, {"call": call, "key": key, "recipient": sealing.recipient_of(key)}, key)


@_offline("open-bundle")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_as_json
def open_bundle(folder: Path, as_json: bool) -> None:
    """Repeat a published opening from its bundle; bids that don't open are listed with the reason."""
    report = sealing.open_bundle(folder)
    if as_json:
        rows = [{"sha256": sha256, **_row(found)} for sha256, found in report.opened.items()]
        click.echo(json.dumps({"call": report.call, "bids": rows}, ensure_ascii=False))
        return
    for sha256, found in report.opened.items():
        if isinstance(found, BidContent):
            offer = money.format(found.price) if found.price is not None else f"-{(found.discount or 0) / 100:.2f} %"
            click.echo(f"✔ {sha256[:12]} {found.organisation} {offer} {found.working_days} 工作日 / working days")
        else:
            click.echo(f"✘ {sha256[:12]} {found.zh} / {found.en}")
    failed = sum(not isinstance(found, BidContent) for found in report.opened.values())
    opened = len(report.opened) - failed
    click.echo(f"{report.call}：已开启 {opened} 份，无法开启 {failed} 份 / {opened} opened, {failed} can't be opened")


@_offline("verify-receipt")
@click.argument("receipt", type=click.File("rb"))
@click.option(
    "--key", required=True, help="平台公布的回执公钥（64 位十六进制）/ the portal's public key, 64 hex digits"
)
@_as_json
def verify_receipt(receipt: IO[bytes], key: str, as_json: bool) -> None:
    """Check a receipt against the portal's published key; exit 1 when it doesn't hold."""
    try:
        found = json.loads(receipt.read())
    except ValueError as error:
        raise sealing.ReceiptInvalid from error
    if not isinstance(found, dict):
        raise sealing.ReceiptInvalid
    sealing.verify_receipt(found, key)
    _say(as_json, found, f"✔ {found['call']} {found['sha256']} {found['at']}")


def _content(path: Path, call: str) -> BidContent:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise BidFileUnreadable(why=path.name) from error
    if not isinstance(found, dict):
        raise BidFileUnreadable(why=path.name)
    if strange := sorted(found.keys() - _MEMBERS):
        raise BidFileUnreadable(why=strange[0])
    for name in ("organisation", "price", "discount", "statement"):
        # A number would leave open whether it is yuan or fen.
        if not isinstance(found.get(name, ""), str):
            raise BidFileUnreadable(why=f"{name}: “…”")
    price, discount, names = found.get("price"), found.get("discount"), found.get("files", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BidFileUnreadable(why="files: […]")
    try:
        files = tuple(BidFile(sealing.clean_name(Path(name).name), (path.parent / name).read_bytes()) for name in names)
    except OSError as error:
        raise BidFileUnreadable(why=str(error.filename)) from error
    return BidContent(
        call=call,
        organisation=parse_credit_code(found.get("organisation", "")),
        price=None if price is None else money.parse(price, field="price"),
        discount=None if discount is None else sealing.parse_discount(discount, field="discount"),
        working_days=sealing.parse_working_days(str(found.get("working_days", "")), field="working_days"),
        statement=sealing.plain_text(found.get("statement", "")),
        sealed_by=SealedBy.OFFLINE,
        files=files,
    )


def _row(found: BidContent | sealing.Reason) -> dict[str, object]:
    if isinstance(found, BidContent):
        plain: dict[str, object] = json.loads(found.as_bytes())
        plain["files"] = [{"name": one.name, "size": len(one.content)} for one in found.files]
        return plain
    return {"unopenable": found.value}


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise FileThere(path=str(path)) from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _say(as_json: bool, answer: Mapping[str, object], text: str) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else text)
