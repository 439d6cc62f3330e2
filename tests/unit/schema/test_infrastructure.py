"""Infrastructure code, checked by the parsers and linters of each format."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest

from quill_models import Backend, Settings
from quill_models.errors import InvalidValue
from quill_models.schema import declared_table
from quill_models.schema.infrastructure import FORMATS, ROLES, export_schema

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
LOCAL = Settings()
AWS = Settings(
    backend=Backend.AWS,
    region="eu-west-1",
    table="quill.live",
    kms_key=KEY,
    tags={"team": "data", "stage": "live é"},
)
MANAGED = Settings(backend=Backend.AWS, kms_key="aws-managed")
EVERY = [LOCAL, AWS, MANAGED]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the findings of one run of cfn-lint for each document, warnings included."""
    documents = {
        f"cloudformation-{at}": json.loads(export_schema("cloudformation", settings=settings))
        for at, settings in enumerate(EVERY)
    }
    for at, settings in enumerate(EVERY):
        for role in ROLES:
            policy = json.loads(export_schema("iam", role, settings))
            documents[f"{role}-{at}"] = with_policy(policy)
    wrong = json.loads(export_schema("cloudformation", settings=LOCAL))
    wrong["Resources"]["QuillTable"]["Properties"]["BillingMode"] = "FREE"
    documents["wrong-table"] = wrong
    policy = json.loads(export_schema("iam", "reader", LOCAL))
    policy["Statement"][0]["Action"].append("dynamodb:GetItems")
    documents["wrong-policy"] = with_policy(policy)
    folder = tmp_path_factory.mktemp("templates")
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    program = str(Path(sys.executable).with_name("cfn-lint"))
    printed = subprocess.run(
        [program, "--format", "json", "--template", *map(str, folder.glob("*.json"))],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    found: dict[str, list[str]] = {name: [] for name in documents}
    for each in json.loads(printed.stdout):
        found[Path(each["Filename"]).stem].append(each["Message"])
    return found


def with_policy(policy: dict[str, Any]) -> dict[str, Any]:
    return {
        "Resources": {
            "Policy": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": policy},
            }
        }
    }


def test_export_schema_all_templates_pass_cfn_lint(findings: dict[str, list[str]]) -> None:
    failed = {name: messages for name, messages in findings.items() if messages}
    # The linter finds the mistakes made on purpose.
    assert failed.keys() == {"wrong-table", "wrong-policy"}
    assert "FREE" in failed["wrong-table"][0]
    assert "getitems" in failed["wrong-policy"][0].lower()


@pytest.mark.parametrize("settings", EVERY)
def test_cloudformation_template_equals_declared_table(settings: Settings) -> None:
    template = json.loads(export_schema("cloudformation", settings=settings))
    table = template["Resources"]["QuillTable"]
    assert table["DeletionPolicy"] == "Retain"
    properties = table["Properties"]
    declared = declared_table()
    for name in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"):
        assert properties[name] == declared[name]
    assert properties["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "ttl"}
    assert template["Parameters"]["TableName"]["Default"] == settings.table
    assert ("PointInTimeRecoverySpecification" in properties) == settings.protected
    assert properties.get("DeletionProtectionEnabled", False) == settings.protected


@pytest.mark.parametrize("settings", EVERY)
@pytest.mark.parametrize("role", ROLES)
def test_policy_has_no_wildcard_actions(settings: Settings, role: str) -> None:
    policy = json.loads(export_schema("iam", role, settings))
    for statement in policy["Statement"]:
        assert "*" not in statement["Resource"]
        dynamodb = [each for each in statement["Action"] if each.startswith("dynamodb:")]
        assert not any("*" in each for each in dynamodb)
    assert (len(policy["Statement"]) == 3) == (settings.kms_key == KEY)


def test_policy_roles_extend_each_other() -> None:
    reader, writer, migrator = (
        {
            action
            for statement in json.loads(export_schema("iam", role, AWS))["Statement"]
            for action in statement["Action"]
        }
        for role in ("reader", "writer", "migrator")
    )
    assert reader < writer < migrator
    assert not {each for each in writer if "Table" in each} - {"dynamodb:DescribeTable"}
    assert "dynamodb:DeleteTable" not in migrator


def _unquoted(value: Any) -> Any:
    """Remove the quotes that the parser keeps around strings."""
    if isinstance(value, dict):
        return {
            _unquoted(name): _unquoted(each)
            for name, each in value.items()
            if name != "__is_block__"
        }
    if isinstance(value, list):
        return [_unquoted(each) for each in value]
    return json.loads(value) if isinstance(value, str) and value[:1] == '"' else value


@pytest.mark.parametrize("settings", EVERY)
def test_terraform_resource_equals_declared_table(settings: Settings) -> None:
    document = _unquoted(hcl2.loads(export_schema("terraform", settings=settings)))
    table = document["resource"][0]["aws_dynamodb_table"]["quill"]
    declared = declared_table()
    assert table["name"] == settings.table
    assert (table["hash_key"], table["range_key"]) == ("pk", "sk")
    assert table["billing_mode"] == declared["BillingMode"]
    assert table["attribute"] == [
        {"name": each["AttributeName"], "type": each["AttributeType"]}
        for each in declared["AttributeDefinitions"]
    ]
    assert table["global_secondary_index"] == [
        {
            "name": each["IndexName"],
            "hash_key": each["KeySchema"][0]["AttributeName"],
            "range_key": each["KeySchema"][1]["AttributeName"],
            "projection_type": each["Projection"]["ProjectionType"],
        }
        for each in declared["GlobalSecondaryIndexes"]
    ]
    assert table["stream_view_type"] == declared["StreamSpecification"]["StreamViewType"]
    assert table["ttl"] == [{"attribute_name": "ttl", "enabled": True}]
    assert table["point_in_time_recovery"] == [{"enabled": settings.protected}]
    assert table["deletion_protection_enabled"] == settings.protected
    assert table["lifecycle"] == [{"prevent_destroy": True}]
    assert table.get("tags", {}) == settings.tags
    assert ("server_side_encryption" in table) == (settings.kms_key is not None)


@pytest.mark.parametrize("text", ["${a}", "%{if a}", 'a "b"', "\\", "é"])
def test_terraform_text_with_template_marks_is_escaped(text: str) -> None:
    from quill_models.schema.infrastructure.terraform import _text  # noqa: PLC0415

    written = _text(text)
    assert "$${" in written if "${" in text else "${" not in written
    assert json.loads(written.replace("$${", "${").replace("%%{", "%{")) == text


def test_export_schema_unknown_format_or_role_raises_invalid_value() -> None:
    with pytest.raises(InvalidValue, match="cloudformation"):
        export_schema("yaml", settings=LOCAL)
    with pytest.raises(InvalidValue, match="reader"):
        export_schema("iam", "admin", LOCAL)
    assert set(FORMATS) == {"cloudformation", "terraform", "json", "iam"}
