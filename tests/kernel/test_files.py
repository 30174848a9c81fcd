"""What uploads promise: nothing hostile stays, nothing honest is lost, bytes are safe before they are named (G14)."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import stat
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kernel import files
from kernel.errors import PortalError
from kernel.files import documents, store
from kernel.files.names import LONGEST, clean_name
from kernel.trail import Actor


def _load(name: str) -> ModuleType:
    """A helper beside this file; tests are no package."""
    found = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


hostile = _load("hostile")
LIMIT = 100 << 20
OWNER = Actor(1, "王工", 7, "测绘院")


def keep(folder: Path, content: bytes, name: str, limit: int = LIMIT) -> files.Blob:
    return files.store_blob(io.BytesIO(content), name, folder, limit, field="report")


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# --- what is refused, what is accepted ---


def test_the_collection_holds_at_least_sixty_hostile_files() -> None:
    assert len(hostile.HOSTILE) >= 60


@pytest.mark.parametrize("title", hostile.HOSTILE)
def test_a_hostile_file_is_refused_by_name_and_leaves_nothing(title: str, tmp_path: Path) -> None:
    """G14: accepted 0. Every refusal is a named incident at the field, with both texts filled in."""
    name, build = hostile.HOSTILE[title]
    content = build()
    tracemalloc.start()
    with pytest.raises(PortalError) as caught:
        keep(tmp_path, content, name)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code.startswith("file_")
    assert caught.value.field == "report"
    assert caught.value.text("zh")
    assert caught.value.text("en")
    assert everything_in(tmp_path) == []
    assert most < 50 << 20


@pytest.mark.parametrize("title", hostile.HONEST)
def test_an_honest_file_of_every_type_is_accepted(title: str, tmp_path: Path) -> None:
    name, build = hostile.HONEST[title]
    content = build()
    blob = keep(tmp_path, content, name)
    assert blob.sha256 == hashlib.sha256(content).hexdigest()
    assert blob.size == len(content)
    assert (store.blob_path(tmp_path, blob.sha256)).read_bytes() == content
    assert blob.media_type == files.MEDIA_TYPES[name.rpartition(".")[2].lower()]


def test_every_accepted_type_has_an_honest_sample() -> None:
    names = {name.rpartition(".")[2].lower() for name, _ in hostile.HONEST.values()}
    assert names == set(files.MEDIA_TYPES)


@pytest.mark.parametrize(
    ("title", "error", "danger"),
    [
        ("pdf script with names in hexadecimal", files.FileUnsafe, files.Danger.ACTIVE),
        ("pdf script inside a compressed object stream", files.FileUnsafe, files.Danger.ACTIVE),
        ("pdf that starts a program", files.FileUnsafe, files.Danger.ACTIVE),
        ("pdf with an attachment", files.FileUnsafe, files.Danger.EMBEDDED),
        ("pdf whose content lies elsewhere", files.FileUnsafe, files.Danger.REMOTE),
        ("pdf content bomb", files.FileUnsafe, files.Danger.BOMB),
        ("pdf of 5,100 pages", files.FileTooLong, None),
        ("pdf pixel flood", files.FileUnsafe, files.Danger.PIXELS),
        ("pdf that is also a zip", files.FileUnsafe, files.Danger.DISGUISED),
        ("pdf with a password", files.FileEncrypted, None),
        ("pdf with an owner's password", files.FileEncrypted, None),
        ("pdf cut in half", files.FileDamaged, None),
        ("pdf behind other bytes", files.FileTypeMismatch, None),
        ("zip bomb of 300 MB", files.FileUnsafe, files.Danger.BOMB),
        ("zip bomb in a docx in a zip", files.FileUnsafe, files.Danger.BOMB),
        ("zip whose entries overlap", files.FileUnsafe, files.Danger.BOMB),
        ("zip of 5,100 members", files.FileUnsafe, files.Danger.BOMB),
        ("zip within a zip", files.FileUnsafe, files.Danger.NESTED),
        ("zip within a zip under another name", files.FileUnsafe, files.Danger.NESTED),
        ("zip slip with backslashes", files.FileUnsafe, files.Danger.PATHS),
        ("zip with a symbolic link", files.FileUnsafe, files.Danger.PATHS),
        ("zip with a program named txt", files.FileUnsafe, files.Danger.FORBIDDEN),
        ("zip with a scripted pdf", files.FileUnsafe, files.Danger.ACTIVE),
        ("zip with EICAR", files.FileUnsafe, files.Danger.MALWARE),
        ("zip with a password", files.FileEncrypted, None),
        ("zip with a wrong checksum", files.FileDamaged, None),
        ("zip with two names for one member", files.FileUnsafe, files.Danger.DISGUISED),
        ("zip before other bytes", files.FileUnsafe, files.Danger.DISGUISED),
        ("docx with macros", files.FileUnsafe, files.Danger.MACRO),
        ("docx declared as macro-enabled", files.FileUnsafe, files.Danger.MACRO),
        ("docx with a remote template, disguised", files.FileUnsafe, files.Danger.REMOTE),
        ("docx with an external entity in UTF-16", files.FileUnsafe, files.Danger.ENTITIES),
        ("docx with a command field", files.FileUnsafe, files.Danger.FORMULA),
        ("docx that is a plain zip", files.FileTypeMismatch, None),
        ("ofd with an external entity", files.FileUnsafe, files.Danger.ENTITIES),
        ("png pixel flood", files.FileUnsafe, files.Danger.PIXELS),
        ("svg script as png", files.FileTypeMismatch, None),
        ("jpeg pixel flood", files.FileUnsafe, files.Danger.PIXELS),
        ("tiff that loops", files.FileDamaged, None),
        ("dwg with macros", files.FileUnsafe, files.Danger.MACRO),
        ("EICAR across a border", files.FileUnsafe, files.Danger.MALWARE),
        ("text in no encoding", files.FileDamaged, None),
        ("csv that calls a program", files.FileUnsafe, files.Danger.FORMULA),
        ("nothing", files.FileEmpty, None),
        ("svg", files.FileTypeNotAllowed, None),
        ("right-to-left override", files.FileTypeNotAllowed, None),
        ("extension only", files.FileNameInvalid, None),
    ],
)
def test_a_refusal_names_the_true_cause(
    title: str, error: type[PortalError], danger: files.Danger | None, tmp_path: Path
) -> None:
    """A file refused for the wrong reason would pass once that reason is mended."""
    name, build = hostile.HOSTILE[title]
    with pytest.raises(error) as caught:
        keep(tmp_path, build(), name)
    assert caught.value.params.get("danger") == (danger.value if danger else None)


def test_a_refused_type_lists_the_accepted_ones(tmp_path: Path) -> None:
    with pytest.raises(files.FileTypeNotAllowed) as caught:
        keep(tmp_path, b"x", "a.exe")
    for extension in files.MEDIA_TYPES:
        assert extension in caught.value.text("zh")


def test_a_mismatch_says_what_the_content_is(tmp_path: Path) -> None:
    with pytest.raises(files.FileTypeMismatch) as caught:
        keep(tmp_path, hostile.png(), "a.pdf")
    assert "pdf" in caught.value.text("zh")
    assert "PNG" in caught.value.text("zh")
    assert "PNG" in caught.value.text("en")


def test_facts_tell_pages_title_and_signatures(tmp_path: Path) -> None:
    blob = keep(tmp_path, hostile.pdf(3, title="勘察报告"), "a.pdf")
    assert blob.pages == 3
    assert blob.facts["title"] == "勘察报告"
    assert blob.facts["signatures"] == 0
    assert keep(tmp_path, hostile.png(5, 4), "a.png").facts == {"width": 5, "height": 4}
    assert keep(tmp_path, "材料".encode("gb18030"), "a.txt").facts == {"encoding": "gb18030"}


def test_a_signed_pdf_is_counted(tmp_path: Path) -> None:
    signature = b"<</Type/Sig/Filter/Adobe.PPKLite/ByteRange[0 1 2 3]/Contents<00>>>"
    content = hostile.pdf_by_hand(b"/AcroForm<</Fields[5 0 R]/SigFlags 3>>", signature, b"<</FT/Sig/T(a)/V 4 0 R>>")
    assert keep(tmp_path, content, "a.pdf").facts["signatures"] == 1


def test_a_reader_that_dies_never_means_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G17: closed on failure."""
    dying = tmp_path / "dying.py"
    dying.write_text("import os; os.kill(os.getpid(), 9)", encoding="ascii")
    monkeypatch.setattr("kernel.files.pdf._READER", dying)
    with pytest.raises(files.FileUnsafe):
        keep(tmp_path / "files", hostile.pdf(), "a.pdf")
    assert everything_in(tmp_path / "files") == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_pdf_reader_stays_below_two_hundred_megabytes(tmp_path: Path) -> None:
    """G14: memory. The reader is given every hostile PDF at once and reports its own highest mark."""
    reader = Path(files.__file__).with_name("pdf_reader.py")
    script = (
        "import pathlib, runpy, sys\n"
        f"runpy.run_path({str(reader)!r}, run_name='__main__')\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0], file=sys.stderr)\n"
    )
    paths = []
    for number, (name, build) in enumerate(hostile.HOSTILE.values()):
        if name == "a.pdf":
            paths.append(tmp_path / f"{number}.pdf")
            paths[-1].write_bytes(build())
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == len(paths)
    assert int(done.stderr) * 1024 < 200 << 20


