"""The demo: analyse the Python standard library's own sources, on real pods.

The client packs the files into about 30 payloads. One task with an element for each parses them; a second
task depends on all their results and adds them up. The table is checked against a plain computation here.
"""

import ast
import asyncio
import io
import json
import os
import sysconfig
import time
import zipfile
from pathlib import Path
from typing import Any

from armonik_sdk.api.kinds import PartitionSpec, PodTemplate, WorkerContainer, WorkerPodSpec
from armonik_sdk.client import Client, TaskOptions

REGISTRY = os.environ.get("ARMONIK_IMAGE_REGISTRY") or "localhost"
IMAGE = os.environ.get("ARMONIK_DEMO_IMAGE", f"{REGISTRY}/armonik-worker-analyse:dev")
NAMESPACE = os.environ.get("ARMONIK_DEMO_NAMESPACE", "default")
PACKS = 30
PODS = 2
TIMEOUT = 600.0


async def main() -> None:
    files = sources()
    packs = pack(files)
    size = sum(map(len, packs)) / 1024
    print(f"{len(files)} sources of the standard library in {len(packs)} packs ({size:.0f} KiB)")
    start = time.monotonic()
    async with await Client.connect(NAMESPACE) as client:
        partition = await client.apply_partition("analyse", workers())
        session = await client.create_session(partitions=["analyse"], ttl_seconds_after_finished=86_400)
        parse = await session.submit(items=packs)
        reduce = await session.submit(depends_on=[parse], options=TaskOptions(options={"mode": "reduce"}))
        print(f"submitted {parse.name} ({parse.total} elements) and {reduce.name}, which depends on it")
        done = 0
        async for _ in parse.results(timeout=TIMEOUT):
            done += 1
            if done % 10 == 0 or done == parse.total:
                print(f"  {done}/{parse.total} parsed after {time.monotonic() - start:.1f} s")
        report = json.loads(await reduce.result(timeout=TIMEOUT))
        print(f"finished in {time.monotonic() - start:.1f} s\n")
        show(report)
        if report != expected(files):
            raise SystemExit("the numbers differ from a plain computation on this machine")
        print("\nThe numbers equal those of a plain, single-process computation on this machine.\n")
        print("Look at it:")
        print(f"  kubectl -n {NAMESPACE} get sessions.armonik.io,tk,akp,pods")
        print(f"  kubectl -n {NAMESPACE} get tk {parse.name} -o yaml")
        print(f"  kubectl -n {NAMESPACE} delete sessions.armonik.io {session.name}    # with its data")
        print(f"  kubectl -n {NAMESPACE} delete akp {partition.name}")


def workers() -> PartitionSpec:
    worker = WorkerContainer(image=IMAGE)
    return PartitionSpec(
        pod_reserved=PODS, pod_max=PODS, template=PodTemplate(spec=WorkerPodSpec(worker=worker))
    )


def sources() -> dict[str, bytes]:
    library = Path(sysconfig.get_path("stdlib"))
    return {
        str(file.relative_to(library)): file.read_bytes()
        for file in sorted(library.rglob("*.py"))
        if not {"site-packages", "dist-packages", "test", "tests"} & set(file.parts)
    }


def pack(files: dict[str, bytes]) -> list[bytes]:
    """Packs of about the same size: the largest files first, each into the smallest pack."""
    groups: list[list[str]] = [[] for _ in range(min(PACKS, len(files)))]
    sizes = [0] * len(groups)
    for name in sorted(files, key=lambda name: -len(files[name])):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(name)
        sizes[smallest] += len(files[name])
    return [zipped({name: files[name] for name in group}) for group in groups]


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def expected(files: dict[str, bytes]) -> dict[str, Any]:
    functions: list[tuple[int, str, str]] = []
    lines = classes = unparsable = 0
    for name, content in files.items():
        lines += content.count(b"\n")
        try:
            nodes = list(ast.walk(ast.parse(content, name)))
        except (SyntaxError, ValueError):
            unparsable += 1
            continue
        classes += sum(isinstance(node, ast.ClassDef) for node in nodes)
        functions += [
            (1 + (node.end_lineno or 0) - node.lineno, name, node.name)
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    functions.sort(key=lambda function: (-function[0], *function[1:]))
    return {
        "files": len(files),
        "unparsable": unparsable,
        "lines": lines,
        "functions": len(functions),
        "classes": classes,
        "longest": [list(function) for function in functions[:10]],
    }


def show(report: dict[str, Any]) -> None:
    print(
        ", ".join(f"{report[key]} {key}" for key in ("files", "lines", "functions", "classes", "unparsable"))
    )
    print(f"\n{'lines':>6}  {'function':<32} file")
    for length, file, function in report["longest"]:
        print(f"{length:>6}  {function:<32} {file}")


if __name__ == "__main__":
    asyncio.run(main())
