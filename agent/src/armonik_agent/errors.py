"""The errors of the agent.

AgentError
└── Fenced   another record is the head: this process no longer owns the run
"""


class AgentError(Exception):
    """Root of the agent's errors."""


class Fenced(AgentError):  # noqa: N818 - reads as what happened
    """This process no longer owns the run: stop the worker, drop the buffers, do nothing else."""
