#!/bin/sh
# Makes .venv with the packages of requirements/dev.txt, and again only when that file, the folder or the
# interpreter changes. PYTHON names an interpreter; else the first that is new enough is taken.
set -eu
cd "$(dirname "$0")/.."

lock=requirements/dev.txt
stamp=.venv/.installed
want="$(cksum < "$lock") $(pwd)"

is_done() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -c '' 2> /dev/null
}

fail() {
    echo "signalbox: $*" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" > /dev/null || fail "PYTHON=$PYTHON is not there"
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is older than Python 3.11"
        echo "$PYTHON"
        return
    fi
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" > /dev/null && is_new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    if command -v python3 > /dev/null; then
        fail "Python 3.11 or newer is needed, and python3 is $(python3 -V 2>&1): name one with PYTHON=/path/to/python3.11"
    fi
    fail "Python 3.11 or newer is needed, and there is no python3: install it, or name one with PYTHON=/path/to/python3.11"
}

if is_done; then
    exit 0
fi

# Two makes at once in a fresh clone: the second waits here, then finds the work done.
if command -v flock > /dev/null; then
    exec 9< "$lock"
    flock 9
    if is_done; then
        exit 0
    fi
fi

python=$(find_python)
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
    "$python" -c 'import venv, ensurepip' 2> /dev/null ||
        fail "$python has no venv module: install it (Debian: apt-get install python3-venv)"
    echo "making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv || fail "$python -m venv .venv failed"
elif [ -f "$stamp" ] && [ "$(cut -d' ' -f3- "$stamp")" != "$(pwd)" ]; then
    echo "the folder has moved: making .venv anew"
    "$python" -m venv --clear .venv || fail "$python -m venv .venv failed"
fi
.venv/bin/python -m pip --version > /dev/null 2>&1 || .venv/bin/python -m ensurepip --default-pip > /dev/null

echo "installing $(grep -c '^[a-z].*==' "$lock") Python packages into .venv (a minute or two, once)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$lock" ||
    fail "pip could not install the packages of $lock: the lines above say why"
echo "$want" > "$stamp"
