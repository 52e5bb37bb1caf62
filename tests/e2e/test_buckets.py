"""Each namespace has its bucket at the object store of the real installation, and its keys open no other."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator

import pytest
from minio import Minio
from minio.error import S3Error
from observe import bucket_of, reach_store
from release import apply, delete_namespace, kubectl, session, until

from armonik_sdk.dataplane.credentials import Credentials

pytestmark = pytest.mark.e2e

MINE, THEIRS = "e2e-bucket-mine", "e2e-bucket-theirs"


@pytest.fixture(scope="module")
def namespaces() -> Iterator[None]:
    """Two namespaces with a Session each."""
    for name in (MINE, THEIRS):
        kubectl("create", "namespace", name)
        apply(session(name, "s", "default"))
    yield
    for name in (MINE, THEIRS):
        delete_namespace(name)


def _client(namespace: str) -> dict[str, str]:
    """What clients of a namespace read, once it is there."""

    def there() -> bool:
        found = kubectl(
            "get", "secret", "armonik-client", "-n", namespace, "--ignore-not-found", "-o", "name"
        )
        return bool(found)

    until(f"{namespace} has its Secret", there)
    data = json.loads(kubectl("get", "secret", "armonik-client", "-n", namespace, "-o", "json"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _tried(keys: dict[str, str], bucket: str, namespace: str) -> dict[str, str]:
    """How each attempt on a bucket ends with the keys of a client: `done`, or the code of the refusal."""

    async def attempts(credentials: Credentials) -> dict[str, str]:
        mine = Minio(
            credentials.s3_endpoint,
            access_key=keys["s3-access-key"],
            secret_key=keys["s3-secret-key"],
            secure=False,
            region=credentials.s3_region,
        )
        upload = f"{namespace}/e2e/client/1"
        tried: dict[str, Callable[[], object]] = {
            "write": lambda: mine.put_object(bucket, upload, io.BytesIO(b"x"), 1),
            "list": lambda: list(mine.list_objects(bucket, recursive=True)),
            "read": lambda: mine.get_object(bucket, upload).read(),
            "delete": lambda: mine.remove_object(bucket, upload),
        }
        return {what: _outcome(attempt) for what, attempt in tried.items()}

    return reach_store(attempts)


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except S3Error as error:
        return str(error.code)
    return "done"


@pytest.mark.usefixtures("namespaces")
def test_the_keys_of_a_namespace_open_its_bucket_and_no_other() -> None:
    keys = _client(MINE)
    assert keys["s3-bucket"] == bucket_of(MINE)
    assert _client(THEIRS)["s3-secret-key"] != keys["s3-secret-key"]
    own = {"write": "done", "list": "done", "read": "done", "delete": "AccessDenied"}
    assert _tried(keys, bucket_of(MINE), MINE) == own
    assert set(_tried(keys, bucket_of(THEIRS), THEIRS).values()) == {"AccessDenied"}


@pytest.mark.usefixtures("namespaces")
def test_a_bucket_goes_with_its_namespace() -> None:
    keys = _client(MINE)
    delete_namespace(MINE)

    def gone() -> bool:
        async def exists(credentials: Credentials) -> bool:
            root = Minio(
                credentials.s3_endpoint,
                access_key=credentials.s3_access_key,
                secret_key=credentials.s3_secret_key,
                secure=False,
                region=credentials.s3_region,
            )
            return root.bucket_exists(bucket_of(MINE))

        return not reach_store(exists)

    until("the bucket is gone", gone, timeout=300)
    assert set(_tried(keys, bucket_of(THEIRS), THEIRS).values()) == {"InvalidAccessKeyId"}
