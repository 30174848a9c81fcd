"""Find the Chromium that the journeys drive, and print its path.

``python tools/browser.py`` prints the path or fails; with ``--install`` it first installs one if there is none:
on Debian as root the system's packages (with Chinese type), elsewhere Playwright's own. Tests call :func:`find`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-noto-cjk")


def find() -> Path | None:
    """The browser's path: ``CHROMIUM`` if set, a system one, or Playwright's own; None when there is none."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        path = shutil.which(name)
        if path and _works(path):
            return Path(path)
    return _playwrights()


def install() -> None:
    """Install a browser without asking. Raises ``subprocess.CalledProcessError`` when that fails."""
    if _is_debian() and os.geteuid() == 0:
        _apt(*PACKAGES)
        return
    _say("正在安装 Playwright 自带的 Chromium… / Installing Playwright's own Chromium…")
    deps = ["--with-deps"] if os.geteuid() == 0 and sys.platform == "linux" else []
    command = [sys.executable, "-m", "playwright", "install", *deps, "chromium"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def main(arguments: list[str]) -> int:
    wants_install = "--install" in arguments
    path = find()
    if wants_install and path is None:
        install()
        path = find()
    elif wants_install and _is_debian() and os.geteuid() == 0 and not _has_chinese_type():
        _apt("fonts-noto-cjk")
    if path is None:
        _say(
            "错误 browser_missing：没有找到 Chromium，请执行 make setup / error browser_missing: no Chromium; run make setup"
        )
        return 1
    print(path)
    return 0


def _works(path: str) -> bool:
    # A snap stub is found like a browser but can't run everywhere.
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwrights() -> Path | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as driver:
        path = Path(driver.chromium.executable_path)
    return path if path.exists() else None


def _is_debian() -> bool:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return "ID=debian" in lines and shutil.which("apt-get") is not None


def _has_chinese_type() -> bool:
    listing = shutil.which("fc-list")
    return listing is not None and bool(subprocess.run([listing, ":lang=zh"], capture_output=True).stdout.strip())


def _apt(*packages: str) -> None:
    names = " ".join(packages)
    _say(f"正在安装系统软件包 {names}… / Installing the system packages {names}…")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120"]
    quiet = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([*command, "update"], check=False, **quiet)  # type: ignore[call-overload]
    subprocess.run([*command, "install", "--no-install-recommends", *packages], check=True, **quiet)  # type: ignore[call-overload]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
