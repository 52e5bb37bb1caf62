"""The agent's settings, read once from the environment at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from armonik_agent.errors import InvalidSetting
from armonik_sdk.api.const import PRINTED_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.fields import PrintedBytes


class Settings(BaseModel):
    """Identity, sockets, folders and limits of the agent; the alias is the environment variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    pod_uid: Annotated[str, Field(alias="POD_UID", min_length=1)]
    pod_name: Annotated[str, Field(alias="POD_NAME")] = ""
    namespace: Annotated[str, Field(alias="POD_NAMESPACE", min_length=1)]
    partition: Annotated[str, Field(alias="ARMONIK_PARTITION", min_length=1)]
    slots: Annotated[int, Field(alias="ARMONIK_SLOTS", ge=1, le=64)] = 1
    """Runs at once."""
    credentials: Annotated[Path, Field(alias="ARMONIK_CREDENTIALS")] = Path("/run/armonik")
    cache: Annotated[Path, Field(alias="ARMONIK_CACHE_DIR")] = Path("/cache")
    """Folder shared with the worker, at the same path in both containers."""
    cache_bytes: Annotated[int, Field(alias="ARMONIK_CACHE_BYTES", ge=16 * 1024 * 1024)] = 4 * 1024**3
    """What that folder may hold; who exceeds it has the pod evicted."""
    object_bytes: Annotated[int, Field(alias="ARMONIK_OBJECT_BYTES", ge=0)] = 1024**3
    """What is kept there of inputs, beside that, for later runs."""
    printed_bytes: Annotated[PrintedBytes, Field(alias="ARMONIK_PRINTED_BYTES")] = PRINTED_BYTES
    """Most bytes that are kept of what an element prints, its beginning and its end: at least 1 KiB; 0 keeps
    nothing."""
    http_port: Annotated[int, Field(alias="ARMONIK_HTTP_PORT", ge=0, le=65535)] = 8090
    drain_seconds: Annotated[float, Field(alias="ARMONIK_DRAIN_SECONDS", ge=0)] = 20.0
    """How long a running element may take after SIGTERM before its run is released."""
    log_level: Annotated[str, Field(alias="ARMONIK_LOG_LEVEL")] = "INFO"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as unset.

        Raises:
            InvalidSetting: a variable is missing or unusable; the message names each.
        """
        try:
            return cls.model_validate({name: value for name, value in environ.items() if value})
        except ValidationError as error:
            raise InvalidSetting(f"the environment is not usable: {explain(error)}") from error

    @property
    def room(self) -> int:
        """Most bytes of inputs of one element: the rest is for what is fetched ahead, and for outputs."""
        return self.cache_bytes * 3 // 4 // self.slots

    @property
    def room_ahead(self) -> int:
        """Most bytes that are fetched ahead for one run."""
        return min(256 * 1024**2, self.cache_bytes // 16 // self.slots)

    @property
    def worker_socket(self) -> Path:
        """Where the worker listens."""
        return self.cache / "armonik_worker.sock"

    @property
    def agent_socket(self) -> Path:
        """Where the worker reaches this agent."""
        return self.cache / "armonik_agent.sock"

    @property
    def runs(self) -> Path:
        """Where each run gets a folder that it shares with the worker."""
        return self.cache / "data"

    @property
    def objects(self) -> Path:
        """Where inputs are kept that later runs may read, too."""
        return self.cache / "objects"

    @property
    def spool(self) -> Path:
        """Where downloads lie until they are complete."""
        return self.cache / "spool"
