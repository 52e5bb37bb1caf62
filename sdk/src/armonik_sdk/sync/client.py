# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.
"""The entry point: connecting, and sessions."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.aio.core.session import OnExit
from armonik_sdk.aio.core.shown import client_html
from armonik_sdk.api.kinds import PartitionSpec, TaskOptions
from armonik_sdk.grid.protocol import PartitionInfo, SessionInfo
from armonik_sdk.sync.portal import end, iterate, open_core, run
from armonik_sdk.sync.session import Session


class Client:
    """Sessions, partitions and results of one namespace."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<Client of {self.namespace}>"

    def _repr_html_(self) -> str:
        return client_html(self._core)

    @property
    def namespace(self) -> str:
        """The namespace that it works in."""
        return self._core.namespace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def session(
        self,
        name: str | None = None,
        *,
        partitions: Sequence[str] | None = None,
        defaults: TaskOptions | None = None,
        ttl: timedelta | float | Literal["day"] | None = "day",
        on_exit: OnExit = "finish",
        code: Literal["loaded"] | Sequence[str | Path] | None = "loaded",
        packages: Sequence[str] | Path | None = None,
    ) -> Session:
        """Make a session, or attach to the one of this name.

        Args:
            name: DNS label; made up when left out.
            partitions: where its calls may run; `python` when left out.
            defaults: options of its calls; `partition` is required with several partitions.
            ttl: after the end of the session, how long its data stays: a time, seconds, or None without end.
            on_exit: what the end of its `with` block does: wait and close, cancel, or leave it as it is.
            code: what its functions import that the workers do not have: the source files of the project's
                loaded modules, these files and folders, or nothing.
            packages: requirements (`["polars>=1"]`), a `uv.lock`, or a file of requirements. uv installs them
                here, for the Python and the platform of the workers, and they go along.

        Raises:
            CodeTooLarge: the code has more than 50 MiB, which names the largest files; or the packages more
                than 512 MiB.
            PackagesNotInstalled: uv is not there, or cannot install the packages.
            WaitTimeout: no worker has said yet what packages are to be installed for.
            FileNotFoundError: a file that `code` names is not there.
            AlreadyExists: one of this name is there, and arguments for a new one were given.
            Refused: it breaks a rule; the message names the field.
        """
        core = run(
            self._core,
            self._core.session(
                name,
                partitions=partitions,
                defaults=defaults,
                ttl=ttl,
                on_exit=on_exit,
                code=code,
                packages=packages,
            ),
        )
        return Session(core)

    def sessions(self) -> Iterator[SessionInfo]:
        """All sessions of the namespace."""
        for infos in iterate(self._core, self._core.sessions()):
            yield from infos

    def partitions(self) -> Iterator[PartitionInfo]:
        """All partitions of the namespace."""
        for infos in iterate(self._core, self._core.partitions()):
            yield from infos

    def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionInfo:
        """Make a partition, or change the one of this name. Who may do this may run pods.

        Raises:
            Refused: the user may not, or it breaks a rule.
        """
        return run(self._core, self._core.apply_partition(name, spec))

    def close(self) -> None:
        """Close the connections. Futures that have not ended fail; the grid works on."""
        end(self._core)


def connect(
    namespace: str | None = None, *, kubeconfig: str | Path | None = None, context: str | None = None
) -> Client:
    """Connect as the pod this runs in, else as the kubeconfig says.

    Args:
        namespace: unset means the pod's, or the kubeconfig's. `local`, or ARMONIK_GRID=local in the
            environment: processes of this machine instead of a cluster.
        kubeconfig: file; unset means the pod's service account, else $KUBECONFIG or ~/.kube/config.
        context: context of the kubeconfig; unset means the current one.

    Raises:
        NotConnected: no cluster can be reached that knows the user.
        Unavailable: the apiserver does not answer.
    """
    return Client(open_core(namespace, kubeconfig, context))
