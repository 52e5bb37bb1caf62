"""Delete everything that we built, downloaded or started on this machine."""

from __future__ import annotations

from . import docker, kind
from .down import bring_down
from .settings import INSTANCES, Cache, Instance
from .shell import run, say

_IMAGES = "localhost/armonik-*"


def clean(cache: Cache) -> None:
    """Take every cluster of ours down, local or kind, and delete our images and the cache.

    Raises:
        ClusterError: something could not be removed.
    """
    for name in INSTANCES:
        instance = Instance(name, cache)
        if instance.state.exists():
            bring_down(instance)
    problem = docker.problem()
    if not problem:
        kind.delete_all(cache)
        _delete_images()
    elif kind.kubeconfigs(cache):
        say(f"the kind cluster is left as it is: {problem}")
    say(f"deleting {cache.root}")
    run("rm", "-rf", cache.root, timeout=600)


def _delete_images() -> None:
    listing = ("image", "ls", "--filter", f"reference={_IMAGES}", "--format", "{{.Repository}}:{{.Tag}}")
    images = run("docker", *listing).split()
    if images:
        say(f"deleting {len(images)} images of Docker")
        run("docker", "image", "rm", "--force", *images, timeout=300)
