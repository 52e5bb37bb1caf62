"""Command line: `python3 -m hack.cluster up | down | build | env | driver | check-… | processes | clean`."""

from __future__ import annotations

import argparse
import shlex
import sys

from . import choose, clean, kind, room
from .build import build_apiserver, build_cluster, build_helm, build_stores
from .check import check
from .down import bring_down
from .settings import Cache, Instance
from .shell import ClusterError, say
from .tools import helm
from .up import bring_up


def main() -> int:
    """Do what the command line says; 1 when the user must fix something first."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.cluster", description=__doc__)
    actions = {
        "up": "bring the cluster up, keeping what already runs",
        "down": "take it down and leave nothing behind (a cluster named by KUBECONTEXT is left alone)",
        "build": "only build into the cache: the local cluster or the tests' apiserver, and object stores",
        "env": "print, for a shell to evaluate, the variables by which others reach it",
        "driver": "print which kind of cluster is used here: context, kind or local",
        "check-demo": "name what this machine lacks for `make demo`",
        "check-test": "name what this machine lacks for `make test`",
        "processes": "print how many processes of end-to-end tests the cluster has room for",
        "clean": "take every cluster of ours down and delete the cache",
    }
    commands = parser.add_subparsers(dest="action", required=True)
    for action, help_text in actions.items():
        commands.add_parser(action, help=help_text)
    try:
        _act(parser.parse_args().action)
    except ClusterError as error:
        print(f"[cluster] error: {error}", file=sys.stderr)
        return 1
    return 0


def _act(action: str) -> None:
    cache = Cache.from_environ()
    instance = Instance.from_environ(cache)
    if action == "clean":
        clean.clean(cache)
        return
    driver = choose.choose_driver()
    if driver == "local":
        instance.check_local()
    if action == "driver":
        print(driver)
    elif action in ("check-demo", "check-test"):
        check(driver, cache, tests=action == "check-test")
    elif action == "build":
        build_cluster(cache) if driver == "local" else build_apiserver(cache)
        build_stores(cache)
    elif action == "env":
        for name, value in choose.environment(driver, instance).items():
            print(f"export {name}={shlex.quote(value)}")
    elif action == "processes":
        print(room.processes(choose.kubeconfig(driver, instance)))
    elif action == "up":
        _up(driver, instance)
    else:
        _down(driver, instance)


def _up(driver: str, instance: Instance) -> None:
    if driver == "local":
        bring_up(instance)
        return
    if not helm(instance.cache):  # before anything that takes minutes: a missing Go is an error now
        build_helm(instance.cache)
    if driver == "kind":
        kind.up(instance)
    else:
        choose.use_context(instance)


def _down(driver: str, instance: Instance) -> None:
    if driver == "local":
        bring_down(instance)
    elif driver == "kind":
        kind.down(instance)
    else:
        say("the cluster named by KUBECONTEXT is not ours: left as it is")


if __name__ == "__main__":
    sys.exit(main())
