"""Indexes: sets by key, of which none is empty."""

from collections.abc import Hashable, MutableMapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


def discard(index: MutableMapping[K, set[V]], key: K, value: V) -> None:
    """Take a value out of the set of a key; a key without any is dropped."""
    if (members := index.get(key)) is not None:
        members.discard(value)
        if not members:
            del index[key]
