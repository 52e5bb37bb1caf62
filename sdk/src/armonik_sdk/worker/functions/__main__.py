"""`python -m armonik_sdk.worker.functions`: a worker that runs the functions that it is sent."""

from armonik_sdk.functions import here
from armonik_sdk.worker import serve
from armonik_sdk.worker.functions.output_tail import keep_tail
from armonik_sdk.worker.functions.run import run


def main() -> None:
    """Serve, and keep the end of what is printed."""
    keep_tail()
    versions = here()
    serve(run, {"kind": "functions", "sdk": versions.sdk, "cloudpickle": versions.cloudpickle})


if __name__ == "__main__":
    main()
