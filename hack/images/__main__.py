"""Command line: `python3 -m hack.images build | load | helm-values | check [IMAGE…]`.

An image is named after its content, `localhost/armonik-operator:dev-0123456789ab`, and has a second name with
the tag `dev`. So it is built and loaded once, and a Deployment rolls exactly when its image changed. Workers
of another Python, such as `worker-python3.13`, are built when named; their tags end with `-python3.13`.
`ARMONIK_IMAGE_REGISTRY` makes `load` push to that registry instead (for clusters that are not local).
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from hack.cluster import choose
from hack.cluster.build import build_for_image
from hack.cluster.settings import Cache, Instance
from hack.cluster.shell import ClusterError, locked, say

from .catalogue import IMAGES, Image, check_pins
from .engines import Engine, choose_engine

HELM_VALUES = {
    "operator": "operator.image.tag",
    "agent": "agent.image.tag",
    "nats": "nats.image.tag",
    "versitygw": "objectStore.versitygw.image.tag",
    "minio": "objectStore.minio.image.tag",
    "worker-hello": "defaultPartition.worker.image.tag",
    "worker-python": "functions.image.tag",
}
"""Images that the chart needs, and the value that holds the tag of each."""


def main() -> int:
    """Do what the command line says; 1 when the user must fix something first."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description=__doc__)
    parser.add_argument("action", choices=("build", "load", "helm-values", "check"))
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=", ".join(image.name for image in IMAGES))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {image.name for image in IMAGES}
    if unknown:
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    chosen = [i for i in IMAGES if (i.name in arguments.names if arguments.names else not i.on_demand)]
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
    if driver == "local":
        instance.check_local()
    engine = choose_engine(driver, cache)
    if action == "helm-values":
        print(_helm_values(engine))
        return 0
    with locked(cache.images / "lock"):
        made = {image: image.tag(engine.base(image.python)) for image in images if not image.missing()}
        for image in made:
            build(engine, image, cache)
        if action == "load":
            _hand_over(engine, made, driver, instance)
    missing = [f"{image.name} (no {image.missing()})" for image in images if image.missing()]
    if missing:
        raise ClusterError(f"cannot be built: {', '.join(missing)}")
    return 0


def build(engine: Engine, image: Image, cache: Cache) -> str:
    """Build an image unless the engine has it; its complete name.

    Raises:
        ClusterError: it cannot be built; carries the end of the build's output.
    """
    base = engine.base(image.python)
    name = f"localhost/{image.repository}:{image.tag(base)}"
    if engine.has(name):
        return name
    say(f"building {name}")
    start = time.monotonic()
    programs = build_for_image(cache, image.program) if image.program else None
    arguments = (("BASE", base), *image.arguments)
    engine.build(name, image.dockerfile, arguments, cache.logs / f"image-{image.name}.log", programs)
    engine.tag(name, f"localhost/{image.repository}:{image.alias}")
    say(f"built {name} in {time.monotonic() - start:.0f} s")
    return name


def _hand_over(engine: Engine, images: dict[Image, str], driver: str, instance: Instance) -> None:
    registry = os.environ.get("ARMONIK_IMAGE_REGISTRY")
    if registry:
        for image, tag in images.items():
            for registry_tag in (tag, image.alias):
                target = f"{registry.rstrip('/')}/{image.repository}:{registry_tag}"
                engine.tag(f"localhost/{image.repository}:{tag}", target)
                engine.push(target)
            say(f"pushed {image.repository} to {registry}")
    elif driver == "context":
        raise ClusterError(
            "images cannot be put into the cluster of KUBECONTEXT directly: set ARMONIK_IMAGE_REGISTRY to a "
            "registry that this machine pushes to and that cluster pulls from"
        )
    else:
        names = {image: f"localhost/{image.repository}" for image in images}
        engine.load(
            {f"{names[image]}:{tag}": f"{names[image]}:{image.alias}" for image, tag in images.items()},
            instance,
        )


def _helm_values(engine: Engine) -> str:
    """Values for `helm --set-string` that name exactly the images built from these sources."""
    values = {"global.imageRegistry": os.environ.get("ARMONIK_IMAGE_REGISTRY") or "localhost"}
    for image in IMAGES:
        if image.name in HELM_VALUES and not image.missing():
            values[HELM_VALUES[image.name]] = image.tag(engine.base())
    return ",".join(f"{key}={value}" for key, value in values.items())


if __name__ == "__main__":
    sys.exit(main())
