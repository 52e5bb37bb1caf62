"""Deletion of many objects on real object stores."""

import secrets
from collections.abc import Sequence

import pytest
from stores import each_store

from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3 import store as s3_store
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = [pytest.mark.integration, each_store]


async def test_objects_below_a_prefix_are_deleted_page_by_page_but_those_that_stay(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "DELETED_AT_ONCE", 3)
    store, prefix = S3Store(credentials), f"{secrets.token_hex(4)}/"
    await store.ensure_bucket()
    names = {f"{prefix}{folder}/{number}" for folder in "ab" for number in range(5)}
    for name in names:
        await store.put(name, b"data")
    asked: list[str] = []

    async def keep(keys: Sequence[str]) -> set[str]:
        assert len(keys) <= 3
        asked.extend(keys)
        return {key for key in keys if key.endswith(("0", "4"))}

    assert await store.delete_many(prefix, keep) == 6
    assert set(asked) == names
    left = {each.key for each in await store.page(prefix, "", 100, 0.0)}
    assert left == {f"{prefix}{folder}/{number}" for folder in "ab" for number in (0, 4)}
    await store.delete_many(prefix)
    assert await store.page(prefix, "", 100, 0.0) == []
