#!/bin/sh
# Make .venv from requirements.lock, bringing uv (and on Debian the venv module) when the machine has none.
# Usage: hack/venv.sh CACHE_FOLDER
set -eu
cache=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Python 3.11 or newer is needed as python3 (or name one with PYTHON=…)" >&2
    exit 1
}

uv=$(command -v uv || echo "$cache/uv-tool/bin/uv")
if [ ! -x "$uv" ]; then
    echo "[venv] installing uv into $cache/uv-tool"
    "$python" -c 'import ensurepip' 2>/dev/null || {
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            echo "Python's venv module is missing: install python3-venv, or uv" >&2
            exit 1
        fi
        echo "[venv] installing from Debian: python3-venv"
        apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv >/dev/null
    }
    "$python" -m venv "$cache/uv-tool"
    "$cache/uv-tool/bin/python" -m pip install --quiet uv
fi

[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
"$uv" pip install --quiet --python .venv/bin/python --require-hashes --requirement requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --editable sdk --editable operator --editable agent
