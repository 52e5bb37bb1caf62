"""The operator's settings, read once from the environment at start."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from armonik_operator.errors import InvalidSetting
from armonik_sdk.api.const import NATS_SECRET, PRINTED_BYTES, S3_SECRET
from armonik_sdk.api.errors import explain, field_problems
from armonik_sdk.api.fields import PrintedBytes
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.kinds.pod import ResourceRequirements

AGENT_RESOURCES = ResourceRequirements(requests={"cpu": "50m", "memory": "96Mi"}, limits={"memory": "256Mi"})
"""What an agent requests and may use, unless the chart says otherwise."""
_PREFIX = "ARMONIK_"
_SIZE = re.compile(r"(\d+)([kmgt]?)(i?b)?", re.IGNORECASE)
_POWERS = " kmgt"


def size_of(text: str) -> int:
    """Bytes of a size as NATS' configuration has it: `1600MB` and `1600MiB` are by 1024, `1600M` by 1000.

    Raises:
        ValueError: it is no size.
    """
    if not text:
        return 0
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size; write it as 1600MB")
    unit = 1024 if found[3] else 1000
    return int(found[1]) * int(unit ** _POWERS.index((found[2] or " ").lower()))


def _from_json(value: object) -> object:
    try:
        return json.loads(value, parse_float=str) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {explain(error)}") from None


def _comma_list(value: object) -> object:
    return tuple(filter(None, (v.strip() for v in value.split(",")))) if isinstance(value, str) else value


class Settings(BaseModel):
    """Each field is the environment variable `ARMONIK_<NAME>`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    namespace: Annotated[str, Field(min_length=1)]
    """Namespace of the Helm release: its Lease and the servers' Secrets are here."""
    release: str = "armonik"
    """Name of the Helm release."""
    watch_namespaces: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    """Namespaces to serve, separated by commas; empty means all."""
    nats_url: Annotated[str, Field(pattern=r"^(nats|tls)://.+")]
    """Address of NATS as pods see it."""
    nats_outside_url: Annotated[str, Field(pattern=r"^((nats|tls)://.+)?$")] = ""
    """Address of NATS as clients outside of the cluster see it; empty: the one that pods see, forwarded."""
    nats_secret: str = NATS_SECRET
    """Secret with the passwords of the three NATS users."""
    nats_store: str = ""
    """What NATS may keep on disk, in its units (`max_file_store`); empty: unknown, no stream has a share."""
    nats_accounts: bool = False
    """Each namespace has accounts of its own on NATS; otherwise all share the three users."""
    nats_accounts_dir: str = "/data/jwt"
    """Folder in which the chart's NATS keeps accounts."""
    nats_namespace_store: str = ""
    """What the account of a namespace may keep on disk, unless its annotation says so; empty: no bound."""
    nats_namespace_journal: str = ""
    """What the journal of a namespace may hold before new work waits, as above; empty: no bound."""
    nats_namespace_queue: str = ""
    """The same of its queue."""
    nats_namespace_results: str = ""
    """The same of its results."""
    nats_namespace_connections: Annotated[int, Field(ge=2)] = 1_000
    """Connections to each account of a namespace."""
    nats_external: bool = False
    """NATS is not the chart's: its Secret is the user's and never made here."""
    s3_endpoint: Annotated[str, Field(pattern=r"^[^/]+$")]
    """host:port of the object store as pods see it."""
    s3_secure: bool = False
    """Use TLS to the object store."""
    s3_outside_endpoint: Annotated[str, Field(pattern=r"^[^/]*$")] = ""
    """host:port of the object store as clients outside of the cluster see it; empty: as for NATS."""
    s3_outside_secure: bool = True
    """Use TLS to it."""
    s3_region: str = "us-east-1"
    s3_bucket: Annotated[str, Field(min_length=3, max_length=63)] = "armonik"
    """The bucket; where each namespace has its own, what their names begin with."""
    s3_provisioner: Literal["static", "versitygw", "minio"] = "static"
    """Who makes buckets and keys for namespaces: the user, or the operator on a server of this kind."""
    s3_secret: str = S3_SECRET
    """Secret with the identities of the object store."""
    s3_external: bool = False
    """The object store is not the chart's: its Secret is the user's and never made here."""
    tls_servers: Annotated[tuple[Literal["nats", "s3"], ...], BeforeValidator(_comma_list)] = ()
    """The chart's servers that speak TLS: `nats`, `s3`, separated by commas."""
    tls_issued: bool = False
    """Their certificates are made by somebody else, such as cert-manager; otherwise by the operator."""
    tls_nats_names: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    """Names and addresses that NATS' certificate is for, separated by commas."""
    tls_s3_names: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    """The same of the object store."""
    tls_ca: str = ""
    """Certificates in PEM of the authorities that signed the servers' own, beside those of the system.

    Found at the start where the chart's servers speak TLS.
    """
    agent_image: Annotated[str, Field(min_length=1)]
    """Image of the agent container in worker pods."""
    agent_pull_policy: str = "IfNotPresent"
    agent_resources: Annotated[ResourceRequirements, BeforeValidator(_from_json)] = AGENT_RESOURCES
    """What it requests and may use, as JSON of a container's `resources`."""
    agent_printed_bytes: PrintedBytes = PRINTED_BYTES
    """Most bytes that it keeps of what an element prints, from 1 KiB on; 0 keeps nothing."""
    manage_crds: bool = True
    """Apply the operator's own copies of the CustomResourceDefinitions at start."""
    crds_dir: str = "/app/crds"
    """Folder with those copies."""
    openshift: bool = False
    """Leave runAsUser unset, as OpenShift assigns it."""
    health_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port of `/livez`, `/readyz` and `/metrics`."""
    sweep_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """Seconds between two looks at the streams and at what should be queued."""
    lease: str = "armonik-operator"
    """Name of the Lease that only one operator holds."""
    log_level: str = "INFO"
    default_partition: str = "default"
    """Partition of tasks whose session names none."""
    default_priority: Annotated[int, Field(ge=1, le=99)] = 1
    default_max_retries: Annotated[int, Field(ge=0)] = 3
    default_max_duration_seconds: Annotated[int, Field(ge=1)] = 86_400

    @field_validator(
        "nats_store",
        "nats_namespace_store",
        "nats_namespace_journal",
        "nats_namespace_queue",
        "nats_namespace_results",
    )
    @classmethod
    def _a_size(cls, value: str) -> str:
        size_of(value)
        return value

    @property
    def nats_store_bytes(self) -> int:
        """The same as a number; 0: unknown."""
        return size_of(self.nats_store)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as unset.

        Raises:
            InvalidSetting: a variable is missing or unusable; the message names each.
        """
        given = {
            field: environ[_PREFIX + field.upper()]
            for field in cls.model_fields
            if environ.get(_PREFIX + field.upper())
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{_PREFIX}{problem.field.upper()}: {problem.message}" for problem in field_problems(error)
            )
            raise InvalidSetting(f"the environment is not usable: {problems}") from error

    @property
    def spaces(self) -> tuple[str | None, ...]:
        """What to list: the namespaces that are watched, or None for all."""
        return self.watch_namespaces or (None,)

    def serves(self, namespace: str) -> bool:
        """Whether a namespace is among those that are watched."""
        return not self.watch_namespaces or namespace in self.watch_namespaces

    @cached_property
    def task_defaults(self) -> TaskOptions:
        """The lowest layer of task options."""
        return TaskOptions(
            partition=self.default_partition,
            priority=self.default_priority,
            max_retries=self.default_max_retries,
            max_duration_seconds=self.default_max_duration_seconds,
        )
