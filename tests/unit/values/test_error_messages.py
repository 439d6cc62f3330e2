"""Messages of errors."""

from quill_models.values.errors import message_of


def test_message_of_error_returns_its_text() -> None:
    assert message_of(ValueError("odd")) == "odd"


def test_message_of_error_whose_str_raises_returns_a_note() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise OSError

    assert message_of(MuteError()) == "no message: str() raised OSError"
