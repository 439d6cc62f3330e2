from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore import exceptions as boto

from quill_models import Backend, QuillError, Settings, errors
from quill_models.dynamodb.client import Client
from quill_models.dynamodb.service_errors import ConditionFailed, TransactionCanceled
from tests.unit.wire import Answer, Wire, always, answer, closed_port, noticing, refusal

pytestmark = pytest.mark.usefixtures("isolated", "pauses")

KEY = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}}
LOCAL = Settings(table="mine")
AWS = Settings(
    backend=Backend.AWS, region="eu-west-1", endpoint="https://dynamodb.example.org", table="mine"
)
URL = "http://localhost:8000"


def ask(client: Client) -> dict[str, Any]:
    return client.request("get_item", TableName="mine", Key=KEY)


def failure(reply: Answer, settings: Settings = LOCAL) -> QuillError:
    client = Client(settings)
    Wire(client, always(reply))
    with pytest.raises(QuillError) as caught:
        ask(client)
    return caught.value


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def plain_server() -> Iterator[str]:
    """A web server without TLS; its endpoint."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_request_success_returns_the_document() -> None:
    client = Client(LOCAL)
    wire = Wire(client, always({"Item": KEY}))
    assert ask(client)["Item"] == KEY
    assert wire.sent == [("GetItem", {"TableName": "mine", "Key": KEY})]


# Error responses.


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
    caught = failure(refusal(code))
    assert type(caught) is error
    assert "mine" in str(caught)
    if isinstance(caught, errors.RequestRejected):
        assert caught.code == code
    if error is not errors.TableNotFound:
        assert f"because of {code}" in str(caught)


def test_request_missing_table_names_how_to_create_it() -> None:
    message = str(failure(refusal("ResourceNotFoundException")))
    assert "mine does not exist at http://localhost:8000" in message
    assert "quill schema apply" in message


@pytest.mark.parametrize(
    "reply",
    [
        refusal("InternalServerError", 500),
        refusal("ServiceUnavailable", 503),
        refusal("InternalFailure", 500),
        refusal("SomethingNewException", 500),
        answer(b"<html>Bad Gateway</html>", 502),
        answer(b"<html>Service Unavailable</html>", 503),
        answer(b"", 504),
    ],
    ids=["error", "unavailable", "failure", "new", "502 of a proxy", "503 of a proxy", "504"],
)
def test_request_server_failure_raises_answer_lost(reply: Answer) -> None:
    caught = failure(reply)
    assert isinstance(caught, errors.AnswerLost)
    assert "Retry it; that is safe" in str(caught)


@pytest.mark.parametrize("status", [403, 501])
def test_request_web_page_is_named_in_the_error(status: int) -> None:
    caught = str(failure(answer(b"<!DOCTYPE html><html>No.</html>", status)))
    assert f": a web page with status {status}. " in f"{caught} "
    assert caught.endswith(" Check that http://localhost:8000 is a DynamoDB endpoint.")


@pytest.mark.parametrize(
    ("said", "shown"),
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
def test_request_error_message_ends_as_a_sentence(code: str, said: str, shown: str) -> None:
    status = 500 if code == "InternalServerError" else 400
    assert shown in f"{failure(refusal(code, status, message=said))} "


def test_request_overloaded_local_server_names_the_cause() -> None:
    told = answer(
        json.dumps(
            {
                "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
                "Message": "This action timed out because it too long waiting for a lock. "
                "This request will succeed in actual DynamoDB API.",
            }
        ).encode(),
        500,
    )
    caught = failure(told)
    assert isinstance(caught, errors.AnswerLost)
    assert "quill local start --in-memory" in str(caught)


def test_request_failed_condition_carries_the_stored_item() -> None:
    stored = {**KEY, "name": {"S": "Ada"}}
    caught = failure(refusal("ConditionalCheckFailedException", Item=stored))
    assert isinstance(caught, ConditionFailed)
    assert caught.item == stored
    caught = failure(refusal("ConditionalCheckFailedException"))
    assert isinstance(caught, ConditionFailed)
    assert caught.item is None


def test_request_canceled_transaction_has_reasons_in_order() -> None:
    caught = failure(
        refusal(
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
    # A web server on port 8000, say: a write it took for a page would else be `created`.
    assert "did not respond like DynamoDB" in str(failure(answer(b"<html>Welcome</html>")))


# Connection errors.


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
    ("message", "told"),
    [
        (
            "[SSL: WRONG_VERSION_NUMBER] wrong version number",
            "begin DYNAMODB_ENDPOINT with http://",
        ),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "Set AWS_CA_BUNDLE"),
    ],
)
def test_request_failed_tls_raises_server_unreachable(message: str, told: str) -> None:
    error = boto.SSLError(endpoint_url=URL, error=OSError(message))
    caught = failure(error)
    assert type(caught) is errors.ServerUnreachable
    assert message in str(caught)
    assert told in str(caught)
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
        # Of DynamoDB.
        "The provided key element does not match the schema",
        "Query condition missed key schema element: id",
        "One or more parameter values were invalid: Missing the key id in the item",
    ],
)
def test_request_other_schema_raises_schema_mismatch(message: str) -> None:
    caught = failure(refusal("ValidationException", message=message))
    assert type(caught) is errors.SchemaMismatch
    assert message in str(caught)
    assert "mine at http://localhost:8000" in str(caught)
    assert "quill schema diff" in str(caught)


def test_request_other_botocore_error_raises_own_error() -> None:
    caught = failure(boto.UnknownSignatureVersionError(signature_version="9"))
    assert type(caught) is errors.RequestRejected
    assert "get_item at http://localhost:8000 failed" in str(caught)


# The real thing.


def test_request_closed_port_names_ways_to_start_a_server(pauses: list[float]) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    client = Client(Settings(endpoint=endpoint))
    with pytest.raises(errors.ServerUnreachable) as caught:
        ask(client)
    message = str(caught.value)
    assert f"No DynamoDB responds at {endpoint} (DYNAMODB_ENDPOINT)" in message
    for way in ("docker compose up", "quill local start", "DYNAMODB_ENDPOINT=…"):
        assert way in message
    # Had it waited: a person would have the message within seconds.
    assert sum(pauses) < 8


def test_request_localhost_ignores_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")
    client = Client(Settings(endpoint=f"http://127.0.0.1:{closed_port()}"))
    with pytest.raises(errors.ServerUnreachable) as caught:
        ask(client)
    assert isinstance(caught.value.__cause__, boto.EndpointConnectionError)


def test_request_aws_without_credentials_raises_access_denied() -> None:
    client = Client(Settings(backend=Backend.AWS, region="eu-west-1"))
    wire = Wire(client, always({}))
    with pytest.raises(errors.AccessDenied, match="No usable AWS credentials"):
        ask(client)
    assert wire.sent == []


def test_request_aws_without_region_raises_configuration_error() -> None:
    with pytest.raises(errors.ConfigurationError, match="Set AWS_REGION"):
        ask(Client(Settings(backend=Backend.AWS)))


def test_request_aws_missing_profile_raises_access_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(errors.AccessDenied, match=r"'no-such-profile' .AWS_PROFILE. is not in"):
        ask(Client(Settings(backend=Backend.AWS, region="eu-west-1")))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("[profile team]\nregion = no region\n", "'no region'.*Set AWS_REGION"),
        ("[profile team\nregion", "AWS configuration is invalid: .*config.*Fix the file"),
        (
            "[profile team]\nregion = eu-west-1\nrole_arn = arn:x\nsource_profile = gone\n",
            'AWS configuration is invalid: .*"gone".*Fix the file',
        ),
    ],
    ids=["region", "syntax", "source_profile"],
)
def test_request_aws_invalid_configuration_raises_configuration_error(
    monkeypatch: pytest.MonkeyPatch, isolated: Path, config: str, told: str
) -> None:
    (isolated / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(isolated / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    with pytest.raises(errors.ConfigurationError, match=told):
        ask(Client(Settings(backend=Backend.AWS)))


def test_request_tls_to_plain_server_names_http(plain_server: str) -> None:
    client = Client(Settings(endpoint=plain_server.replace("http:", "https:")))
    with pytest.raises(errors.ServerUnreachable, match=r"does not use TLS.*http://"):
        ask(client)


# Connections.


def test_client_before_first_request_creates_nothing() -> None:
    assert Client(LOCAL)._connection._botocore is None


def test_client_closed_opens_again() -> None:
    client = Client(LOCAL)
    first = client.botocore
    assert client.botocore is first
    client.close()
    client.close()
    assert client.botocore is not first


# Responses without botocore's parser.


def test_request_success_returns_what_json_has() -> None:
    item = {
        "pk": {"S": "é"},
        "n": {"N": "1.50"},
        "b": {"B": "aGk="},
        "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}},
    }
    client = Client(Settings())
    Wire(client, always({"Items": [item], "Count": 1}))
    found = client.request("query", TableName="quill")
    assert (found["Items"], found["Count"]) == ([item], 1)


def test_request_user_agent_is_that_of_botocore() -> None:
    client = Client(LOCAL)
    Wire(client, always({}))
    agents: list[str] = []
    with noticing(client.botocore, lambda request: agents.append(request.headers["User-Agent"])):
        ask(client)
    assert [each.partition("/")[0] for each in agents] == ["Botocore"]


def test_request_of_pynamodb_is_parsed_by_botocore() -> None:
    client = Client(Settings())
    Wire(client, always({"Item": {"b": {"B": "aGk="}}}))
    found = client.botocore.get_item(TableName="mine", Key=KEY)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert found["Item"] == {"b": {"B": b"hi"}}


@pytest.mark.parametrize("body", [b"[]", b"7", b"{", b"\xff"])
@pytest.mark.parametrize("kind", ["text/html", "application/x-amz-json-1.0"])
def test_request_response_without_document_raises(body: bytes, kind: str) -> None:
    client = Client(LOCAL)
    reply = answer(body)
    reply.headers["Content-Type"] = kind
    Wire(client, always(reply))
    with pytest.raises(errors.RequestRejected, match="did not respond like DynamoDB"):
        ask(client)


def test_clock_skew_after_response_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(Settings())
    assert client.clock_skew is None
    reply = answer({})
    reply.headers["Date"] = "Wed, 25 Nov 2026 12:00:00 GMT"
    Wire(client, always(reply))
    came = datetime(2026, 11, 25, 12, 0, 30, 500_000, tzinfo=UTC)
    monkeypatch.setattr("quill_models.dynamodb.client.system_clock", lambda: came)
    ask(client)
    assert client.clock_skew == timedelta(seconds=30)


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_clock_skew_without_date_returns_none(date: str | None) -> None:
    client = Client(Settings())
    reply = answer({})
    if date is not None:
        reply.headers["Date"] = date
    Wire(client, always(reply))
    ask(client)
    assert client.clock_skew is None


@pytest.mark.parametrize("operation", ["describe_table", "query", "scan"])
@pytest.mark.parametrize("reply", [{}, {"hello": [1]}, {"Table": {}}, {"Table": 7}])
def test_request_json_of_another_server_raises(operation: str, reply: dict[str, Any]) -> None:
    client = Client(LOCAL)
    Wire(client, always(reply))
    with pytest.raises(errors.RequestRejected, match="did not respond like DynamoDB"):
        client.request(operation, TableName="mine")
