"""`python -m armonik_sdk.client.selftest`: one task through the whole system, as `helm test` runs it.

The partition's workers must square numbers, as those of `examples/hello` do.
"""

import argparse
import asyncio
import logging
import os
import sys

from armonik_sdk.client.client import Client
from armonik_sdk.client.errors import ClientError

log = logging.getLogger("armonik_sdk.client.selftest")


def main() -> int:
    """0 when the result came and is right."""
    environ = os.environ
    parser = argparse.ArgumentParser(prog="python -m armonik_sdk.client.selftest", description=__doc__)
    parser.add_argument("--namespace", default=environ.get("ARMONIK_SELFTEST_NAMESPACE"))
    parser.add_argument("--partition", default=environ.get("ARMONIK_SELFTEST_PARTITION", "default"))
    parser.add_argument(
        "--timeout", type=float, default=float(environ.get("ARMONIK_SELFTEST_TIMEOUT", "120")), help="seconds"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(_run(arguments.namespace, arguments.partition, arguments.timeout))
    except (ClientError, TimeoutError) as error:
        log.error("self-test failed: %s: %s", type(error).__name__, error)  # noqa: TRY400 - for people
        return 1
    return 0


async def _run(namespace: str | None, partition: str, timeout: float) -> None:
    async with asyncio.timeout(timeout), await Client.connect(namespace) as client:
        log.info("connected to namespace %s", client.namespace)
        session = await client.create_session(partitions=[partition], ttl_seconds_after_finished=600)
        try:
            task = await session.submit("7")
            log.info("submitted %s", task)
            answer = await task.result(timeout=timeout)
            if answer != b"49":
                raise ClientError(f"the square of 7 came back as {answer[:80]!r}")
            log.info("the square of 7 is %s", answer.decode())
        finally:
            await session.delete()


if __name__ == "__main__":
    sys.exit(main())
