#!/bin/sh
# Prepare .venv from the lock files; seconds when nothing changed, never a question.
#   setup.sh runtime      what the portal needs to run
#   setup.sh libraries    the development lock (it contains the runtime one)
#   setup.sh development  libraries, a browser for the journeys, and the age program
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-runtime}
exec </dev/null
# The database's own system user must be able to read the binaries when root installs them.
umask 022
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore DEBIAN_FRONTEND=noninteractive
unset PYTHONHOME PYTHONPATH || true

say() { printf '%s\n' "$1" >&2; }
fail() { say "错误 $1：$2"; say "error $1: $3"; exit 1; }

find_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail python_missing "需要 Python 3.11 或更高版本，本机没有找到" "Python 3.11 or newer is needed and was not found"
}

can_make() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

make_venv() {
    python=$(find_python)
    if ! can_make "$python" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        say "正在安装系统软件包 $version… / Installing the system package $version…"
        apt-get -qq update >/dev/null 2>&1 || true
        apt-get -qq -y -o DPkg::Lock::Timeout=120 install "$version" >/dev/null 2>&1 || true
    fi
    can_make "$python" || fail venv_missing \
        "$python 缺少 venv 或 ensurepip 模块；Debian、Ubuntu 请先执行 apt-get install python3-venv" \
        "$python lacks the venv or ensurepip module; on Debian and Ubuntu run apt-get install python3-venv first"
    say "正在创建 .venv（$python）… / Creating .venv ($python)…"
    "$python" -m venv --clear .venv
}

# Two makes at once wait for each other where the system can do that.
mkdir -p var
if command -v flock >/dev/null 2>&1; then
    exec 9>var/setup.lock
    flock 9
fi

# A copied or half-made environment would run somebody else's programs, or none.
here=$(pwd -P)
.venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
if [ -f .venv/place ] && [ "$(cat .venv/place)" != "$here" ]; then make_venv; fi
printf '%s\n' "$here" >.venv/place

install() { # the copy of a lock file inside .venv tells what is installed
    cmp -s "$1" ".venv/$1" && return
    count=$(grep -c '^[A-Za-z0-9].*==' "$1")
    say "正在安装 $count 个锁定版本的依赖，首次约需一两分钟… / Installing $count locked packages; a minute or two the first time…"
    rm -f .venv/requirements.lock .venv/requirements-dev.lock
    .venv/bin/python -m pip install --quiet --progress-bar off --require-hashes -r "$1" >&2 \
        || fail install_failed "依赖安装未完成（见上）；请检查网络后重试" "Packages could not be installed, see above; check the network and try again"
    cp "$1" ".venv/$1"
}

if [ "$wanted" = runtime ]; then
    # The development lock holds every runtime package at the same version.
    if ! { cmp -s requirements-dev.lock .venv/requirements-dev.lock && cmp -s requirements.lock .venv/requirements.lock; }; then
        install requirements.lock
    fi
else
    install requirements-dev.lock
    cp requirements.lock .venv/requirements.lock
fi

if [ -d kernel/translations ]; then
    for source in $(find kernel/translations -name '*.po'); do
        compiled="${source%.po}.mo"
        if [ ! -f "$compiled" ] || [ -n "$(find "$source" -newer "$compiled")" ]; then
            say "正在编译界面译文… / Compiling translations…"
            .venv/bin/pybabel -q compile -d kernel/translations >&2
            break
        fi
    done
fi

# Programs of others by which tests judge what we make: age opens sealed bids, pdfsig checks signed reports. Without them
# the tests say so and use the library.
install_judges() {
    missing=""
    command -v age >/dev/null 2>&1 || missing="age"
    command -v pdfsig >/dev/null 2>&1 || missing="${missing:+$missing }poppler-utils"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "正在安装系统软件包 $missing… / Installing the system packages $missing…"
        apt-get -qq update >/dev/null 2>&1 || true
        # shellcheck disable=SC2086
        apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing >/dev/null 2>&1 && return
    fi
    say "未安装 $missing，相关测试改用程序库 / Not installed: $missing; their tests use the library instead"
}

if [ "$wanted" = development ]; then
    .venv/bin/python tools/browser.py --install >.venv/chromium-path
    install_judges
fi