# --- names ---


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\Users\\王\\勘察 报告.PDF", "勘察 报告.PDF"),
        ("../../etc/报告.pdf", "报告.pdf"),
        ("报\u202e告\u200b\r\n.pdf", "报告.pdf"),
        ("报告.pdf. ", "报告.pdf"),
        ('a"b<c>|d?.pdf', "a_b_c__d_.pdf"),
        ("e\u0301.pdf", "\u00e9.pdf"),
        ("\ud800报告.pdf", "报告.pdf"),
        ("..报告.pdf", "报告.pdf"),
    ],
)
def test_a_name_keeps_only_what_is_seen(given: str, kept: str) -> None:
    assert clean_name(given) == kept


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    kept = clean_name("长" * 5_000 + ".pdf")
    assert len(kept) == LONGEST
    assert kept.endswith("长.pdf")


@pytest.mark.parametrize("given", ["", " ", "..", ".pdf", "\u202e.pdf", "a/", "NUL.txt", "com1.pdf", "con.a.pdf"])
def test_a_name_without_substance_is_refused(given: str) -> None:
    with pytest.raises(files.FileNameInvalid) as caught:
        clean_name(given, field="report")
    assert caught.value.field == "report"


# --- limit ---


class Tap(io.RawIOBase):
    """Gives bytes without end and complains once too many have been taken."""

    def __init__(self, most: int) -> None:
        self.most = most

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= self.most, "read beyond the limit"
        self.most -= size
        return b"a" * size


