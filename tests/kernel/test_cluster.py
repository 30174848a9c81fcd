"""The bundled PostgreSQL survives what real machines do to it (architecture: "The cluster")."""

from __future__ import annotations

import os
import pickle
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from kernel import cluster
from kernel.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
IS_ROOT = os.geteuid() == 0


@contextmanager
def _folder() -> Iterator[Path]:
    # Not pytest's: every new test run closes that one to others, under the feet of our servers.
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A stopped cluster made once; tests copy it."""
    with _folder() as folder:
        cluster.stop(cluster.start(folder / "var"))
        yield folder / "var"


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that every user can reach."""
    with _folder() as folder:
        yield folder


@pytest.fixture
def begin(place: Path) -> Iterator[Callable[[Path], Cluster]]:
    """Starts clusters and stops them after the test, whatever happened."""
    begun: list[Cluster] = []

    def start(data: Path) -> Cluster:
        begun.append(cluster.start(data))
        return begun[-1]

    yield start
    for one in begun:
        cluster.stop(one, patience=0.2)


@pytest.fixture
def made(template: Path, place: Path) -> Path:
    """A data folder with a cluster of its own that has not been started yet."""
    return _copy(template, place / "var")


def _copy(template: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", str(template), str(target)], check=True)
    return target


def _postmaster(running: Cluster) -> int:
    return int((running.data / "pg" / "postmaster.pid").read_text().splitlines()[0])


def _put(running: Cluster, value: int) -> None:
    with running.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def _kept(running: Cluster) -> list[int]:
    with running.connect() as connection:
        return [value for (value,) in connection.execute("SELECT value FROM kept ORDER BY value")]


def _as_user(uid: int, gid: int, function: Callable[[], Any]) -> Any:
    """Call ``function`` in a forked copy of this process that has become another user; raises what it raised."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the test runner's threads don't matter to the copy
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            answer: Any = function()
        except BaseException as error:
            answer = error
        os.write(write, pickle.dumps(answer))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pickle.loads(pipe.read())  # noqa: S301 - from our own copy
    os.waitpid(child, 0)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def test_both_roles_can_sign_in_and_neither_is_a_superuser(made: Path, begin: Callable[[Path], Cluster]) -> None:
    running = begin(made)
    assert running.ensure_database("portal")
    for url, role in ((running.owner_url("portal"), "portal_owner"), (running.web_url("portal"), "portal_web")):
        engine = create_engine(url)
        with engine.connect() as connection:
            who = "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            assert connection.execute(text(who)).one() == (role, False)
        engine.dispose()
    with running.connect() as connection:
        locale = "SELECT datlocprovider, datlocale, pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'portal'"
        assert connection.execute(locale).fetchone() == ("b", "C.UTF-8", "portal_owner")


def test_the_web_role_cannot_make_tables_or_databases(made: Path, begin: Callable[[Path], Cluster]) -> None:
    running = begin(made)
    running.ensure_database("portal")
    address = running.web_url("portal").replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(address, autocommit=True) as connection:
        for order in ("CREATE TABLE mine (a int)", "CREATE DATABASE mine", "CREATE ROLE mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(order)


def test_a_database_is_made_once_and_copies_its_template(made: Path, begin: Callable[[Path], Cluster]) -> None:
    running = begin(made)
    running.ensure_database("first")
    with running.connect("first") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    assert not running.ensure_database("first")
    assert running.ensure_database("second", template="first")
    with running.connect("second") as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
    running.drop_database("second")
    assert running.ensure_database("second")


def test_starting_twice_gives_the_same_server(made: Path, begin: Callable[[Path], Cluster]) -> None:
    first = begin(made)
    noted = _postmaster(first)
    assert begin(made) == first
    assert _postmaster(first) == noted


def test_nothing_listens_on_the_network_and_the_socket_is_private(made: Path, begin: Callable[[Path], Cluster]) -> None:
    running = begin(made)
    with running.connect() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert stat.S_IMODE(running.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "pg-passwords.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((made / "pg").stat().st_mode) == 0o700


def test_stopping_leaves_no_process_and_no_socket(made: Path) -> None:
    running = cluster.start(made)
    noted = _postmaster(running)
    cluster.stop(running)
    assert not running.is_running()
    assert not running.sockets.exists()
    assert not Path(f"/proc/{noted}/cwd").exists()


def test_a_session_that_will_not_leave_does_not_keep_the_server_up(made: Path) -> None:
    running = cluster.start(made)
    with suppress(psycopg.OperationalError), running.connect() as connection:
        connection.execute("BEGIN")
        cluster.stop(running, patience=0.0)
    assert not running.is_running()


def test_an_uninstalled_locale_and_foreign_variables_do_not_matter(
    place: Path, begin: Callable[[Path], Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL", "LC_CTYPE"):
        monkeypatch.setenv(name, "zh_CN.UTF-8")
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    running = begin(place / "var")
    with running.connect() as connection:
        assert connection.execute("SELECT lower('ÄÖ中'), length('中介服务')").fetchone() == ("äö中", 4)


def test_a_path_of_110_characters_with_spaces_and_chinese_works(
    template: Path, place: Path, begin: Callable[[Path], Cluster]
) -> None:
    deep = place / "中介 服务"
    while len(str(deep)) < 110:
        deep /= "abcdefghi"
    deep.mkdir(parents=True)
    running = begin(_copy(template, deep / "var"))
    assert len(str(running.data)) >= 110
    _put(running, 1)
    assert _kept(running) == [1]


def test_a_clone_in_a_closed_folder_works_and_root_opens_it_no_wider_than_needed(
    template: Path, place: Path, begin: Callable[[Path], Cluster], capfd: pytest.CaptureFixture[str]
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    begin(_copy(template, closed / "var"))
    assert stat.S_IMODE(closed.stat().st_mode) == (0o701 if IS_ROOT else 0o700)
    assert (str(closed) in capfd.readouterr().err) is IS_ROOT


def test_a_killed_server_is_started_again_at_once_with_everything_committed(
    made: Path, begin: Callable[[Path], Cluster]
) -> None:
    running = begin(made)
    _put(running, 1)
    killed = _postmaster(running)
    os.kill(killed, signal.SIGKILL)
    again = begin(made)
    assert _postmaster(again) != killed
    assert _kept(again) == [1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="remains are seen through /proc")
def test_a_start_waits_for_what_a_killed_server_left_running(made: Path, begin: Callable[[Path], Cluster]) -> None:
    running = begin(made)
    _put(running, 1)
    remains = cluster._occupants(made / "pg") - {_postmaster(running)}
    for process in remains:
        os.kill(process, signal.SIGSTOP)
    os.kill(_postmaster(running), signal.SIGKILL)

    def wake() -> None:
        for process in remains:
            os.kill(process, signal.SIGCONT)

    waker = threading.Timer(0.7, wake)
    waker.start()
    try:
        assert _kept(begin(made)) == [1]
    finally:
        waker.join()


@pytest.mark.parametrize("kind", ["stranger", "zombie", "empty"])
def test_a_recycled_process_number_is_no_obstacle_and_the_stranger_lives(
    kind: str, made: Path, begin: Callable[[Path], Cluster]
) -> None:
    running = begin(made)
    _put(running, 1)
    noted = made / "pg" / "postmaster.pid"
    lines = noted.read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGKILL)
    owner = (made / "pg").stat()
    # Of the server's own user: PostgreSQL itself only believes numbers of its own processes.
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen(["/bin/sleep", "600"], cwd="/", **user) as stranger:
        if kind == "zombie":
            stranger.kill()
            while Path(f"/proc/{stranger.pid}/cmdline").exists() and Path(f"/proc/{stranger.pid}/cmdline").read_bytes():
                time.sleep(0.01)
        noted.write_text("" if kind == "empty" else "\n".join([str(stranger.pid), *lines[1:], ""]))
        try:
            assert cluster.stop_if_abandoned(made), "stopping must not mind the stranger either"
            assert _kept(begin(made)) == [1]
            assert stranger.poll() is None or kind == "zombie"
        finally:
            stranger.kill()


def test_four_starters_at_once_meet_on_one_server(place: Path) -> None:
    data = place / "var"
    script = (
        "import sys; from pathlib import Path; from kernel import cluster\n"
        "c = cluster.start(Path(sys.argv[1])); c.ensure_database('portal')\n"
        "print(c.connect().execute('SELECT pg_postmaster_start_time()').fetchone()[0])"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", script, str(data)], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)
    ]
    said = [starter.communicate(timeout=60)[0] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0, 0]
    assert len(set(said)) == 1
    cluster.stop(cluster.start(data))


def test_two_checkouts_side_by_side_do_not_touch_each_other(
    template: Path, place: Path, begin: Callable[[Path], Cluster]
) -> None:
    one = begin(_copy(template, place / "one"))
    other = begin(_copy(template, place / "other"))
    _put(one, 1)
    _put(other, 2)
    cluster.stop(one)
    assert _kept(other) == [2]
    assert _kept(begin(one.data)) == [1]


def test_a_plain_user_gets_a_cluster_that_root_refuses_by_name(place: Path, template: Path) -> None:
    """As a plain user the roles are turned round: root's folder is refused."""
    assert template.exists()  # as root it has opened the way to the binaries
    if not IS_ROOT:
        with pytest.raises(cluster.ClusterForeign) as refused:
            cluster.start(Path("/usr"))
        assert "root" in refused.value.text("zh")
        return
    plain = pwd.getpwnam("nobody")
    os.chown(place, plain.pw_uid, plain.pw_gid)
    data = place / "var"

    def life() -> list[int]:
        running = cluster.start(data)
        try:
            _put(running, 5)
            return _kept(running)
        finally:
            cluster.stop(running)

    assert _as_user(plain.pw_uid, plain.pw_gid, life) == [5]
    assert (data / "pg").stat().st_uid == plain.pw_uid
    with pytest.raises(cluster.ClusterForeign) as refused:
        cluster.start(data)
    assert "nobody" in refused.value.text("zh")
    assert "nobody" in refused.value.text("en")
    # The same when only the cluster inside is another's, as after `sudo` in somebody's checkout.
    os.chown(data, 0, 0)
    with pytest.raises(cluster.ClusterForeign, match="cluster_foreign"):
        cluster.start(data)


def test_a_foreign_closed_folder_on_the_way_is_named_and_not_opened(
    place: Path, template: Path, begin: Callable[[Path], Cluster]
) -> None:
    data = _copy(template, place / "var")
    if IS_ROOT:
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    place.chmod(0o700)
    if IS_ROOT:
        with pytest.raises(cluster.ClusterUnreachable, match="cluster-"):
            begin(data)
    else:
        begin(data)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_lost_passwords_are_named(made: Path) -> None:
    (made / "pg-passwords.json").unlink()
    with pytest.raises(cluster.ClusterPasswordsLost):
        cluster.start(made)


def test_an_interrupted_first_start_is_simply_done_again(place: Path, begin: Callable[[Path], Cluster]) -> None:
    (place / "var" / "pg.new" / "base").mkdir(parents=True)
    (place / "var" / "pg.password").write_text("half")
    assert begin(place / "var").is_running()
    assert not (place / "var" / "pg.password").exists()


def test_a_failing_server_says_why(made: Path) -> None:
    (made / "pg" / "PG_VERSION").write_text("9\n")
    with pytest.raises(cluster.ClusterFailed, match=r"9"):
        cluster.start(made)
    assert not cluster._sockets(made, (made / "pg").stat().st_uid).exists()


def test_the_last_of_those_who_need_the_server_stops_it(made: Path) -> None:
    first, second = cluster.hold(made), cluster.hold(made)
    running = cluster.start(made)
    os.close(first)
    assert not cluster.stop_if_abandoned(made)
    assert running.is_running()
    os.close(second)
    assert cluster.stop_if_abandoned(made)
    assert not running.is_running()
