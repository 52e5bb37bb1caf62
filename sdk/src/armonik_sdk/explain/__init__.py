"""Why an object is as it is: facts in, an explanation as text or JSON out; no I/O."""

from armonik_sdk.explain.explanation import Explanation, Link
from armonik_sdk.explain.facts import Facts, Need, needs
from armonik_sdk.explain.subjects import explain, unreadable

__all__ = ["Explanation", "Facts", "Link", "Need", "explain", "needs", "unreadable"]
