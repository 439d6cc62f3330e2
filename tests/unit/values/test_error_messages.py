from quill_models.values.errors import message_of


def test_a_message() -> None:
    assert message_of(ValueError("odd")) == "odd"


def test_an_error_that_cannot_tell_one() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise OSError

    assert message_of(MuteError()) == "no message: str() raised OSError"
