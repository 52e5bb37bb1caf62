"""Command line: `python3 -m hack.cluster up | down | build | env | driver | clean`."""

from __future__ import annotations

import argparse
import shlex
import sys

from . import choose
from .build import build_cluster, build_helm
from .down import bring_down
from .settings import INSTANCES, Cache, Instance
from .shell import ClusterError, run, say
from .up import bring_up


def main() -> int:
    """Do what the command line says; 1 when the user must mend something first."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.cluster", description=__doc__)
    actions = {
        "up": "make the cluster stand, keeping what already does",
        "down": "take it down and leave nothing behind (a cluster named by KUBECONTEXT is left alone)",
        "build": "only build what the local cluster needs into the cache",
        "env": "print, for a shell to evaluate, the variables that tell others how to reach it",
        "driver": "print how a cluster is had here: context, kind or local",
        "clean": "take every local cluster down and delete the cache",
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
    if action == "build":
        build_cluster(cache)
        return
    if action == "clean":
        _clean(cache)
        return
    driver = choose.choose_driver()
    if action == "driver":
        print(driver)
    elif action == "env":
        for name, value in choose.environment(driver, instance).items():
            print(f"export {name}={shlex.quote(value)}")
    elif action == "up":
        _up(driver, instance)
    else:
        _down(driver, instance)


def _up(driver: str, instance: Instance) -> None:
    if driver == "local":
        bring_up(instance)
        return
    if driver == "kind":
        choose.kind_up(instance)
    else:
        choose.use_context(instance)
    if not choose.helm(instance.cache):
        build_helm(instance.cache)


def _down(driver: str, instance: Instance) -> None:
    if driver == "local":
        bring_down(instance)
    elif driver == "kind":
        choose.kind_down(instance)
    else:
        say("the cluster named by KUBECONTEXT is not ours: left as it is")


def _clean(cache: Cache) -> None:
    for name in INSTANCES:
        instance = Instance(name, cache)
        if instance.state.exists():
            bring_down(instance)
    say(f"deleting {cache.root}")
    run("rm", "-rf", cache.root, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
