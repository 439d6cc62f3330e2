"""The client: connections, settings of AWS, and responses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore import exceptions as boto

from quill_models import Backend, Settings, errors
from quill_models.dynamodb.client import Client
from tests.unit.wire import Wire, always, closed_port, noticing, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

KEY = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}}
LOCAL = Settings(table="mine")


def get_item(client: Client) -> dict[str, Any]:
    return client.request("get_item", TableName="mine", Key=KEY)


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
    assert get_item(client)["Item"] == KEY
    assert wire.sent == [("GetItem", {"TableName": "mine", "Key": KEY})]


def test_request_closed_port_names_ways_to_start_a_server(delays: list[float]) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    client = Client(Settings(endpoint=endpoint))
    with pytest.raises(errors.ServerUnreachable) as caught:
        get_item(client)
    message = str(caught.value)
    assert f"No DynamoDB responds at {endpoint} (DYNAMODB_ENDPOINT)" in message
    for way in ("docker compose up", "quill local start", "DYNAMODB_ENDPOINT=…"):
        assert way in message
    # The waits are short enough for an interactive user.
    assert sum(delays) < 8


def test_request_localhost_ignores_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")
    client = Client(Settings(endpoint=f"http://127.0.0.1:{closed_port()}"))
    with pytest.raises(errors.ServerUnreachable) as caught:
        get_item(client)
    assert isinstance(caught.value.__cause__, boto.EndpointConnectionError)


def test_request_aws_without_credentials_raises_access_denied() -> None:
    client = Client(Settings(backend=Backend.AWS, region="eu-west-1"))
    wire = Wire(client, always({}))
    with pytest.raises(errors.AccessDenied, match="No usable AWS credentials"):
        get_item(client)
    assert wire.sent == []


def test_request_aws_without_region_raises_configuration_error() -> None:
    with pytest.raises(errors.ConfigurationError, match="Set AWS_REGION"):
        get_item(Client(Settings(backend=Backend.AWS)))


def test_request_aws_missing_profile_raises_access_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(errors.AccessDenied, match=r"'no-such-profile' .AWS_PROFILE. is not in"):
        get_item(Client(Settings(backend=Backend.AWS, region="eu-west-1")))


@pytest.mark.parametrize(
    ("config", "message"),
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
    monkeypatch: pytest.MonkeyPatch, isolated: Path, config: str, message: str
) -> None:
    (isolated / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(isolated / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    with pytest.raises(errors.ConfigurationError, match=message):
        get_item(Client(Settings(backend=Backend.AWS)))


def test_request_tls_to_plain_server_names_http(plain_server: str) -> None:
    client = Client(Settings(endpoint=plain_server.replace("http:", "https:")))
    with pytest.raises(errors.ServerUnreachable, match=r"does not use TLS.*http://"):
        get_item(client)


def test_client_before_first_request_creates_nothing() -> None:
    assert Client(LOCAL)._connection._botocore is None


def test_client_closed_opens_again() -> None:
    client = Client(LOCAL)
    first = client.botocore
    assert client.botocore is first
    client.close()
    client.close()
    assert client.botocore is not first


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
        get_item(client)
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
    reply = response(body)
    reply.headers["Content-Type"] = kind
    Wire(client, always(reply))
    with pytest.raises(errors.RequestRejected, match="did not respond like DynamoDB"):
        get_item(client)


def test_clock_skew_after_response_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(Settings())
    assert client.clock_skew is None
    reply = response({})
    reply.headers["Date"] = "Wed, 25 Nov 2026 12:00:00 GMT"
    Wire(client, always(reply))
    arrived = datetime(2026, 11, 25, 12, 0, 30, 500_000, tzinfo=UTC)
    monkeypatch.setattr("quill_models.dynamodb.client.system_clock", lambda: arrived)
    get_item(client)
    assert client.clock_skew == timedelta(seconds=30)


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_clock_skew_without_date_returns_none(date: str | None) -> None:
    client = Client(Settings())
    reply = response({})
    if date is not None:
        reply.headers["Date"] = date
    Wire(client, always(reply))
    get_item(client)
    assert client.clock_skew is None


@pytest.mark.parametrize("operation", ["describe_table", "query", "scan"])
@pytest.mark.parametrize("reply", [{}, {"hello": [1]}, {"Table": {}}, {"Table": 7}])
def test_request_json_of_another_server_raises(operation: str, reply: dict[str, Any]) -> None:
    client = Client(LOCAL)
    Wire(client, always(reply))
    with pytest.raises(errors.RequestRejected, match="did not respond like DynamoDB"):
        client.request(operation, TableName="mine")
