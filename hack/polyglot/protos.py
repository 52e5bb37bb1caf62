"""ArmoniK's messages for other languages, out of the descriptors that PyPI `armonik` carries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from armonik.protogen.worker import agent_service_pb2, worker_service_pb2
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet


def descriptors() -> FileDescriptorSet:
    """All files of the worker's and the agent's service, each behind those that it imports."""
    found: dict[str, FileDescriptor] = {}
    for file in (worker_service_pb2.DESCRIPTOR, agent_service_pb2.DESCRIPTOR):
        _walk(file, found)
    return FileDescriptorSet(file=[_proto(file) for file in found.values()])


def own(files: FileDescriptorSet) -> list[str]:
    """Those that are not protobuf's own."""
    return [file.name for file in files.file if not file.name.startswith("google/")]


def request(files: FileDescriptorSet, parameter: str) -> bytes:
    """What a plugin of protoc reads on its standard input."""
    return CodeGeneratorRequest(
        file_to_generate=own(files), parameter=parameter, proto_file=files.file
    ).SerializeToString()


def write(response: bytes, folder: Path) -> None:
    """Write the files that a plugin of protoc has answered with.

    Raises:
        ValueError: it has answered with an error.
    """
    answer = CodeGeneratorResponse.FromString(response)
    if answer.error:
        raise ValueError(f"the code generator says: {answer.error}")
    for file in answer.file:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)


def _walk(file: FileDescriptor, found: dict[str, FileDescriptor]) -> None:
    dependencies: Iterable[FileDescriptor] = file.dependencies
    for needed in dependencies:
        _walk(needed, found)
    found.setdefault(file.name, file)


def _proto(file: FileDescriptor) -> FileDescriptorProto:
    made = FileDescriptorProto()
    file.CopyToProto(made)
    return made