def test_a_file_over_the_limit_is_refused_while_streaming(tmp_path: Path) -> None:
    limit = 1_000_000
    with pytest.raises(files.FileTooLarge) as caught:
        files.store_blob(Tap(limit + 1), "a.txt", tmp_path, limit)  # type: ignore[arg-type]
    assert caught.value.status == 413
    assert "0.9537 MB" in caught.value.text("zh")
    assert everything_in(tmp_path) == []


def test_a_file_of_exactly_the_limit_is_accepted(tmp_path: Path) -> None:
    assert keep(tmp_path, b"a" * 5_000, "a.txt", limit=5_000).size == 5_000
    with pytest.raises(files.FileTooLarge):
        keep(tmp_path, b"a" * 5_001, "a.txt", limit=5_000)


def test_a_wrong_type_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    with pytest.raises(files.FileTypeNotAllowed):
        files.store_blob(Tap(0), "a.exe", tmp_path, LIMIT)  # type: ignore[arg-type]


def test_the_length_header_is_refused_beyond_the_limit() -> None:
    files.check_length(None, LIMIT)
    files.check_length(LIMIT, LIMIT)
    with pytest.raises(files.FileTooLarge) as caught:
        files.check_length(LIMIT + (1 << 20), LIMIT)
    assert "100 MB" in caught.value.text("zh")


# --- the store ---


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    first, second = keep(tmp_path, b"text", "a.txt"), keep(tmp_path, b"text", "b.csv")
    assert first.sha256 == second.sha256
    assert first.name != second.name
    assert everything_in(tmp_path) == [store.blob_path(tmp_path, first.sha256)]


def test_a_new_upload_mends_content_that_rotted(tmp_path: Path) -> None:
    blob = keep(tmp_path, b"text", "a.txt")
    path = store.blob_path(tmp_path, blob.sha256)
    path.write_bytes(b"tent")
    assert store.hash_of(path) != blob.sha256
    keep(tmp_path, b"text", "a.txt")
    assert store.hash_of(path) == blob.sha256


