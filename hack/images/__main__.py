"""Command line: `python3 -m hack.images build | load | helm-values | check [IMAGE…]`.

An image is named after its content, `localhost/armonik-operator:dev-0123456789ab`, and has a second name with
the tag `dev`. So it is built and loaded once, and a Deployment rolls exactly when its image changed.
`ARMONIK_IMAGE_REGISTRY` makes `load` push to that registry instead (for clusters that are not local).
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from hack.cluster import choose
from hack.cluster.settings import Cache, Instance
from hack.cluster.shell import ClusterError, locked, say

from .catalogue import IMAGES, Image, check_pins
from .engines import BuildahEngine, DockerEngine, Engine

# Image → the Helm value that holds its tag.
_HELM_VALUES = {
    "operator": "operator.image.tag",
    "agent": "agent.image.tag",
    "nats": "nats.image.tag",
    "s3": "objectStore.image.tag",
    "worker-hello": "defaultPartition.worker.image.tag",
}


def main() -> int:
    """Do what the command line says; 1 when the user must mend something first."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description=__doc__)
    parser.add_argument("action", choices=("build", "load", "helm-values", "check"))
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=", ".join(image.name for image in IMAGES))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {image.name for image in IMAGES}
    if unknown:
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    chosen = [image for image in IMAGES if not arguments.names or image.name in arguments.names]
    try:
        return _act(arguments.action, chosen)
    except ClusterError as error:
        print(f"[images] error: {error}", file=sys.stderr)
        return 1


def _act(action: str, images: list[Image]) -> int:
    cache = Cache.from_environ()
    if action == "check":
        check_pins()
        return 0
    instance = Instance.from_environ(cache)
    driver = choose.choose_driver()
    engine: Engine = (
        BuildahEngine(cache) if driver == "local" or not choose.docker_answers() else DockerEngine()
    )
    if action == "helm-values":
        print(_helm_values(engine))
        return 0
    with locked(cache.images / "lock"):
        for image in images:
            if image.missing():
                continue
            tag = image.tag(engine.base)
            _build(engine, image, tag, cache)
            if action == "load":
                _hand_over(engine, image, tag, driver, instance)
    missing = [f"{image.name} (no {image.missing()})" for image in images if image.missing()]
    if missing:
        raise ClusterError(f"cannot be built: {', '.join(missing)}")
    return 0


def _build(engine: Engine, image: Image, tag: str, cache: Cache) -> None:
    name = f"localhost/{image.repository}:{tag}"
    if engine.has(name):
        return
    say(f"building {name}")
    start = time.monotonic()
    engine.build(name, image.dockerfile, image.arguments, cache.logs / f"image-{image.name}.log")
    engine.tag(name, f"localhost/{image.repository}:dev")
    say(f"built {name} in {time.monotonic() - start:.0f} s")


def _hand_over(engine: Engine, image: Image, tag: str, driver: str, instance: Instance) -> None:
    name = f"localhost/{image.repository}:{tag}"
    registry = os.environ.get("ARMONIK_IMAGE_REGISTRY")
    if registry:
        for registry_tag in (tag, "dev"):
            target = f"{registry.rstrip('/')}/{image.repository}:{registry_tag}"
            engine.tag(name, target)
            engine.push(target)
        say(f"pushed {image.repository} to {registry}")
    elif driver == "context":
        raise ClusterError(
            "images cannot be put into the cluster of KUBECONTEXT directly: set ARMONIK_IMAGE_REGISTRY to a "
            "registry that this machine pushes to and that cluster pulls from"
        )
    elif engine.load(name, f"localhost/{image.repository}:dev", instance):
        say(f"loaded {name}")


def _helm_values(engine: Engine) -> str:
    """Values for `helm --set-string` that name exactly the images built from these sources."""
    values = {"global.imageRegistry": os.environ.get("ARMONIK_IMAGE_REGISTRY") or "localhost"}
    for image in IMAGES:
        if image.name in _HELM_VALUES and not image.missing():
            values[_HELM_VALUES[image.name]] = image.tag(engine.base)
    return ",".join(f"{key}={value}" for key, value in values.items())


if __name__ == "__main__":
    sys.exit(main())
