"""The errors of the client of functions, beside those of `armonik_sdk.client` and `armonik_sdk.functions`.

ResultError (of the client)
├── WorkerLost          the process or pod that ran the function died too often
├── TaskTimeout         it took longer than allowed (also a TimeoutError)
├── DependencyFailed    something that it needed failed; the cause is the exception of that
└── ResultMissing       there is no result for another reason, which the message says
"""

from armonik_sdk.client.errors import ResultError


class WorkerLost(ResultError):  # noqa: N818 - reads as what happened
    """The process or pod that ran the function died, as often as it may be tried."""


class TaskTimeout(ResultError, TimeoutError):  # noqa: N818 - reads as what happened
    """The function took longer than `timeout` allows."""


class DependencyFailed(ResultError):  # noqa: N818 - reads as what happened
    """Something that the call needed failed; `__cause__` is the exception of the first that did."""


class ResultMissing(ResultError):  # noqa: N818 - reads as what happened
    """There is no result, and will be none."""
