"""A child on which nobody's work depends at once is started again; the others go on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
from kernel.supervisor import Child, supervise
say = "import os, time; os.write(1, b'%s %%d' %% os.getpid() + bytes([10])); "
sys.exit(supervise(
    [
        Child("web", [sys.executable, "-c", say % "web" + "time.sleep(600)"]),
        Child("previews", [sys.executable, "-c", say % "previews" + "time.sleep(600)"], restarts=True),
    ],
    lambda: None,
))
"""


def test_it_is_started_again_and_stops_with_the_others() -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert started.stdout is not None
        first = dict(started.stdout.readline().split() for _ in range(2))
        os.kill(int(first["previews"]), signal.SIGKILL)
        name, again = started.stdout.readline().split()
        assert name == "previews"
        assert psutil.pid_exists(int(first["web"]))
        began = time.monotonic()
        started.terminate()
        assert started.wait(5) == 0
        assert time.monotonic() - began < 3
        assert not psutil.pid_exists(int(first["web"]))
        assert not psutil.pid_exists(int(again))
        assert started.stderr is not None
        assert "previews 意外退出" in started.stderr.read()
    finally:
        started.kill()
        started.communicate()


def test_a_child_that_does_not_restart_still_ends_all() -> None:
    program = PROGRAM.replace('say % "web" + "time.sleep(600)"', '"import sys; sys.exit(3)"')
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
