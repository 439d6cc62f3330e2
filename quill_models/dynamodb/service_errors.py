"""Conversion of errors of botocore and DynamoDB into errors of this package."""

from __future__ import annotations

from http.client import responses

from botocore import exceptions as boto

from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.transport import Response
from quill_models.settings import Backend, Settings
from quill_models.values.errors import (
    AccessDenied,
    AnswerLost,
    ConfigurationError,
    QuillError,
    RequestRejected,
    SchemaMismatch,
    ServerUnreachable,
    TableNotFound,
    Throttled,
)

__all__ = [
    "ConditionFailed",
    "TransactionCanceled",
    "not_dynamodb",
    "other_schema",
    "refused",
    "translated",
]

_THROTTLED = {
    "TransactionConflictException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "LimitExceededException",
}
_DENIED = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}

# Messages of DynamoDB and DynamoDB Local if a table has other keys or indexes than a request uses.
# No value in a request of this package causes one of them.
_OTHER_SCHEMA = (
    "does not have the specified index",
    "key element does not match the schema",
    "number of conditions on the keys is invalid",
    "Query condition missed key schema element",
    "Query key condition not supported",
    "Missing the key ",
    "Type mismatch for key",
    "Condition parameter type does not match schema type",
    "One of the required keys was not given a value",
)

# The message of DynamoDB Local after ten seconds, and the usual cause.
_LOCK_TIMEOUT = "waiting for a lock"
_OVERLOADED = (
    " This DynamoDB Local is overloaded, because each write scans the stream records of all tables "
    "it ever had. Start a new one (quill local start --in-memory), or use tables without a stream."
)


class ConditionFailed(QuillError):
    """The condition of a single write failed. ``item`` is the stored item, if there is one.

    Repositories convert it into an outcome.
    """

    def __init__(self, item: RawItem | None) -> None:
        self.item = item
        super().__init__("the condition of the write failed")


class TransactionCanceled(QuillError):
    """A transaction was cancelled. Repositories convert it into outcomes.

    Attributes:
        reasons: For each action the code, or None if it did not fail, and the stored item if its
            condition failed.
    """

    def __init__(self, reasons: list[tuple[str | None, RawItem | None]]) -> None:
        self.reasons = reasons
        codes = ", ".join(sorted({code for code, _ in reasons if code}))
        super().__init__(f"the transaction was canceled: {codes}")


def translated(error: Exception | None, operation: str, settings: Settings) -> QuillError:
    """Return the error of this package for an error of botocore."""
    cause = _sentence(error)
    endpoint = settings.endpoint or f"AWS ({settings.region or 'default region'})"
    match error:
        case boto.SSLError() if "CERTIFICATE_VERIFY_FAILED" in cause:
            return ServerUnreachable(
                f"The certificate of {endpoint} is not trusted: {cause} Set AWS_CA_BUNDLE to a "
                "file with the certificate of its authority."
            )
        case boto.SSLError() if settings.endpoint:
            return ServerUnreachable(
                f"The server at {endpoint} does not use TLS: {cause} If it uses plain HTTP, as "
                "DynamoDB Local does, begin DYNAMODB_ENDPOINT with http:// instead of https://."
            )
        case boto.ConnectionError() if settings.backend is Backend.AWS:
            also = " and DYNAMODB_ENDPOINT" if settings.endpoint else ""
            return ServerUnreachable(
                f"{endpoint} did not respond: {cause} Check the region, the network and the "
                f"VPC{also}."
            )
        case boto.ConnectionError():
            return ServerUnreachable(
                f"No DynamoDB responds at {endpoint} (DYNAMODB_ENDPOINT). Start one, or use "
                "another:\n  docker compose up -d      with Docker\n"
                "  quill local start         without Docker\n"
                "  DYNAMODB_ENDPOINT=…       a server that runs elsewhere"
            )
        case boto.HTTPClientError():
            hint = " If no request succeeds, check http or https, host and port of the endpoint."
            return AnswerLost(
                f"{endpoint} accepted the request {operation}, but the response was lost: {cause} "
                "The request may have succeeded. Retry it; that is safe."
                f"{hint if settings.endpoint else ''}"
            )
        case _:
            failed = f"{operation} at {endpoint} failed: {cause}"
            return _configuration_error(error, cause) or RequestRejected(failed, code="ClientError")