def test_blobs_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        blob = keep(tmp_path / "files", b"text", "a.txt")
    finally:
        os.umask(before)
    path = store.blob_path(tmp_path / "files", blob.sha256)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, tmp_path / "files" / "incoming", tmp_path / "files"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G19: what is acknowledged survives the loss of power."""
    calls: list[str] = []
    sync, rename = os.fsync, Path.replace

    def note_sync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def note_rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    keep(tmp_path, b"text", "a.txt")
    assert calls == ["file", "rename", "folder", "folder", "folder"]


def test_a_full_disk_is_a_named_incident_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G17: disk full."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(files.FilesUnavailable) as caught:
        keep(tmp_path, b"text", "a.txt")
    assert caught.value.status == 503
    assert everything_in(tmp_path) == []


def test_a_broken_upload_leaves_nothing(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        files.store_blob(Broken(), "a.txt", tmp_path, LIMIT)
    assert everything_in(tmp_path) == []


def test_sweeping_removes_only_what_is_old(tmp_path: Path) -> None:
    blob = keep(tmp_path, b"text", "a.txt")
    old, young = tmp_path / "incoming" / "old.part", tmp_path / "incoming" / "young.part"
    scratch = tmp_path / "incoming" / "inside-x"
    scratch.mkdir()
    for path in (old, young, scratch / "0.txt"):
        path.write_bytes(b"x")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    for path in (old, scratch):
        os.utime(path, (long_ago, long_ago))
    assert store.sweep_incoming(tmp_path, datetime(2026, 1, 2, tzinfo=UTC)) == 2
    assert sorted(everything_in(tmp_path)) == sorted([young, store.blob_path(tmp_path, blob.sha256)])


@pytest.mark.parametrize("wrong", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_a_hash_becomes_a_path(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.blob_path(tmp_path, wrong)


# --- documents, without a database ---


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(documents, "_settings", None)
    monkeypatch.setattr(documents, "_readers", [])
    files.configure(tmp_path, LIMIT)
    return tmp_path


def document(**values: Any) -> files.Document:
    return files.Document(**({"number": "WJ-2026-000001", "organisation_id": 7, "person_id": 1} | values))


def test_a_document_is_verified_against_the_disk(configured: Path) -> None:
    blob = files.receive(io.BytesIO(b"text"), "a.txt")
    kept = document(sha256=blob.sha256)
    assert kept.subject == "file:WJ-2026-000001"
    assert files.verify(kept)
    with files.open_document(kept) as content:
        assert content.read() == b"text"
    files.path_of(blob.sha256).write_bytes(b"tent")
    assert not files.verify(kept)
    files.path_of(blob.sha256).unlink()
    assert not files.verify(kept)
    with pytest.raises(files.FilesUnavailable):
        files.open_document(kept)


def test_only_the_uploader_and_named_readers_may_read(configured: Path) -> None:
    kept, stranger = document(), Actor(2, "李工", 8, "勘察院")
    assert files.may_read(kept, OWNER)
    assert not files.may_read(kept, stranger)
    assert not files.may_read(kept, None)
    assert not files.may_read(document(organisation_id=None), Actor(2, "李工", None, ""))
    assert not files.may_read(document(organisation_id=None, person_id=None), Actor(None, "系统", None, "系统"))

    def client(held: files.Document, actor: Actor | None) -> bool:
        return actor is not None and actor.organisation_id == 8

    files.register_reader(client)
    files.register_reader(client)
    assert files.may_read(kept, stranger)
    assert not files.may_read(kept, None)
    assert documents._readers == [client]


def test_storing_outside_a_transaction_is_refused_before_reading(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "in_transaction", lambda: False)
    with pytest.raises(RuntimeError, match="outside transaction"):
        files.put(Tap(0), "a.txt", by=OWNER)  # type: ignore[arg-type]
    assert everything_in(configured) == []


def test_a_crash_between_blob_and_row_leaves_a_harmless_blob_and_no_row(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is asked for only once the content is durable; a crash there leaves no row that lacks its bytes."""
    added: list[object] = []

    class Crash(BaseException):
        pass

    class Session:
        def add(self, row: object) -> None:
            added.append(row)

        def flush(self) -> None: ...

    def crash(prefix: str) -> str:
        content = everything_in(configured)
        assert [path.name for path in content] == [hashlib.sha256(b"text").hexdigest()]
        raise Crash

    monkeypatch.setattr(documents, "session", Session())
    monkeypatch.setattr(documents, "in_transaction", lambda: True)
    monkeypatch.setattr(documents.numbers, "following", crash)
    with pytest.raises(Crash):
        files.put(io.BytesIO(b"text"), "a.txt", by=OWNER)
    assert added == []

    monkeypatch.setattr(documents.numbers, "following", lambda prefix: f"{prefix}-2026-000001")
    kept = files.put(io.BytesIO(b"text"), "报告.txt", by=OWNER)
    assert added == [kept]
    assert (kept.number, kept.name, kept.size, kept.organisation_id) == ("WJ-2026-000001", "报告.txt", 4, 7)
    assert len(everything_in(configured)) == 1
