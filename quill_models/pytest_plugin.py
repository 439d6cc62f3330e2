"""The fixtures that installing this package gives pytest.

``quill`` is a connected `Quill` on a fresh table of its own, for each test. It is on the server
of ``DYNAMODB_ENDPOINT`` where that is set, else on a DynamoDB Local that is started once per test
session, when the first test asks for it. Never on AWS, whatever ``DATA_BACKEND`` says. A server
that cannot be started fails the tests that need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # Every run of pytest loads this module; what it needs is imported when a test asks for it.
    from quill_models.quill import Quill
    from quill_models.settings import Settings

__all__ = ["quill", "quill_endpoint", "quill_settings"]


@pytest.fixture(scope="session")
def quill_endpoint() -> Iterator[str]:
    """The endpoint of the DynamoDB that tests use."""
    from quill_models.local import embedded  # noqa: PLC0415
    from quill_models.settings import Settings  # noqa: PLC0415

    given = Settings.given_endpoint()
    if given is not None:
        yield given
        return
    settings = Settings.load()
    with embedded(local_home=settings.local_home, java_home=settings.java_home) as server:
        yield server.endpoint


@pytest.fixture
def quill_settings(quill_endpoint: str) -> Settings:
    """Settings for a table that no other test has. The table does not exist yet."""
    import secrets  # noqa: PLC0415

    from quill_models.settings import Settings  # noqa: PLC0415

    return Settings(endpoint=quill_endpoint, table=f"quill-test-{secrets.token_hex(8)}")


@pytest.fixture
def quill(quill_settings: Settings) -> Iterator[Quill]:
    """A connected `Quill` on a fresh table, which is deleted after the test.

    The table has no stream, as streams make DynamoDB Local slower with each table. A test that
    reads one takes ``quill_settings``, connects, and calls ``schema.apply()`` itself.
    """
    from quill_models.quill import connect  # noqa: PLC0415

    with connect(quill_settings) as connected:
        connected.schema.apply(stream=False)
        yield connected
        connected.schema.delete_table()
