"""A backend of joblib, for scikit-learn and all that is built on joblib. Importing this registers `armonik`.

```python
import armonik_sdk.joblib
import joblib

with joblib.parallel_config(backend="armonik", session=session):
    search.fit(X, y)
```
"""

import operator
from collections.abc import Callable
from typing import Any, Final

from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase, SequentialBackend
from joblib.parallel import BatchedCalls, register_parallel_backend

from armonik_sdk.aio.calls.encoding import bytes_of
from armonik_sdk.sync.client import Client, connect
from armonik_sdk.sync.executor import Executor
from armonik_sdk.sync.ref import Ref
from armonik_sdk.sync.session import Session

NAME: Final = "armonik"
PUT_BYTES: Final = 1024 * 1024
"""Arguments above this are put once for all calls of a `Parallel`."""
JOBS: Final = 32
"""What `n_jobs=-1` is where the number of pods is not known."""


class ArmonikBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # published without types
    """Runs the batches of a `joblib.Parallel` as calls of a session."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    uses_threads = False
    supports_sharedmem = False

    def __init__(
        self,
        session: Session | None = None,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
    ) -> None:
        """Run them in this session; without one, connect and make one for each `Parallel`."""
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._given = session
        self._client: Client | None = None
        self._session: Session | None = None
        self._executor: Executor | None = None
        self._put: dict[int, tuple[object, Ref[Any]]] = {}
        self.parallel: Any = None

    def __reduce__(self) -> tuple[type["ArmonikBackend"], tuple[()]]:
        """In a worker there is no session: nested calls are sequential there."""
        return ArmonikBackend, ()

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None, **options: Any
    ) -> int:
        """Begin to work for a `Parallel`."""
        del prefer, require, options  # hints for other backends
        jobs = self.effective_n_jobs(n_jobs)
        if jobs == 1 and n_jobs == 1:
            raise _fallback(self.nesting_level)
        self.parallel = parallel
        self._begin(jobs)
        return jobs

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches are submitted at a time.

        Raises:
            ValueError: n_jobs is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, JOBS + 1 + n_jobs)

    def submit(self, func: BatchedCalls, callback: Callable[[Any], None] | None = None) -> Any:
        """Send a batch."""
        if self._executor is None:
            self._begin(JOBS)
        assert self._executor is not None
        future = self._executor.submit(operator.call, self._small(func))
        future.get = future.result  # type: ignore[attr-defined]  # as joblib calls it
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """The values of a batch."""
        return out.result()

    def terminate(self) -> None:
        """The `Parallel` has ended."""
        self.reset_batch_stats()
        executor, self._executor = self._executor, None
        client, self._client = self._client, None
        self._session = None
        self._put.clear()
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            client.close()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what runs, and be ready for more if that is asked for."""
        jobs = self._executor._max_workers if self._executor is not None else JOBS
        self.terminate()
        if ensure_ready:
            self._begin(jobs)

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Calls inside a batch are sequential."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    def _begin(self, jobs: int) -> None:
        if self._given is None and self._session is None:
            self._client = connect()
            self._session = self._client.session(on_exit="cancel")
        elif self._given is not None:
            self._session = self._given
        assert self._session is not None
        self._executor = Executor(jobs, session=self._session)

    def _small(self, func: BatchedCalls) -> BatchedCalls:
        """The same batch, with large arguments by reference, and without what only this program imports."""
        for call, _, _ in func.items:
            _keep_own_filters(call)
        if not any(_large(args, kwargs) for _, args, kwargs in func.items):
            return func
        items = [
            (
                call,
                tuple(map(self._reference, args)),
                {name: self._reference(a) for name, a in kwargs.items()},
            )
            for call, args, kwargs in func.items
        ]
        return BatchedCalls(items, (func._backend, func._n_jobs), func._reducer_callback, func._pickle_cache)

    def _reference(self, value: Any) -> Any:
        if bytes_of(value) <= PUT_BYTES:
            return value
        known = self._put.get(id(value))
        if known is None or known[0] is not value:
            assert self._session is not None
            known = self._put[id(value)] = (value, self._session.put(value))
        return known[1]


def _keep_own_filters(call: Any) -> None:
    """Take from a function of scikit-learn the filters of warnings that its package does not need.

    It sends all filters of this program, with the classes of the warnings that they name: those of urllib3,
    for one, which a worker need not have.
    """
    filters = getattr(call, "warning_filters", None)
    if not isinstance(filters, list):
        return
    own = {"builtins", str(getattr(call, "__module__", "")).partition(".")[0]}
    call.warning_filters = [each for each in filters if each[2].__module__.partition(".")[0] in own]


def _large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(bytes_of(value) > PUT_BYTES for value in (*args, *kwargs.values()))


def _fallback(level: int | None) -> Exception:
    from joblib._parallel_backends import FallbackToBackend

    fallback: Exception = FallbackToBackend(SequentialBackend(nesting_level=level))
    return fallback


register_parallel_backend(NAME, ArmonikBackend)
