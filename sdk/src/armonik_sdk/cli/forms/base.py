"""What all forms have in common."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

API_VERSION: Final = "cli.armonik.io/v1"
"""Of what the program computes itself; objects of the cluster keep theirs."""
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of an output. Values that are not known are left out."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Form(Part):
    """A whole output."""

    api_version: Literal["cli.armonik.io/v1"] = API_VERSION
    """Version of the form."""


def values_of(form: Part) -> dict[str, Any]:
    """As JSON has it; what is not known is left out."""
    return form.model_dump(mode="json", exclude_none=True)
