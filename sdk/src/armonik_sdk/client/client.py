"""The entry point of the client."""

import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Self

from pydantic import ValidationError

from armonik_sdk.api.const import SERVICE_CONFIGURATION
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import (
    ObjectMeta,
    Partition,
    PartitionSpec,
    Session,
    SessionSpec,
    Task,
    TaskOptions,
)
from armonik_sdk.client.errors import AlreadyExists, NotFound
from armonik_sdk.client.handles.partition import PartitionHandle
from armonik_sdk.client.handles.session import SessionHandle
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.manifest import refused
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.kube import CONFIG_MAPS, PARTITIONS, SESSIONS, TASKS, Kube


class Client:
    """Sessions, tasks and results of one namespace.

    ```python
    async with await Client.connect() as client:
        session = await client.create_session(partitions=["default"])
        task = await session.submit("7")
        print(await task.result(timeout=60))
    ```
    """

    def __init__(self, connection: Connection, configuration: Mapping[str, str]) -> None:
        self._connection = connection
        self.namespace = connection.namespace
        self.configuration = MappingProxyType(dict(configuration))
        """The service configuration; empty in a namespace that was never used."""

    @classmethod
    async def connect(
        cls, namespace: str | None = None, *, kubeconfig: str | None = None, context: str | None = None
    ) -> Self:
        """Connect as the pod this runs in, else as the kubeconfig says.

        Outside the cluster, ports of NATS and of the object store are forwarded by `kubectl` when the first
        result or large payload needs them, and kept up until `close`.

        Args:
            namespace: unset means the pod's, or the kubeconfig's.
            kubeconfig: file; unset means the pod's service account, else $KUBECONFIG or ~/.kube/config.
            context: context of the kubeconfig; unset means the current one.

        Raises:
            NotConnected: no cluster can be reached that knows the user.
            Unavailable: the apiserver does not answer.
        """
        kube = await Kube.connect(kubeconfig, context)
        try:
            connection = Connection(kube, namespace or kube.namespace, kubeconfig, context)
            return cls(connection, await _configuration(kube, connection.namespace))
        except BaseException:
            await kube.close()
            raise

    @property
    def connection(self) -> Connection:
        """What its handles share."""
        return self._connection

    async def close(self) -> None:
        """Close connections and port-forwards."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def create_session(
        self,
        name: str | None = None,
        *,
        partitions: Sequence[str] = ("default",),
        task_defaults: TaskOptions | None = None,
        ttl_seconds_after_finished: int | None = None,
    ) -> SessionHandle:
        """Create a session.

        Args:
            name: DNS label; made up when left out.
            partitions: partitions its tasks may use.
            task_defaults: options of its tasks; `partition` is required with several partitions.
            ttl_seconds_after_finished: when to delete the finished session with all its data.

        Raises:
            AlreadyExists: another session has this name.
            Refused: it breaks a rule; the message names the field.
        """
        fields: dict[str, object] = {"partitions": list(partitions)}
        if task_defaults is not None:
            fields["task_defaults"] = task_defaults
        if ttl_seconds_after_finished is not None:
            fields["ttl_seconds_after_finished"] = ttl_seconds_after_finished
        try:
            session = Session(
                metadata=ObjectMeta(name=name or f"session-{secrets.token_hex(5)}"),
                spec=SessionSpec.model_validate(fields),
            )
        except (ValidationError, InvalidManifest) as error:
            raise refused("Session", error) from error
        created = await self._connection.kube.create(SESSIONS, self.namespace, session.to_object())
        return SessionHandle(self._connection, Session.from_object(created))

    async def session(self, name: str) -> SessionHandle:
        """The session of this name.

        Raises:
            NotFound: there is none.
        """
        found = await self._connection.kube.get(SESSIONS, self.namespace, name)
        return SessionHandle(self._connection, Session.from_object(found))

    async def task(self, name: str) -> TaskHandle:
        """The task of this name.

        Raises:
            NotFound: there is none.
        """
        found = await self._connection.kube.get(TASKS, self.namespace, name)
        return TaskHandle(self._connection, Task.from_object(found))

    async def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionHandle:
        """Create a partition, or change the one of this name. Who may do this may run pods.

        Raises:
            Refused: the user may not, or it breaks a rule.
        """
        partition = Partition(metadata=ObjectMeta(name=name), spec=spec)
        kube = self._connection.kube
        try:
            created = await kube.create(PARTITIONS, self.namespace, partition.to_object())
        except AlreadyExists:
            created = await kube.patch(PARTITIONS, self.namespace, name, {"spec": spec.to_object()})
        return PartitionHandle(self._connection, Partition.from_object(created))


async def _configuration(kube: Kube, namespace: str) -> dict[str, str]:
    try:
        return dict((await kube.get(CONFIG_MAPS, namespace, SERVICE_CONFIGURATION)).get("data") or {})
    except NotFound:
        return {}  # made with the namespace's first Session or Partition
