"""Every error this package raises on purpose.

One root, `QuillError`. Each message says what happened, to which key, and what to do next.
Errors that also are a built-in kind (`ValueError`, `TimeoutError`) subclass it too, so that
ordinary ``except`` clauses keep working.
"""

from __future__ import annotations

from typing import Any


class QuillError(Exception):
    """The root of all errors of this package."""

    def __reduce__(self) -> Any:
        # Errors travel between the processes of a pool, whatever their constructors take.
        return _restored, (type(self), self.args, vars(self))


def _restored(
    kind: type[QuillError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> QuillError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class ConfigurationError(QuillError, ValueError):
    """A setting is missing or wrong. The message names the variable and what is allowed."""


class InvalidValue(QuillError, ValueError):
    """A value cannot be stored as it is: a naive time, a NaN, an empty or too long identifier."""


class InvalidCursor(QuillError, ValueError):
    """A page cursor was altered, or belongs to another query."""


class InvalidPayload(QuillError, ValueError):
    """A delivery or a line of a file is not what it should be.

    Attributes:
        reason: what is wrong, in words.
        position: where, as ``event 3`` (counted from 0) or ``line 7, column 12``; ``None`` where
            the whole body is meant.
        source: the file's name, where one is known.
    """

    def __init__(
        self, reason: str, *, position: str | None = None, source: str | None = None
    ) -> None:
        self.reason = reason
        self.position = position
        self.source = source
        super().__init__(": ".join(part for part in (source, position, reason) if part))

    def in_source(self, source: str) -> InvalidPayload:
        """The same error, naming the file it was found in."""
        return InvalidPayload(self.reason, position=self.position, source=source)


class InvalidSignature(QuillError):
    """A request is not proved to come from whom it says: refuse it, and read nothing of it."""


class ServerUnreachable(QuillError, ConnectionError):
    """No server answered at the endpoint."""


class AnswerLost(QuillError, ConnectionError):
    """The connection ended before the answer came: the write may or may not have happened.

    Sending the same write again is safe with every call of this package.
    """


class AccessDenied(QuillError, PermissionError):
    """AWS found no credentials, refused them, or they do not allow this action."""


class Throttled(QuillError, TimeoutError):
    """The table kept refusing requests as too many, through all retries."""


class RequestRejected(QuillError):
    """DynamoDB refused the request for a reason of its own, which the message carries.

    Attributes:
        code: DynamoDB's error code, such as ``ValidationException``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        super().__init__(message)


class TableNotFound(QuillError, LookupError):
    """The table does not exist at this endpoint."""


class SchemaMismatch(QuillError):
    """The live table is not the one that the models declare."""


class InvalidMigrations(QuillError, ValueError):
    """The files of the migrations are not in order: a gap, a number twice, a file that is none."""


class MigrationMismatch(QuillError):
    """What was applied to the table is not what the files say: one changed, or is missing."""


class MigrationFailed(QuillError):
    """A migration raised an error. It stays pending, and none after it was begun.

    Attributes:
        migration: its name, such as ``0003_list_metrics_by_day``.
    """

    def __init__(self, message: str, *, migration: str) -> None:
        self.migration = migration
        super().__init__(message)


class ExportFailed(QuillError):
    """An export could not be written. The one that was there before is whole."""


class InvalidExport(QuillError, ValueError):
    """A folder holds no whole DynamoDB export to S3: none, a cut or altered one, another kind."""


class LocalServerError(QuillError):
    """DynamoDB Local could not be found, fetched, started or stopped."""


class LeaseLost(QuillError):
    """The lease ended and another process took over; nothing was written."""


def message_of(error: BaseException) -> str:
    """What an error says. One of a job's own may be unable to; that must stop nothing."""
    try:
        return str(error)
    except Exception as also:  # noqa: BLE001
        return f"no message, as asking for it raised {type(also).__name__}"


# Users know them from there, and so do tracebacks and pickles.
for _public in (QuillError, *QuillError.__subclasses__()):
    _public.__module__ = "quill_models.errors"
