"""Serves a Python function as a worker: one element at a time.

    from armonik_sdk.worker import Element, serve

    def square(element: Element) -> bytes:
        return str(int(element.payload) ** 2).encode()

    serve(square)

or `python -m armonik_sdk.worker module:square`. The agent gives such a worker a whole run in one call; the
function runs in a process of its own, which may be ended, or end, without harm to any other element.
"""

from armonik_sdk.worker.element import Abort, Belonging, Element, Function, Retry
from armonik_sdk.worker.executor.leftovers import keep
from armonik_sdk.worker.serve_function import serve
from armonik_sdk.worker.subtasks import Promise

__all__ = ["Abort", "Belonging", "Element", "Function", "Promise", "Retry", "keep", "serve"]
