"""A function of our own worker: a number in, its square out, both as text."""

from armonik_sdk.worker import Abort, Element


def function(element: Element) -> bytes:
    text = element.payload.decode(errors="replace").strip()
    try:
        number = int(text)
    except ValueError:
        raise Abort(f"the payload is not a whole number: {text[:80]!r}") from None
    return str(number * number).encode()
