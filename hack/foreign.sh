#!/bin/sh
# Run the test suites of CPython and joblib against executors of ours.
# Usage: hack/foreign.sh CACHE_FOLDER PYTHON [arguments of pytest]
# ARMONIK_GRID chooses the grid: `local` unless it is set; set but empty, the cluster of the kubeconfig.
set -eu
cache=$1 python=$2
shift 2
export ARMONIK_GRID="${ARMONIK_GRID-local}"

"$python" -c 'import test.test_concurrent_futures.util' 2>/dev/null || {
    echo "$python has no test.test_concurrent_futures: name another Python with FOREIGN_PYTHON=…" >&2
    exit 1
}
uv=$(command -v uv || echo "$cache/uv-tool/bin/uv")
environment=$cache/foreign
[ -x "$environment/bin/python" ] || "$uv" venv --quiet --python "$python" "$environment"
"$uv" pip install --quiet --python "$environment/bin/python" --require-hashes --requirement requirements.lock
"$uv" pip install --quiet --python "$environment/bin/python" --no-deps --editable sdk
suite=$("$environment/bin/python" -c 'import joblib.test.test_parallel as suite; print(suite.__file__)' 2>/dev/null)
cd tests/foreign
PYTHONPATH=. exec "$environment/bin/python" -m pytest -q --import-mode=importlib -c /dev/null -p no:cacheprovider --timeout 300 \
    -p joblib_plugin -p not_applicable -k "armonik or Test" "$@" test_cpython.py "$suite"
