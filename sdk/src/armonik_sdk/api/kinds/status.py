"""What every status has."""

from typing import Annotated

from pydantic import Field

from armonik_sdk.api.kinds.base import ApiModel
from armonik_sdk.api.kinds.meta import Condition
from armonik_sdk.api.kinds.schema import map_list


class Status(ApiModel):
    """Base of the three statuses."""

    conditions: list[Condition] = Field(
        default_factory=list, max_length=16, json_schema_extra=map_list("type")
    )
    """Observed facts, one per type; the most significant one first."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that this status answers."""
