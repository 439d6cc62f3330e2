"""Errors of botocore and of DynamoDB as ours: what happened, where, and what to do."""

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
    "no_dynamodb",
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

# What DynamoDB and DynamoDB Local say where a table has other keys or other indexes than those that
# a request is made for. No value in a request of ours brings any of them about.
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

# What DynamoDB Local says after ten seconds, and why it mostly has to.
_WAITED = "waiting for a lock"
_SLOW = (
    " This DynamoDB Local is overloaded: each write goes through the stream records of all tables "
    "that it ever had. A new one (quill local start --in-memory) or tables without a stream help."
)


class ConditionFailed(QuillError):
    """A condition kept a single write out: of ``item``, as it is stored, if there is one.

    Repositories turn it into an outcome.
    """

    def __init__(self, item: RawItem | None) -> None:
        self.item = item
        super().__init__("the condition of the write does not hold")


class TransactionCanceled(QuillError):
    """A transaction was not done. Repositories turn it into outcomes.

    Attributes:
        reasons: The code of each action (None if it was not at fault), and the item as it is
            stored, if a condition on it failed.
    """

    def __init__(self, reasons: list[tuple[str | None, RawItem | None]]) -> None:
        self.reasons = reasons
        codes = ", ".join(sorted({code for code, _ in reasons if code}))
        super().__init__(f"the transaction was canceled: {codes}")


def translated(error: Exception | None, operation: str, settings: Settings) -> QuillError:
    """The error of ours for one of botocore's."""
    said = _said(error)
    where = settings.endpoint or f"AWS ({settings.region or 'default region'})"
    match error:
        case boto.SSLError() if "CERTIFICATE_VERIFY_FAILED" in said:
            return ServerUnreachable(
                f"The certificate of {where} is not trusted: {said} Set AWS_CA_BUNDLE to a file "
                "with the certificate of its authority."
            )
        case boto.SSLError() if settings.endpoint:
            return ServerUnreachable(
                f"What answers at {where} speaks no TLS: {said} If it speaks plain HTTP, as "
                "DynamoDB Local does, begin DYNAMODB_ENDPOINT with http:// and not https://."
            )
        case boto.ConnectionError() if settings.backend is Backend.AWS:
            also = " and DYNAMODB_ENDPOINT" if settings.endpoint else ""
            return ServerUnreachable(
                f"No answer from {where}: {said} Check the region, the network and the VPC{also}."
            )
        case boto.ConnectionError():
            return ServerUnreachable(
                f"No DynamoDB answers at {where} (DYNAMODB_ENDPOINT). Three ways to start one:\n"
                "  docker compose up -d      with Docker\n"
                "  quill local start         without Docker\n"
                "  DYNAMODB_ENDPOINT=…       for one that runs elsewhere"
            )
        case boto.HTTPClientError():
            never = " Where none ever comes, check DYNAMODB_ENDPOINT: http or https, host, port."
            return AnswerLost(
                f"{where} took the request {operation} but its answer did not arrive: {said} "
                "Whether it was done is not known; sending it again is safe."
                f"{never if settings.endpoint else ''}"
            )
        case _:
            failed = f"{operation} at {where} failed: {said}"
            return _of_set_up(error, said) or RequestRejected(failed, code="ClientError")


def _of_set_up(error: Exception | None, said: str) -> QuillError | None:
    match error:
        case boto.NoRegionError():
            return ConfigurationError(
                "DATA_BACKEND is 'aws' and no region is known. Set AWS_REGION, or a region in "
                "the AWS profile."
            )
        case boto.InvalidRegionError():
            # What AWS_REGION says has been looked at by the settings.
            return ConfigurationError(
                f"The region of the AWS profile cannot be one: {said} Set AWS_REGION, or mend the "
                "profile."
            )
        case boto.ProfileNotFound(kwargs={"profile": profile}):
            return AccessDenied(
                f"The AWS profile {profile!r} (AWS_PROFILE) is in none of the AWS configuration "
                "files. Set AWS_PROFILE to one that is, as aws configure list-profiles shows them, "
                "or unset it."
            )
        case boto.ConfigParseError() | boto.InvalidConfigError():
            return ConfigurationError(
                f"The AWS configuration is wrong: {said} Mend the file, or name another one by "
                "AWS_CONFIG_FILE or AWS_PROFILE."
            )
        case (
            boto.NoCredentialsError()
            | boto.PartialCredentialsError()
            | boto.CredentialRetrievalError()
            | boto.TokenRetrievalError()
            | boto.SSOError()
        ):
            return AccessDenied(
                f"No usable AWS credentials were found: {said} The standard AWS chain is asked "
                "(environment, profile, container or instance role); DATA_BACKEND=dynamodb-local "
                "needs none."
            )
        case _:
            return None


def _said(error: object) -> str:
    """What somebody else's error says, as a sentence of its own after which another may follow."""
    text = str(error).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def refused(response: Response, operation: str, settings: Settings) -> QuillError:
    """The error of ours for a response with an error status."""
    code, answer = response.code or "", response.answer or {}
    what, where = f"{operation} on {settings.table!r}", settings.endpoint or "AWS"
    message, check = _message(response) or code, ""
    if "<html" in message.lower():
        message = f"a web page with status {response.status}."
        check = f" Is it DynamoDB that answers at {where}?"
    said = _said(message)
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(answer.get("Item"))
    if code == "TransactionCanceledException":
        return TransactionCanceled(
            [
                (None if reason["Code"] == "None" else reason["Code"], reason.get("Item"))
                for reason in answer.get("CancellationReasons", [])
            ]
        )
    if code == "ResourceNotFoundException":
        return TableNotFound(
            f"The table {settings.table!r} does not exist at {where}. Create it with: quill schema "
            "apply"
        )
    if code in _THROTTLED:
        return Throttled(f"{what} was throttled until its deadline: {said}{check}")
    if code in _DENIED:
        return AccessDenied(f"{what} is not allowed: {said}{check}")
    if response.status >= 500 or (code.isdigit() and message.startswith("{")):
        # The latter is DynamoDB's refusal, cut off on its way.
        return AnswerLost(
            f"{what} failed in the server: {said} Whether it was done is not known; sending it "
            f"again is safe.{check}{_SLOW if _WAITED in message else ''}"
        )
    if code == "ValidationException" and any(words in message for words in _OTHER_SCHEMA):
        return other_schema(f"{operation} was refused: {said}", settings)
    return RequestRejected(f"DynamoDB refused {what}: {code}: {said}{check}", code=code)


def _message(response: Response) -> str:
    if (answer := response.answer) is not None:
        return str(answer.get("message") or answer.get("Message") or "")
    text = response.body.decode(errors="replace").strip()
    is_page = not text or text.startswith("<html>")
    return responses.get(response.status, "") if response.status >= 500 and is_page else text


def other_schema(why: str, settings: Settings) -> SchemaMismatch:
    """The error for a table that is another one than the models declare."""
    return SchemaMismatch(
        f"The table {settings.table!r} at {settings.endpoint or 'AWS'} is not the one that the "
        f"models declare: {_said(why)} See what differs with: quill schema diff"
    )


def no_dynamodb(content_type: str, operation: str, settings: Settings) -> RequestRejected:
    """The error for an answer that is none of DynamoDB's."""
    return RequestRejected(
        f"What answers at {settings.endpoint or 'AWS'} is no DynamoDB: its answer to "
        f"{operation} is {content_type or 'of no type'}. Check DYNAMODB_ENDPOINT.",
        code="NoDynamoDB",
    )
