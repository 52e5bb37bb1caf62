"""The errors of the agent.

AgentError
├── InvalidSetting   an environment variable is missing or unusable; names it
├── Fenced           another owner's record is the head: this agent must do nothing more for the run
└── InputUnavailable a payload or dependency cannot be read: it is missing or altered
    └── InputTooLarge the inputs of an element are larger than an agent's room for them
"""


class AgentError(Exception):
    """Root of the agent's errors."""


class InvalidSetting(AgentError):  # noqa: N818 - reads as the thing that is wrong
    """An environment variable is missing or unusable."""


class Fenced(AgentError):  # noqa: N818 - the protocol's word
    """Another owner's record is the head of the run."""


class InputUnavailable(AgentError):  # noqa: N818 - reads as the state
    """A payload or dependency is missing or altered; trying again does not help."""


class InputTooLarge(InputUnavailable):
    """The inputs of an element are larger than an agent's room for them; trying again does not help."""
