"""The conversion of error responses and errors of botocore."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore import exceptions as boto

from quill_models import Backend, QuillError, Settings, errors
from quill_models.dynamodb.client import Client
from quill_models.dynamodb.service_errors import ConditionFailed, TransactionCanceled
from tests.unit.wire import Response, Wire, always, error_response, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

KEY = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}}
LOCAL = Settings(table="mine")
AWS = Settings(
    backend=Backend.AWS, region="eu-west-1", endpoint="https://dynamodb.example.org", table="mine"
)
URL = "http://localhost:8000"


def get_item(client: Client) -> dict[str, Any]:
    return client.request("get_item", TableName="mine", Key=KEY)


def failure(reply: Response, settings: Settings = LOCAL) -> QuillError:
    client = Client(settings)
    Wire(client, always(reply))
    with pytest.raises(QuillError) as caught:
        get_item(client)
    return caught.value


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ResourceNotFoundException", errors.TableNotFound),
        ("ProvisionedThroughputExceededException", errors.Throttled),
        ("RequestLimitExceeded", errors.Throttled),
        ("ThrottlingException", errors.Throttled),
        ("AccessDeniedException", errors.AccessDenied),
        ("ExpiredTokenException", errors.AccessDenied),
        ("IncompleteSignature", errors.AccessDenied),
        ("InvalidClientTokenId", errors.AccessDenied),
        ("InvalidSignatureException", errors.AccessDenied),
        ("MissingAuthenticationTokenException", errors.AccessDenied),
        ("UnrecognizedClientException", errors.AccessDenied),
        ("ValidationException", errors.RequestRejected),
        ("ResourceInUseException", errors.RequestRejected),
        ("SomethingNewException", errors.RequestRejected),
    ],
)
def test_request_error_response_raises_own_error(code: str, error: type[QuillError]) -> None:
    caught = failure(error_response(code))
    assert type(caught) is error
    assert "mine" in str(caught)
    if isinstance(caught, errors.RequestRejected):
        assert caught.code == code
    if error is not errors.TableNotFound:
        assert f"because of {code}" in str(caught)


def test_request_missing_table_names_how_to_create_it() -> None:
    message = str(failure(error_response("ResourceNotFoundException")))
    assert "mine does not exist at http://localhost:8000" in message
    assert "quill schema apply" in message


@pytest.mark.parametrize(
    "reply",
    [
        error_response("InternalServerError", 500),
        error_response("ServiceUnavailable", 503),
        error_response("InternalFailure", 500),
        error_response("SomethingNewException", 500),
        response(b"<html>Bad Gateway</html>", 502),
        response(b"<html>Service Unavailable</html>", 503),
        response(b"", 504),
    ],
    ids=["error", "unavailable", "failure", "new", "502 of a proxy", "503 of a proxy", "504"],
)
def test_request_server_failure_raises_answer_lost(reply: Response) -> None:
    caught = failure(reply)
    assert isinstance(caught, errors.AnswerLost)
    assert "Retry it; that is safe" in str(caught)


@pytest.mark.parametrize("status", [403, 501])
def test_request_web_page_is_named_in_the_error(status: int) -> None:
    caught = str(failure(response(b"<!DOCTYPE html><html>No.</html>", status)))
    assert f": a web page with status {status}. " in f"{caught} "
    assert caught.endswith(" Check that http://localhost:8000 is a DynamoDB endpoint.")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("No", ": No. "),
        ("No.", ": No. "),
        ("Why?", ": Why? "),
        ("No!", ": No! "),
        (" No.\n", ": No. "),
    ],
)
@pytest.mark.parametrize(
    "code",
    [
        "InternalServerError",
        "ThrottlingException",
        "AccessDeniedException",
        "ValidationException",
    ],
)
def test_request_error_message_ends_as_a_sentence(code: str, message: str, expected: str) -> None:
    status = 500 if code == "InternalServerError" else 400
    assert expected in f"{failure(error_response(code, status, message=message))} "


def test_request_overloaded_local_server_names_the_cause() -> None:
    overloaded = response(
        json.dumps(
            {
                "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
                "Message": "This action timed out because it too long waiting for a lock. "
                "This request will succeed in actual DynamoDB API.",
            }
        ).encode(),
        500,
    )
    caught = failure(overloaded)
    assert isinstance(caught, errors.AnswerLost)
    assert "quill local start --in-memory" in str(caught)


def test_request_failed_condition_carries_the_stored_item() -> None:
    stored = {**KEY, "name": {"S": "Ada"}}
    caught = failure(error_response("ConditionalCheckFailedException", Item=stored))
    assert isinstance(caught, ConditionFailed)
    assert caught.item == stored
    caught = failure(error_response("ConditionalCheckFailedException"))
    assert isinstance(caught, ConditionFailed)
    assert caught.item is None


def test_request_canceled_transaction_has_reasons_in_order() -> None:
    caught = failure(
        error_response(
            "TransactionCanceledException",
            CancellationReasons=[
                {"Code": "None"},
                {"Code": "ConditionalCheckFailed", "Item": KEY, "Message": "no"},
                {"Code": "TransactionConflict"},
            ],
        )
    )
    assert isinstance(caught, TransactionCanceled)
    assert caught.reasons == [
        (None, None),
        ("ConditionalCheckFailed", KEY),
        ("TransactionConflict", None),
    ]
    assert "ConditionalCheckFailed, TransactionConflict" in str(caught)


def test_request_other_server_raises_request_rejected() -> None:
    # Otherwise a write to another web server on port 8000 would be `created`.
    assert "did not respond like DynamoDB" in str(failure(response(b"<html>Welcome</html>")))


@pytest.mark.parametrize(
    "error",
    [
        boto.EndpointConnectionError(endpoint_url=URL),
        boto.ConnectTimeoutError(endpoint_url=URL),
        boto.ProxyConnectionError(proxy_url="http://proxy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_request_unreachable_server_raises_server_unreachable(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = failure(error)
    assert type(caught) is errors.ServerUnreachable
    assert caught.__cause__ is error
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SK")
    assert "Check the region, the network and the VPC" in str(failure(error, AWS))


@pytest.mark.parametrize(
    "error",
    [
        boto.ConnectionClosedError(endpoint_url=URL),
        boto.ReadTimeoutError(endpoint_url=URL),
        boto.ResponseStreamingError(error="cut"),
        boto.HTTPClientError(error="cut"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_request_lost_response_raises_answer_lost(error: Exception) -> None:
    caught = failure(error)
    assert type(caught) is errors.AnswerLost
    assert "get_item" in str(caught)
    assert "Retry it; that is safe" in str(caught)


@pytest.mark.parametrize(
    "error",
    [
        boto.NoCredentialsError(),
        boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        boto.CredentialRetrievalError(provider="sso", error_msg="expired"),
        boto.TokenRetrievalError(provider="sso", error_msg="expired"),
        boto.UnauthorizedSSOTokenError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_request_unusable_credentials_raise_access_denied(error: Exception) -> None:
    caught = failure(error, AWS)
    assert type(caught) is errors.AccessDenied
    assert "No usable AWS credentials were found" in str(caught)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "[SSL: WRONG_VERSION_NUMBER] wrong version number",
            "begin DYNAMODB_ENDPOINT with http://",
        ),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "Set AWS_CA_BUNDLE"),
    ],
)
def test_request_failed_tls_raises_server_unreachable(message: str, expected: str) -> None:
    error = boto.SSLError(endpoint_url=URL, error=OSError(message))
    caught = failure(error)
    assert type(caught) is errors.ServerUnreachable
    assert message in str(caught)
    assert expected in str(caught)
    assert "docker compose up" not in str(caught)


def test_request_failed_tls_of_aws_names_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SK")
    error = boto.SSLError(endpoint_url=URL, error=OSError("EOF"))
    message = str(failure(error, Settings(backend=Backend.AWS, region="eu-west-1", table="mine")))
    assert "Check the region, the network and the VPC." in message
    assert "DYNAMODB_ENDPOINT" not in message


@pytest.mark.parametrize("error", [boto.ReadTimeoutError(endpoint_url=URL)])
def test_request_without_response_names_the_endpoint_setting(error: Exception) -> None:
    assert "check http or https, host and port" in str(failure(error))


@pytest.mark.parametrize(
    "message",
    [
        # Messages of DynamoDB Local 3.3.0.
        "The table does not have the specified index: gsi3",
        "The number of conditions on the keys is invalid",
        "Query key condition not supported",
        "One of the required keys was not given a value",
        "One or more parameter values were invalid: Type mismatch for key",
        "Condition parameter type does not match schema type",
        # Messages of DynamoDB.
        "The provided key element does not match the schema",
        "Query condition missed key schema element: id",
        "One or more parameter values were invalid: Missing the key id in the item",
    ],
)
def test_request_other_schema_raises_schema_mismatch(message: str) -> None:
    caught = failure(error_response("ValidationException", message=message))
    assert type(caught) is errors.SchemaMismatch
    assert message in str(caught)
    assert "mine at http://localhost:8000" in str(caught)
    assert "quill schema diff" in str(caught)


def test_request_other_botocore_error_raises_own_error() -> None:
    caught = failure(boto.UnknownSignatureVersionError(signature_version="9"))
    assert type(caught) is errors.RequestRejected
    assert "get_item at http://localhost:8000 failed" in str(caught)
