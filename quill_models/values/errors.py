"""The definitions of the errors, which are public in `quill_models.errors`."""

from __future__ import annotations

from typing import Any


class QuillError(Exception):
    """The root of all errors of this package."""

    def __reduce__(self) -> Any:
        # Errors can be pickled between processes, whatever arguments their constructors have.
        return _restored, (type(self), self.args, vars(self))


def _restored(
    kind: type[QuillError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> QuillError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class ConfigurationError(QuillError, ValueError):
    """A setting is missing or wrong. The message names the variable and the allowed values."""


class InvalidValue(QuillError, ValueError):
    """A value cannot be stored: a naive time, a NaN, an empty or too long identifier."""


class InvalidCursor(QuillError, ValueError):
    """A page cursor was changed, or belongs to another query."""


class InvalidPayload(QuillError, ValueError):
    """A delivery or a line of a file is invalid.

    Attributes:
        reason: The reason, in words.
        position: ``event 3`` (counted from 0) or ``line 7, column 12``. ``None`` for the complete
            body.
        source: The name of the file, if it is known.
    """

    def __init__(
        self, reason: str, *, position: str | None = None, source: str | None = None
    ) -> None:
        self.reason = reason
        self.position = position
        self.source = source
        super().__init__(": ".join(part for part in (source, position, reason) if part))

    def in_source(self, source: str) -> InvalidPayload:
        """Return the same error with the name of the file."""
        return InvalidPayload(self.reason, position=self.position, source=source)


class InvalidSignature(QuillError):
    """A request has no valid signature of its sender. Reject it and do not parse its body."""


class ServerUnreachable(QuillError, ConnectionError):
    """No server responded at the endpoint."""


class AnswerLost(QuillError, ConnectionError):
    """The connection ended before the response arrived. The write may have succeeded.

    You can retry every call of this package safely.
    """


class AccessDenied(QuillError, PermissionError):
    """Credentials are missing or invalid, or do not allow this action."""


class Throttled(QuillError, TimeoutError):
    """The table throttled the request through all retries."""


class RequestRejected(QuillError):
    """DynamoDB rejected the request. The message contains the reason.

    Attributes:
        code: The error code of DynamoDB, such as ``ValidationException``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        super().__init__(message)


class TableNotFound(QuillError, LookupError):
    """The table does not exist at this endpoint."""


class SchemaMismatch(QuillError):
    """The live table differs from the declaration of the models."""


class InvalidMigrations(QuillError, ValueError):
    """The migration files are invalid: a gap, a repeated number, or not a migration."""


class MigrationMismatch(QuillError):
    """An applied migration differs from its file, or its file is missing."""


class MigrationFailed(QuillError):
    """A migration raised an error. It stays pending, and later ones were not started.

    Attributes:
        migration: The name, such as ``0003_list_metrics_by_day``.
    """

    def __init__(self, message: str, *, migration: str) -> None:
        self.migration = migration
        super().__init__(message)


class ExportFailed(QuillError):
    """An export could not be written. The export before it is complete."""


class InvalidExport(QuillError, ValueError):
    """A folder does not contain a complete and unchanged DynamoDB export to S3."""


class LocalServerError(QuillError):
    """DynamoDB Local could not be found, fetched, started or stopped."""


class LeaseLost(QuillError):
    """The lease expired and another process took over. Nothing was written."""


def message_of(error: BaseException) -> str:
    """Return the message of an error, also of one whose ``__str__`` raises."""
    try:
        return str(error)
    except Exception as also:  # noqa: BLE001
        return f"no message: str() raised {type(also).__name__}"


# Tracebacks and pickles use the public module.
for _public in (QuillError, *QuillError.__subclasses__()):
    _public.__module__ = "quill_models.errors"
