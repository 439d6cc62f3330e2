"""Settings from the environment, a file and arguments."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Backend, QuillError, Settings
from quill_models.dynamodb.client import Client
from quill_models.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("isolated")

KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
FAKE = ("fakeMyKeyId", "fakeSecretAccessKey")


def env_file(path: Path, text: str) -> Path:
    file = path / "settings.env"
    file.write_text(text, encoding="utf-8")
    return file


def test_load_without_values_returns_defaults() -> None:
    assert Settings.load(environ={}) == Settings(
        backend=Backend.LOCAL,
        endpoint="http://localhost:8000",
        table="quill",
        region="us-west-2",
        webhook_retention=timedelta(days=30),
        job_retention=timedelta(days=90),
        local_home=None,
        java_home=None,
    )
    assert Settings() == Settings.load(environ={})


VARIABLES: list[tuple[str, str, str, str, Any, Any]] = [
    # variable, text in the file, text in the environment, field, value of each text
    ("DATA_BACKEND", "aws", "dynamodb-local", "backend", Backend.AWS, Backend.LOCAL),
    ("DYNAMODB_ENDPOINT", "http://f:1", "https://e:2", "endpoint", "http://f:1", "https://e:2"),
    ("QUILL_TABLE", "of.file", "of-env", "table", "of.file", "of-env"),
    ("AWS_REGION", "eu-west-1", "eu-north-1", "region", "eu-west-1", "eu-north-1"),
    ("AWS_DEFAULT_REGION", "eu-west-1", "eu-north-1", "region", "eu-west-1", "eu-north-1"),
    (
        "QUILL_WEBHOOK_RETENTION_DAYS",
        "7",
        "0",
        "webhook_retention",
        timedelta(days=7),
        None,
    ),
    ("QUILL_JOB_RETENTION_DAYS", "0", "36500", "job_retention", None, timedelta(days=36_500)),
    ("DYNAMODB_LOCAL_HOME", "/f", "/e", "local_home", Path("/f"), Path("/e")),
    ("JAVA_HOME", "/f", "/e", "java_home", Path("/f"), Path("/e")),
    ("QUILL_PROTECT_TABLE", "true", "false", "protect_table", True, False),
    ("QUILL_KMS_KEY", "aws-managed", KMS_KEY, "kms_key", "aws-managed", KMS_KEY),
    ("QUILL_TAGS", "a=b", "c = d, e=", "tags", {"a": "b"}, {"c": "d", "e": ""}),
]


@pytest.mark.parametrize(
    ("variable", "texts", "field", "values"),
    [(each[0], each[1:3], each[3], each[4:]) for each in VARIABLES],
)
def test_load_environment_precedes_file_precedes_default(
    tmp_path: Path, variable: str, texts: tuple[str, str], field: str, values: tuple[Any, Any]
) -> None:
    (in_file, in_environ), (from_file, from_environ) = texts, values
    file = env_file(tmp_path, f"{variable}={in_file}\n")
    assert getattr(Settings.load(file, {}), field) == from_file
    assert getattr(Settings.load(file, {variable: in_environ}), field) == from_environ
    assert getattr(Settings.load(None, {variable: in_environ}), field) == from_environ
    assert getattr(Settings.load(file, {}), field) != getattr(Settings.load(None, {}), field)


def test_load_default_file_is_in_the_current_folder(isolated: Path) -> None:
    (isolated / ".env").write_text("QUILL_TABLE=here\n")
    assert Settings.load().table == "here"
    assert Settings.load(env_file=None).table == "quill"


def test_load_default_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUILL_TABLE", "of-this-process")
    assert Settings.load().table == "of-this-process"
    assert Settings.load(environ={}).table == "quill"


def test_load_file_is_not_exported(tmp_path: Path) -> None:
    file = env_file(tmp_path, "QUILL_TABLE=private\nAWS_SECRET_ACCESS_KEY=private\n")
    before = dict(os.environ)
    assert Settings.load(file).table == "private"
    assert dict(os.environ) == before


def test_load_dollar_in_value_is_literal(tmp_path: Path) -> None:
    file = env_file(tmp_path, "DYNAMODB_LOCAL_HOME=/a/${HOME}/$HOME\n")
    assert Settings.load(file, {}).local_home == Path("/a/${HOME}/$HOME")


def test_load_comments_quotes_and_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    file = env_file(tmp_path, "\ufeff# of the team\nexport QUILL_TABLE='of-team' # ours\n")
    assert Settings.load(file, {}).table == "of-team"


def test_load_byte_order_mark_keeps_the_first_line(tmp_path: Path) -> None:
    file = env_file(tmp_path, "\ufeffQUILL_TABLE=of-team\n")
    assert Settings.load(file, {}).table == "of-team"


def test_load_without_file_is_not_an_error(tmp_path: Path) -> None:
    assert Settings.load(tmp_path / "none", {}) == Settings()


def test_load_blank_value_is_unset() -> None:
    environ = {"QUILL_TABLE": "  of-env \n", "DYNAMODB_ENDPOINT": " ", "DATA_BACKEND": ""}
    assert Settings.load(environ=environ) == Settings(table="of-env")


def test_load_file_not_text_raises_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_bytes(b"QUILL_TABLE=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"settings file .*settings.env cannot be read"):
        Settings.load(file, {})


def test_load_unreadable_file_raises_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = env_file(tmp_path, "QUILL_TABLE=private\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dotenv.main.open", denied, raising=False)
    with pytest.raises(ConfigurationError, match=r"settings.env cannot be read: .*denied"):
        Settings.load(file, {})


_DAYS = ["-1", "1.5", "many", "36501", "100000", "1e3", "٣", "1 0"]


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        *(
            ("DATA_BACKEND", value, "dynamodb-local or aws")
            for value in ("AWS", "local", "dynamodb_local", "aws,local", "-")
        ),
        *(
            ("DYNAMODB_ENDPOINT", value, "an http or https URL such as http://localhost:8000")
            for value in (
                "localhost:8000",
                "localhost",
                "//localhost:8000",
                "ftp://localhost",
                "http://",
                "http://:8000",
                "http://localhost:port",
                "http://localhost:0",
                "http://localhost:65536",
                "http://[::1",
            )
        ),
        *(
            ("QUILL_TABLE", value, "3 to 255 letters, digits, _, - and .")
            for value in ("ab", "a b", "a/b", "tüb", "x" * 256, "quill\nx")
        ),
        *(
            (variable, value, "a whole number of days from 0 (no limit) to 36500")
            for variable in ("QUILL_WEBHOOK_RETENTION_DAYS", "QUILL_JOB_RETENTION_DAYS")
            for value in _DAYS
        ),
    ],
)
def test_load_invalid_value_raises_with_allowed_values(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(None, {variable: value})
    message = str(caught.value)
    assert message.startswith(f"{variable} must be ")
    assert message.endswith(f"got '{value}'.")
    assert allowed in message
    assert isinstance(caught.value, (QuillError, ValueError))


def test_load_invalid_value_in_file_raises(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="DATA_BACKEND must be dynamodb-local or aws, got 'moto'"
    ):
        Settings.load(env_file(tmp_path, "DATA_BACKEND=moto\n"), {})


@pytest.mark.parametrize(
    ("field", "value", "variable"),
    [
        ("backend", "moto", "DATA_BACKEND"),
        ("endpoint", "localhost", "DYNAMODB_ENDPOINT"),
        ("endpoint", 8000, "DYNAMODB_ENDPOINT"),
        ("table", "x", "QUILL_TABLE"),
        ("table", None, "QUILL_TABLE"),
    ],
)
def test_settings_invalid_argument_raises(field: str, value: Any, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        Settings(**{field: value})


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().table = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@given(st.integers(1, 36_500))
def test_load_retention_days_are_read(days: int) -> None:
    environ = {"QUILL_JOB_RETENTION_DAYS": str(days)}
    assert Settings.load(None, environ).job_retention == timedelta(days=days)


def test_load_aws_has_no_default_endpoint_and_region() -> None:
    loaded = Settings.load(environ={"DATA_BACKEND": "aws"})
    assert (loaded.backend, loaded.endpoint, loaded.region) == (Backend.AWS, None, None)


def test_load_aws_endpoint_is_used() -> None:
    endpoint = "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com"
    environ = {"DATA_BACKEND": "aws", "DYNAMODB_ENDPOINT": endpoint}
    assert Settings.load(environ=environ).endpoint == endpoint


def test_given_endpoint_returns_the_variable() -> None:
    assert Settings.given_endpoint(None, {}) is None
    assert Settings.given_endpoint(None, {"DYNAMODB_ENDPOINT": " "}) is None
    assert Settings.given_endpoint(None, {"DYNAMODB_ENDPOINT": "http://e:1"}) == "http://e:1"


def _credentials(client: Client) -> tuple[str, ...] | None:
    signer: Any = client.botocore._request_signer  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    found = signer._credentials
    if found is None:
        return None
    token = () if found.token is None else (found.token,)
    return (found.access_key, found.secret_key, *token)


def test_connect_aws_without_credentials_uses_none() -> None:
    client = Client(Settings(backend=Backend.AWS, region="eu-west-1"))
    assert _credentials(client) is None
    assert client.botocore.meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"


def test_connect_aws_uses_the_standard_chain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials, config = tmp_path / "credentials", tmp_path / "config"
    credentials.write_text("[team]\naws_access_key_id=AK\naws_secret_access_key=SK\n")
    config.write_text("[profile team]\nregion=eu-north-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "team")
    client = Client(Settings(backend=Backend.AWS))
    assert _credentials(client) == ("AK", "SK")
    assert client.botocore.meta.region_name == "eu-north-1"


def test_connect_aws_ignores_endpoint_urls_of_other_tools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tools set it for a local server, which production must not use.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    client = Client(Settings(backend=Backend.AWS, region="eu-west-1"))
    assert client.botocore.meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_SESSION_TOKEN": "T"},
        {"AWS_PROFILE": "no-such-profile"},
        {"AWS_DEFAULT_PROFILE": "no-such-profile"},
        {"AWS_ENDPOINT_URL": "http://elsewhere:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://e:1"},
        {"AWS_CONFIG_FILE": __file__, "AWS_SHARED_CREDENTIALS_FILE": __file__},
        {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_connect_local_ignores_the_aws_chain(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    client = Client(Settings.load())
    assert _credentials(client) == FAKE
    assert client.botocore.meta.endpoint_url == "http://localhost:8000"
    assert client.botocore.meta.region_name == "us-west-2"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("QUILL_PROTECT_TABLE", "yes"),
        ("QUILL_KMS_KEY", "alias/mine"),
        ("QUILL_KMS_KEY", "-" * 36),
        ("QUILL_KMS_KEY", "arn:aws:kms:eu-west-1:123456789012:alias/mine"),
        ("QUILL_TAGS", "team"),
        ("QUILL_TAGS", "a=1,a=2"),
        ("QUILL_TAGS", "=1"),
        ("QUILL_TAGS", "aws:owner=me"),
        ("QUILL_TAGS", "a=;"),
    ],
)
def test_load_table_options_are_checked(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        Settings.load(None, {variable: text})


@pytest.mark.parametrize("region", ["eu west 1", "7", "-eu", "eu-", "eu_west_1", "x" * 64])
@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_load_region_must_be_part_of_a_host_name(variable: str, region: str) -> None:
    with pytest.raises(ConfigurationError, match=f"AWS_REGION must be .*eu-west-1, got '{region}'"):
        Settings.load(None, {variable: region})


def test_protected_is_true_on_aws_by_default() -> None:
    assert not Settings().protected
    assert Settings(backend=Backend.AWS).protected
    assert not Settings(backend=Backend.AWS, protect_table=False).protected
    assert dataclasses.replace(Settings(), backend=Backend.AWS).protected


def test_tags_are_a_copy() -> None:
    given = {"a": "b"}
    settings = Settings(tags=given)
    given["c"] = "d"
    assert settings.tags == {"a": "b"}


def test_kms_key_of_several_regions_is_accepted() -> None:
    key = "mrk-1234abcd12ab34cd56ef1234567890ab"
    assert Settings(kms_key=key).kms_key == key
    assert Settings(kms_key=f"arn:aws:kms:eu-west-1:123456789012:key/{key}").kms_key
