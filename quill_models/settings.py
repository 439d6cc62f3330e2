"""Settings. No other module reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from quill_models.values.errors import ConfigurationError

__all__ = ["Backend", "Settings"]

_DEFAULT_ENDPOINT = "http://localhost:8000"
_AWS_MANAGED_KEY = "aws-managed"

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE_NAME = r"[A-Za-z0-9_.-]{3,255}"
# A valid part of a host name; botocore rejects anything else.
_REGION = r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
# Aliases are rejected, because DynamoDB returns the ARN of the key, which cannot be compared.
_KMS_KEY_ID = "mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KMS_KEY = rf"{_AWS_MANAGED_KEY}|(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{{12}}:key/)?({_KMS_KEY_ID})"
# https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html#tag-conventions
_TAG_KEY, _TAG_VALUE = re.compile(r"[\w .:/+@-]{1,128}"), re.compile(r"[\w .:/=+@-]{0,256}")


class Backend(StrEnum):
    """The location of the table: DynamoDB Local or AWS."""

    LOCAL = "dynamodb-local"
    AWS = "aws"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a connection.

    Attributes:
        backend: ``DATA_BACKEND``: Location of the table: ``dynamodb-local`` or ``aws``.
            Default: ``dynamodb-local``.
        endpoint: ``DYNAMODB_ENDPOINT``: URL of the server. On ``aws``, set it only for a VPC
            endpoint or for another engine that is compatible with DynamoDB. Default:
            ``http://localhost:8000``; on ``aws``, the endpoint of AWS (``None``).
        table: ``QUILL_TABLE``: Name of the table. Default: ``quill``.
        region: ``AWS_REGION``, else ``AWS_DEFAULT_REGION``: AWS region of the table. Default:
            ``us-west-2``; on ``aws``, the region of the AWS profile or of the machine (``None``).
        webhook_retention: ``QUILL_WEBHOOK_RETENTION_DAYS``: Number of days that webhook events are
            kept; 0 for no limit (``None``). Default: ``30``.
        job_retention: ``QUILL_JOB_RETENTION_DAYS``: Number of days that job runs are kept; 0 for no
            limit (``None``). Default: ``90``.
        increment_retention: ``QUILL_INCREMENT_RETENTION_DAYS``: Number of days that the table
            remembers which increments were added to a metric; 0 for no limit (``None``). If an
            increment is repeated later, it counts again. Default: ``0``.
        max_attempts: ``QUILL_MAX_ATTEMPTS``: Number of failed attempts after which a webhook event
            is ``dead``. Default: ``5``.
        deadline: ``QUILL_DEADLINE_SECONDS``: Number of seconds in which a request is retried if the
            table throttles it, fails or does not respond. The first two retries are sent even
            after that time; 0 turns retries off. Default: ``15``.
        protect_table: ``QUILL_PROTECT_TABLE``: Whether ``quill schema apply`` turns on
            point-in-time recovery and deletion protection: ``true`` or ``false``. Default:
            ``false``; on ``aws``, ``true`` (``None``).
        kms_key: ``QUILL_KMS_KEY``: Key with which ``quill schema apply`` encrypts the table: the id
            or ARN of a KMS key, or ``aws-managed`` for the key that AWS manages in the account.
            Default: the encryption stays unchanged (``None``).
        tags: ``QUILL_TAGS``: Tags that ``quill schema apply`` sets on the table, such as
            ``team=data,stage=live``. Default: none.
        local_home: ``DYNAMODB_LOCAL_HOME``: Folder that contains ``DynamoDBLocal.jar``. Default:
            the file is downloaded once (``None``).
        java_home: ``JAVA_HOME``: Java installation that ``quill local start`` tries first. Default:
            Java on the path, then Java of the extra ``local`` (``None``).

    Raises:
        ConfigurationError: A value is not allowed. The message names the variable.
    """

    AWS_MANAGED_KEY: ClassVar[str] = _AWS_MANAGED_KEY

    backend: Backend = Backend.LOCAL
    endpoint: str | None = None
    table: str = "quill"
    region: str | None = None
    webhook_retention: timedelta | None = timedelta(days=30)
    job_retention: timedelta | None = timedelta(days=90)
    increment_retention: timedelta | None = None
    max_attempts: int = 5
    deadline: timedelta = timedelta(seconds=15)
    protect_table: bool | None = None
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    local_home: Path | None = None
    java_home: Path | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "backend", Backend(self.backend))
        except ValueError:
            allowed = " or ".join(Backend)
            raise ConfigurationError(
                f"DATA_BACKEND must be {allowed}, got '{self.backend}'."
            ) from None
        if self.max_attempts < 1:
            raise ConfigurationError(f"max_attempts must be at least 1, got {self.max_attempts}.")
        if self.deadline < timedelta(0):
            raise ConfigurationError(f"deadline must not be negative, got {self.deadline}.")
        for name in ("webhook_retention", "job_retention", "increment_retention"):
            retention = getattr(self, name)
            if retention is not None and retention < timedelta(0):
                raise ConfigurationError(f"{name} must be 0 (no limit) or more, got {retention}.")
            object.__setattr__(self, name, retention or None)
        if self.kms_key is not None:
            allowed = f"the id or the ARN of a key (not an alias), or {_AWS_MANAGED_KEY}"
            _matched("QUILL_KMS_KEY", self.kms_key, _KMS_KEY, allowed)
        object.__setattr__(self, "tags", _checked_tags(self.tags))
        if self.backend is Backend.LOCAL:
            object.__setattr__(self, "endpoint", self.endpoint or _DEFAULT_ENDPOINT)
            object.__setattr__(self, "region", self.region or "us-west-2")
        if self.endpoint is not None:
            _check_endpoint(self.endpoint)
        if self.region is not None:
            allowed = "letters, digits and -, such as eu-west-1"
            _matched("AWS_REGION", self.region, _REGION, allowed)
        allowed = "3 to 255 letters, digits, _, - and ."
        _matched("QUILL_TABLE", self.table, _TABLE_NAME, allowed)

    @property
    def protected(self) -> bool:
        """Whether the table should have point-in-time recovery and deletion protection."""
        if self.protect_table is None:
            return self.backend is Backend.AWS
        return self.protect_table

    @classmethod
    def load(
        cls, env_file: str | Path | None = ".env", environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Read the settings from the environment, then the file, then the defaults.

        Args:
            env_file: A file of ``NAME=value`` lines, which need not exist and is not exported into
                the process. ``None`` for no file. AWS credentials do not belong in it: the
                standard AWS chain does not read this file.
            environ: The environment; by default that of this process.

        Raises:
            ConfigurationError: A value is not allowed.

        Cost:
            No request.
        """
        value = _reader(env_file, environ)
        found: dict[str, Any] = {}
        for name, (variables, parsed) in _VARIABLES.items():
            text = value(*variables)
            if text is not None:
                found[name] = parsed(variables[0], text)
        return cls(**found)

    @staticmethod
    def given_endpoint(
        env_file: str | Path | None = ".env", environ: Mapping[str, str] | None = None
    ) -> str | None:
        """Return ``DYNAMODB_ENDPOINT``, or ``None``. See `load` for the arguments."""
        return _reader(env_file, environ)("DYNAMODB_ENDPOINT")


def _reader(
    env_file: str | Path | None, environ: Mapping[str, str] | None
) -> Callable[..., str | None]:
    """Return a function that reads variables: first from the environment, then from the file."""
    layers: list[Mapping[str, str]] = [os.environ if environ is None else environ]
    if env_file is not None:
        layers.append(_read_env_file(Path(env_file)))

    def value(*names: str) -> str | None:
        for layer in layers:
            for name in names:
                if name in layer:
                    return layer[name].strip() or None
        return None

    return value


def _read_env_file(path: Path) -> dict[str, str]:
    try:
        if not path.exists():
            return {}
        # Imported only if there is a file, which is rare in production.
        from dotenv import dotenv_values  # noqa: PLC0415

        # No interpolation: a `$` in a value is a `$`.
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The settings file {path} cannot be read: {error}") from error
    return {name: text for name, text in found.items() if text is not None}


def _matched(name: str, value: object, pattern: str, allowed: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ConfigurationError(f"{name} must be {allowed}, got '{value}'.")
    return value


def _check_endpoint(endpoint: str) -> None:
    problem = ConfigurationError(
        f"DYNAMODB_ENDPOINT must be an http or https URL such as {_DEFAULT_ENDPOINT}, got "
        f"'{endpoint}'."
    )
    try:
        parts = urlsplit(endpoint)
        port_is_valid = parts.port is None or parts.port > 0
    except (ValueError, TypeError, AttributeError):
        raise problem from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise problem


def _days(name: str, text: str) -> timedelta:
    # With 36,500 days, every expiry is within the years of a datetime.
    up_to_36500 = "[0-9]{1,4}|[0-2][0-9]{4}|3[0-5][0-9]{3}|36[0-4][0-9]{2}|36500"
    allowed = "a whole number of days from 0 (no limit) to 36500"
    return timedelta(days=int(_matched(name, text, up_to_36500, allowed)))


def _attempts(name: str, text: str) -> int:
    return int(_matched(name, text, "[1-9][0-9]{0,3}", "a whole number from 1 to 9999"))


def _seconds(name: str, text: str) -> timedelta:
    allowed = "a number of seconds from 0 (one attempt) to 9999"
    return timedelta(seconds=float(_matched(name, text, r"[0-9]{1,4}(\.[0-9]{1,3})?", allowed)))


def _switch(name: str, text: str) -> bool:
    return _matched(name, text, "true|false", "true or false") == "true"


def _tags(name: str, text: str) -> dict[str, str]:
    pairs = [each.strip().partition("=") for each in text.split(",")]
    tags = {key.strip(): value.strip() for key, _, value in pairs}
    if len(tags) != len(pairs) or not all(sign for _, sign, _ in pairs):
        raise ConfigurationError(
            f"{name} must be different names with values, such as team=data,stage=live, got "
            f"'{text}'."
        )
    return tags


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value) or key[:4] == "aws:":
            raise ConfigurationError(
                f"QUILL_TAGS has '{key}={value}'. Use letters, digits, spaces and .:/+@-_ (in "
                "values also =), and no name that starts with aws:."
            )
    return dict(tags)


def _text(_name: str, text: str) -> str:
    return text


def _folder(_name: str, text: str) -> Path:
    return Path(text).expanduser()


# The variables of each field, the first one set decides, and the conversion of their text.
_VARIABLES: dict[str, tuple[tuple[str, ...], Callable[[str, str], Any]]] = {
    "backend": (("DATA_BACKEND",), _text),
    "endpoint": (("DYNAMODB_ENDPOINT",), _text),
    "table": (("QUILL_TABLE",), _text),
    "region": (("AWS_REGION", "AWS_DEFAULT_REGION"), _text),
    "webhook_retention": (("QUILL_WEBHOOK_RETENTION_DAYS",), _days),
    "job_retention": (("QUILL_JOB_RETENTION_DAYS",), _days),
    "increment_retention": (("QUILL_INCREMENT_RETENTION_DAYS",), _days),
    "max_attempts": (("QUILL_MAX_ATTEMPTS",), _attempts),
    "deadline": (("QUILL_DEADLINE_SECONDS",), _seconds),
    "protect_table": (("QUILL_PROTECT_TABLE",), _switch),
    "kms_key": (("QUILL_KMS_KEY",), _text),
    "tags": (("QUILL_TAGS",), _tags),
    "local_home": (("DYNAMODB_LOCAL_HOME",), _folder),
    "java_home": (("JAVA_HOME",), _folder),
}
