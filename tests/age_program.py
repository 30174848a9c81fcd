"""The ``age`` program that a stranger would use; where it isn't installed, a stand-in on ``pyrage`` that says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_STAND_IN = """#!{python}
import sys, pyrage
arguments = sys.argv[1:]
assert arguments[:2] == ["-d", "-i"], arguments
read = lambda name: sys.stdin.buffer.read() if name == "-" else open(name, "rb").read()
lines = [line for line in read(arguments[2]).decode().splitlines() if line and not line.startswith("#")]
source = read(arguments[3] if len(arguments) > 3 else "-")
sys.stdout.buffer.write(pyrage.decrypt(source, [pyrage.x25519.Identity.from_str(line) for line in lines]))
"""


def environment(folder: Path) -> Mapping[str, str]:
    """An environment in which ``age`` is found; ``folder`` takes the stand-in."""
    if shutil.which("age"):
        return dict(os.environ)
    sys.stderr.write("未安装 age 程序，以 pyrage 代替 / the age program is not installed: pyrage stands in for it\n")
    program = folder / "age"
    program.write_text(_STAND_IN.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def decrypt(file: bytes, identity: str, folder: Path) -> bytes:
    """``age -d -i``: what is inside. Raises ``subprocess.CalledProcessError`` when it doesn't open."""
    key = folder / "key.txt"
    key.write_text(identity, encoding="ascii")
    command = ["age", "-d", "-i", str(key)]
    return subprocess.run(command, input=file, check=True, capture_output=True, env=environment(folder)).stdout
