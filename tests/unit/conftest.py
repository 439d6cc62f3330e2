"""Fixtures of the unit tests."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from hypothesis import settings

# A slow machine is not a failure. This number of examples keeps the suite under five minutes.
settings.register_profile("unit", deadline=None, print_blob=True, max_examples=25)
settings.load_profile("unit")

# Botocore needs longer to read the description of DynamoDB than most tests take.
_read_once = cache(botocore.session.create_loader)

_OURS = ("DATA_BACKEND", "DYNAMODB_", "QUILL_", "AWS_", "JAVA_HOME")


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty current folder, without settings in the environment and without AWS credentials."""
    for name in os.environ:
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    nowhere = str(tmp_path / "no" / "such" / "file")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", nowhere)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
    monkeypatch.setattr("botocore.session.create_loader", _read_once)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries in seconds. They are recorded, not slept."""
    waited: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", waited.append)
    return waited
