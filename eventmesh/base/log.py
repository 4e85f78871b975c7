"""Structured logging: one line an event, fields beside the message, JSON or text by EVENTMESH_LOG_FORMAT.

log = log.get("xds.server")
log.warning("configuration refused", node=node_id, type=short_type, reason=reason)
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO


class Logger:
    """A named source of log lines. Field values are written with `str`; secrets must never be passed."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, **fields: object) -> None:
        """Write what only a developer of this component needs."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Write what an operator wants to know when all is well."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Write what an operator should look at soon."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, *, exc_info: bool | BaseException = False, **fields: object) -> None:
        """Write what has failed for somebody; `exc_info` adds the traceback."""
        self._write(logging.ERROR, message, fields, exc_info)

    def _write(
        self, level: int, message: str, fields: Mapping[str, object], exc_info: bool | BaseException = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={"fields": fields}, exc_info=exc_info)


def get(name: str) -> Logger:
    """Return the logger of the component `name`, dotted below `eventmesh`."""
    return Logger(logging.getLogger(f"eventmesh.{name}"))


def configure(*, level: str | None = None, stream: TextIO | None = None) -> None:
    """Send log lines to `stream` (stderr by default); called once by each command.

    `EVENTMESH_LOG_LEVEL` (debug, info, warning, error) and `EVENTMESH_LOG_FORMAT` (text, json) decide
    when the arguments do not.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    as_json = os.environ.get("EVENTMESH_LOG_FORMAT", "text") == "json"
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    root = logging.getLogger("eventmesh")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel((level or os.environ.get("EVENTMESH_LOG_LEVEL", "info")).upper())


def silence(library: str) -> None:
    """Drop what a library writes by itself, for one whose errors are raised too and told by who catches them."""
    logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def _fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, Mapping) else {}


def _stamp(record: logging.LogRecord, pattern: str) -> str:
    """Return when the line was written, in UTC; without datetime, whose import a sidecar would feel."""
    return f"{time.strftime(pattern, time.gmtime(record.created))}.{int(record.msecs):03}"


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs = "".join(f" {key}={_quote(value)}" for key, value in _fields_of(record).items())
        name = record.name.removeprefix("eventmesh.")
        line = f"{_stamp(record, '%H:%M:%S')} {record.levelname.lower():7} {name}: {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": _stamp(record, "%Y-%m-%dT%H:%M:%S") + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update((key, str(value)) for key, value in _fields_of(record).items())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _quote(value: object) -> str:
    text = str(value)
    # A quoted field keeps one event on one line, whatever a peer put into it.
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "\n\r\t=') else text
