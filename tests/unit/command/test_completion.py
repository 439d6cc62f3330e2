"""Shell completion, by click's protocol and in bash."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quill_models.command import main

pytestmark = pytest.mark.usefixtures("isolated")

Completed = Callable[[str], list[str]]


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Completed:
    """Returns the candidates for the last word of a line, each with its type."""

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_QUILL_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        monkeypatch.setattr(sys, "argv", ["quill"])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code in {0, None}
        return capsys.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("quill l", "plain,list plain,load plain,local"),
        (
            "quill list ",
            "plain,agents plain,interactions plain,job-runs plain,metrics plain,webhook-events",
        ),
        ("quill jobs c", "plain,cancel"),
        ("quill list agents --st", "plain,--status"),
        ("quill list agents --status ", "plain,active plain,inactive"),
        ("quill list webhook-events --status d", "plain,dead"),
        (
            "quill list job-runs --status ",
            "plain,running plain,succeeded plain,failed plain,cancelled",
        ),
        ("quill list metrics --grain ", "plain,hour plain,day plain,week plain,month"),
        ("quill export --format ", "plain,parquet plain,csv plain,jsonl"),
        ("quill export --kind m", "plain,metric"),
        ("quill export --out p", "dir,p"),
        ("quill schema apply --delete-index ", "plain,gsi1 plain,gsi2 plain,gsi3"),
        ("quill schema export --format c", "plain,cloudformation"),
        ("quill completion ", "plain,bash plain,fish plain,zsh"),
        ("quill help power", "plain,power-bi"),
        ("quill load a", "file,a"),
        ("quill ingest hubspot ", "file,"),
    ],
)
def test_completion_offers_matching_words(completed: Completed, line: str, offered: str) -> None:
    assert completed(line) == offered.split()


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_script_calls_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["quill", "completion", shell])
    with pytest.raises(SystemExit):
        main()
    assert f"_QUILL_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_completion_script_works_in_bash(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "quill"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nfrom quill_models.command import main\nmain()\n", encoding="utf-8"
    )
    program.chmod(0o755)
    script = f"""
        PATH={shlex.quote(str(program.parent))}:$PATH
        source <(quill completion bash)
        complete -p quill
        COMP_WORDS=(quill list agents --status ina) COMP_CWORD=4
        _quill_completion quill ina --status
        echo "${{COMPREPLY[@]}}"
    """
    shown = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    registered, offered = shown.stdout.splitlines()
    assert registered.endswith("-F _quill_completion quill")
    assert offered == "inactive"
    assert shown.stderr == ""
