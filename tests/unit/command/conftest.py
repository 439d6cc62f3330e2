from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from quill_models.command import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The installed command: exit status, standard output, standard error."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["quill", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        status = left.value.code
        shown = capsys.readouterr()
        return (status if isinstance(status, int) else 0), shown.out, shown.err

    return run_it
