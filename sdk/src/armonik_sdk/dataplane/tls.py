"""TLS to NATS and the object store: whom a client trusts, and what is said of a server that it does not."""

import functools
import ssl
from typing import Final

from armonik_sdk.api.errors import explain
from armonik_sdk.dataplane.errors import InvalidCredentials

UNTRUSTED: Final = "not signed by a CA that is trusted here"
"""What `distrust` says where other certificates of authorities are needed."""
_EXPIRED: Final = 10
_OTHER_NAME: Final = (62, 64)
"""OpenSSL's numbers of an expired certificate, and of one for another host or address."""
_DOCS: Final = "see docs/install.md, TLS"


@functools.lru_cache(maxsize=8)
def trusting(ca: str) -> ssl.SSLContext:
    """Checks servers' certificates and names, by the system's authorities and those in `ca`.

    Args:
        ca: certificates in PEM, one after the other; may be empty.

    Raises:
        InvalidCredentials: it is no PEM.
    """
    made = ssl.create_default_context()
    if ca:
        try:
            made.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidCredentials(f"tls-ca has no certificates in PEM: {explain(error)}") from None
    return made


def distrust(error: BaseException | None) -> str:
    """Why a server's certificate is refused, and the remedy; empty when an error is about something else."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "reason", None)  # of urllib3's errors
        error = reason if isinstance(reason, BaseException) else (error.__cause__ or error.__context__)
    if error is None:
        return ""
    if error.verify_code == _EXPIRED:
        return f"the server's certificate has expired: renew it, or correct this machine's clock; {_DOCS}"
    if error.verify_code in _OTHER_NAME:
        return (
            f"the server's certificate is for another name ({error.verify_message}): "
            f"add the name to tls.names of the chart; {_DOCS}"
        )
    return (
        f"the server's certificate is {UNTRUSTED} ({error.verify_message}): "
        f"tls-ca of the credentials (Secrets armonik-client, armonik-agent) must have its CA; {_DOCS}"
    )
