"""Texts for people that have a bound."""

from armonik_sdk.api.const import MAX_MESSAGE


def shorten(text: str, limit: int = MAX_MESSAGE) -> str:
    """At most `limit` characters, leaving out the middle: of a chain of reasons both ends are needed."""
    if len(text) <= limit:
        return text
    mark = " … "
    head = (limit - len(mark)) // 2
    return text[:head] + mark + text[len(text) - (limit - len(mark) - head) :]


def chain(what: str, kind: object, message: str) -> str:
    """Why something was aborted, with the reasons behind it; of a long chain both ends are kept."""
    return shorten(f"{what} ended as {kind}" + (f": {message}" if message else ""))
