"""The values of the global options."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TextIO, get_args

Form = Literal["table", "wide", "name", "json", "yaml", "jsonl"]
"""How output is written."""
FORMS: Final[tuple[Form, ...]] = get_args(Form)
Colour = Literal["auto", "always", "never"]


@dataclass
class Settings:
    """Global options; each is None until the command line names it."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    output: Form | None = None
    color: Colour = "auto"
    quiet: bool = False
    verbose: int = 0
    request_timeout: float = 30.0
    """Seconds."""
    no_color: bool = False
    """`NO_COLOR` of the environment."""

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """What the environment says; options are set over it."""
        environ = os.environ if environ is None else environ
        return cls(namespace=environ.get("ARMONIK_NAMESPACE") or None, no_color=bool(environ.get("NO_COLOR")))

    @property
    def form(self) -> Form:
        """The form of output in force."""
        return self.output or "table"

    def coloured(self, stream: TextIO) -> bool:
        """Whether to write colours to this stream."""
        if self.color != "auto":
            return self.color == "always"
        return not self.no_color and stream.isatty()
