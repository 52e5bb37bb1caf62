"""The errors of sending functions and values.

FunctionsError
├── EnvelopeDamaged    bytes that are no envelope, or not the ones that were written (also a ValueError)
├── VersionMismatch    written by versions that do not understand each other
│   └── PythonMismatch     bytecode of another Python
├── NotPicklable       a value cannot be sent; names the way to what is the matter (also a PicklingError)
├── BadEnvironment     an archive of packages and sources that cannot be used (also a ValueError)
├── CodeTooLarge       source files of the project, or an environment, beyond the bound
├── PackagesNotInstalled  packages for workers that cannot be installed here
└── RemoteError        an exception of a function that cannot be rebuilt here
"""

import pickle


class FunctionsError(Exception):
    """Root of the errors raised by `armonik_sdk.functions`."""


class EnvelopeDamaged(FunctionsError, ValueError):  # noqa: N818 - reads as what happened
    """These bytes are no envelope, or not the ones that were written. Nothing of them was unpickled."""


class VersionMismatch(FunctionsError):  # noqa: N818 - reads as what happened
    """The writer's versions and the reader's do not understand each other. Nothing was unpickled."""


class PythonMismatch(VersionMismatch):
    """Bytecode of one Python, and a reader that runs another."""


class NotPicklable(FunctionsError, pickle.PicklingError):  # noqa: N818 - reads as what happened
    """A value cannot be sent. The message names the way from what was given to what cannot be pickled."""


class BadEnvironment(FunctionsError, ValueError):  # noqa: N818 - reads as what it is
    """An archive of packages and sources cannot be used here. Nothing of it was imported."""


class CodeTooLarge(FunctionsError):  # noqa: N818 - reads as what happened
    """What should be sent as code is larger than the bound; the message names the largest files."""


class PackagesNotInstalled(FunctionsError):  # noqa: N818 - reads as what happened
    """Packages for workers cannot be installed on this machine; the message says why."""


class RemoteError(FunctionsError):
    """An exception of a function that cannot be rebuilt here."""

    def __init__(self, type_name: str, text: str, traceback: str = "", why: str = "") -> None:
        """All of it is text, since nothing more is known of it.

        Args:
            type_name: of the exception, with its module (`filelock.Timeout`).
            text: what `str()` of it gave in the worker.
            traceback: as the worker printed it; empty when there is none.
            why: why it could not be rebuilt.
        """
        super().__init__(type_name, text, traceback, why)
        self.type_name = type_name
        self.text = text
        self.traceback = traceback
        self.why = why

    def __str__(self) -> str:
        said = f"{self.type_name}: {self.text}" if self.text else self.type_name
        return f"{said} (it could not be rebuilt here: {self.why})" if self.why else said