def _configuration_error(error: Exception | None, cause: str) -> QuillError | None:
    match error:
        case boto.NoRegionError():
            return ConfigurationError(
                "DATA_BACKEND is aws, but there is no region. Set AWS_REGION, or a region in the "
                "AWS profile."
            )
        case boto.InvalidRegionError():
            # The settings have checked AWS_REGION.
            return ConfigurationError(
                f"The region of the AWS profile is invalid: {cause} Set AWS_REGION, or fix the "
                "profile."
            )
        case boto.ProfileNotFound(kwargs={"profile": profile}):
            return AccessDenied(
                f"The AWS profile '{profile}' (AWS_PROFILE) is not in the AWS configuration files. "
                "Set AWS_PROFILE to a profile that aws configure list-profiles shows, or unset it."
            )
        case boto.ConfigParseError() | boto.InvalidConfigError():
            return ConfigurationError(
                f"The AWS configuration is invalid: {cause} Fix the file, or select another one "
                "with AWS_CONFIG_FILE or AWS_PROFILE."
            )
        case (
            boto.NoCredentialsError()
            | boto.PartialCredentialsError()
            | boto.CredentialRetrievalError()
            | boto.TokenRetrievalError()
            | boto.SSOError()
        ):
            return AccessDenied(
                f"No usable AWS credentials were found: {cause} Provide them by environment, "
                "profile, container or instance role. DATA_BACKEND=dynamodb-local needs none."
            )
        case _:
            return None


def _sentence(error: object) -> str:
    """Return the message of an error as a sentence that another sentence can follow."""
    text = str(error).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def refused(response: Response, operation: str, settings: Settings) -> QuillError:
    """Return the error of this package for a response with an error status."""
    code, document = response.code or "", response.document or {}
    what, endpoint = f"{operation} on table {settings.table}", settings.endpoint or "AWS"
    message, check = _message(response) or code, ""
    if "<html" in message.lower():
        message = f"a web page with status {response.status}."
        check = f" Check that {endpoint} is a DynamoDB endpoint."
    cause = _sentence(message)
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(document.get("Item"))
    if code == "TransactionCanceledException":
        return TransactionCanceled(
            [
                (None if reason["Code"] == "None" else reason["Code"], reason.get("Item"))
                for reason in document.get("CancellationReasons", [])
            ]
        )
    if code == "ResourceNotFoundException":
        return TableNotFound(
            f"The table {settings.table} does not exist at {endpoint}. Create it: "
            "quill schema apply"
        )
    if code in _THROTTLED:
        return Throttled(f"{what} was throttled until its deadline: {cause}{check}")
    if code in _DENIED:
        return AccessDenied(f"{what} is not allowed: {cause}{check}")
    if response.status >= 500 or (code.isdigit() and message.startswith("{")):
        # The latter is an error of DynamoDB that was cut in transit.
        return AnswerLost(
            f"{what} failed in the server: {cause} The request may have succeeded. Retry it; that "
            f"is safe.{check}{_OVERLOADED if _LOCK_TIMEOUT in message else ''}"
        )
    if code == "ValidationException" and any(words in message for words in _OTHER_SCHEMA):
        return other_schema(f"{operation} was rejected: {cause}", settings)
    return RequestRejected(f"DynamoDB rejected {what}: {code}: {cause}{check}", code=code)


def _message(response: Response) -> str:
    if (document := response.document) is not None:
        return str(document.get("message") or document.get("Message") or "")
    text = response.body.decode(errors="replace").strip()
    is_page = not text or text.startswith("<html>")
    return responses.get(response.status, "") if response.status >= 500 and is_page else text


def other_schema(why: str, settings: Settings) -> SchemaMismatch:
    """Return the error for a table that differs from the declaration of the models."""
    return SchemaMismatch(
        f"The table {settings.table} at {settings.endpoint or 'AWS'} differs from the declaration "
        f"of the models: {_sentence(why)} Show the differences: quill schema diff"
    )


def not_dynamodb(content_type: str, operation: str, settings: Settings) -> RequestRejected:
    """Return the error for a response that is not from DynamoDB."""
    return RequestRejected(
        f"{settings.endpoint or 'AWS'} did not respond like DynamoDB: the response to {operation} "
        f"has the content type {content_type or 'none'}. Check DYNAMODB_ENDPOINT.",
        code="NoDynamoDB",
    )
