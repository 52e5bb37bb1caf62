"""Shortens texts to a number of bytes."""

from armonik_sdk.api.bounds import MAX_ERROR_BYTES


def shorten(text: str, most: int = MAX_ERROR_BYTES) -> str:
    """At most `most` bytes of UTF-8."""
    return text.encode()[:most].decode(errors="ignore")
