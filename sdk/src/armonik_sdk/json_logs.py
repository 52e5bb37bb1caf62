"""JSON lines on standard output, for operator and agent alike."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_ENCODER: Final = json.JSONEncoder(default=str, ensure_ascii=False)
"""Made once: `json.dumps` makes one for each call with such options."""


class JsonFormatter(logging.Formatter):
    """One JSON object a record; what was given as `extra` becomes fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = vars(record)
        for name in extra.keys() - _STANDARD:
            line[name] = extra[name]
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


def configure_logs(level: str = "INFO") -> None:
    """Send everything from `level` on to standard output, replacing what was configured before.

    Raises:
        ValueError: no such level.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    # No line has where the call was, or of which thread and process: finding that took half of a line's time.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
