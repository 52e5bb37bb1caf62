"""The agent's settings, read once from the environment at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from armonik_agent.errors import InvalidSetting


class Settings(BaseModel):
    """Where the agent stands and whom it serves; the alias is the environment variable."""

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
    http_port: Annotated[int, Field(alias="ARMONIK_HTTP_PORT", ge=0, le=65535)] = 8090
    drain_seconds: Annotated[float, Field(alias="ARMONIK_DRAIN_SECONDS", ge=0)] = 20.0
    """How long a running element may go on after SIGTERM before its run is released."""
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
            problems = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors(include_url=False))
            raise InvalidSetting(f"the environment is not usable: {problems}") from error

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
    def spool(self) -> Path:
        """Where downloads lie until they are complete."""
        return self.cache / "spool"
