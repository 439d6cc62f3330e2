"""The fixtures that installing quill-models gives pytest.

``quill`` is a connected `Quill` on a fresh table of its own, for each test. It is on the server
of ``DYNAMODB_ENDPOINT`` where that is set, else on a DynamoDB Local that is started when the first
test asks for it, once for the session and all its processes. Never on AWS, whatever
``DATA_BACKEND`` says. A server that cannot be started fails the tests that need it.

Every run of pytest in an environment with quill-models loads this module. So it imports nothing
that costs time before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from quill_models.local import OwnedFolder
    from quill_models.quill import Quill
    from quill_models.settings import Settings
    from quill_models.testing import Connect, FrozenClock
    from quill_models.values.clock import Clock

# The session: its processes have a folder in common, for the server. The folder belongs to the
# process that runs the session, with pytest-xdist the one that starts the workers. So these may
# come, go and be killed.

_FOLDER: pytest.StashKey[OwnedFolder] = pytest.StashKey()
_WORKER_INPUT = "quill_models_session"


def _session_folder(config: pytest.Config) -> Path:
    """The folder of the session that this process runs, or works for."""
    given: str | None = getattr(config, "workerinput", {}).get(_WORKER_INPUT)
    if given is not None:
        return Path(given)
    if _FOLDER not in config.stash:
        from quill_models.local import OwnedFolder  # noqa: PLC0415

        config.stash[_FOLDER] = OwnedFolder("quill-pytest-")
        config.add_cleanup(config.stash[_FOLDER].close)
    return config.stash[_FOLDER].path


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist whom it works for, where it is on this machine."""
    if node.gateway.spec.popen:
        node.workerinput[_WORKER_INPUT] = str(_session_folder(node.config))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin before any test: pytest-forked runs each in a child that cannot begin for others."""
    if any("quill_endpoint" in getattr(item, "fixturenames", ()) for item in session.items):
        _session_folder(session.config)


@contextmanager
def _said_in_short() -> Iterator[None]:
    """Fail with the message alone: where in this package it was raised is of no use."""
    from quill_models.values.errors import LocalServerError, QuillError  # noqa: PLC0415

    try:
        yield
    except LocalServerError as error:
        said = f"{error}\nOr set DYNAMODB_ENDPOINT to a DynamoDB that runs already."
        raise pytest.fail.Exception(said, pytrace=False) from None
    except QuillError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


# The fixtures.


@pytest.fixture(scope="session")
def quill_endpoint(pytestconfig: pytest.Config) -> str:
    """The endpoint of the DynamoDB that tests use, one for the whole session."""
    from quill_models.local import shared_server  # noqa: PLC0415
    from quill_models.settings import Settings  # noqa: PLC0415

    with _said_in_short():
        given = Settings.given_endpoint()
        if given is not None:
            return given
        settings = Settings.load()
        return shared_server(
            _session_folder(pytestconfig),
            local_home=settings.local_home,
            java_home=settings.java_home,
        )


@pytest.fixture(scope="session")
def _quill_server(quill_endpoint: str) -> Iterator[Quill]:
    """A connection for what is done around the tests."""
    from quill_models.quill import Quill  # noqa: PLC0415
    from quill_models.settings import Settings  # noqa: PLC0415

    with _said_in_short():
        server = Quill(Settings(endpoint=quill_endpoint))
    yield server
    server.close()


@pytest.fixture
def quill_settings(_quill_server: Quill) -> Iterator[Settings]:
    """Settings for a table that no other test has.

    The table does not exist yet. Where the test makes it, it is deleted after the test.
    """
    import secrets  # noqa: PLC0415

    from quill_models.settings import Settings  # noqa: PLC0415
    from quill_models.values.errors import ServerUnreachable, TableNotFound  # noqa: PLC0415

    endpoint = _quill_server.settings.endpoint
    settings = Settings(endpoint=endpoint, table=f"quill-test-{secrets.token_hex(8)}")
    yield settings
    # A server that is gone has failed the test already.
    with suppress(TableNotFound, ServerUnreachable):
        _quill_server.schema.client.request("delete_table", TableName=settings.table)


@pytest.fixture
def quill_clock() -> FrozenClock:
    """A clock that stands still until the test moves it; ``quill`` goes by it, where both are."""
    from quill_models.testing import FrozenClock  # noqa: PLC0415

    return FrozenClock()


@pytest.fixture
def _quill_first(quill_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Quill]:
    """The connection that makes the test's table."""
    from quill_models.quill import connect  # noqa: PLC0415
    from quill_models.values.clock import system_clock  # noqa: PLC0415

    # Only a test that names the clock, itself or in a fixture of its own, has time stand still.
    frozen = "quill_clock" in request.fixturenames
    clock = request.getfixturevalue("quill_clock") if frozen else system_clock
    connected = connect(quill_settings, clock=clock)
    # Without a stream: with each write DynamoDB Local goes through the stream records of every
    # table that it has had. Without TTL: it would delete what a test with a clock in the past
    # stores; what has expired is absent anyway.
    with _said_in_short():
        connected.schema.apply(stream=False, ttl=False)
    yield connected
    connected.close()


@pytest.fixture
def quill(_quill_first: Quill) -> Iterator[Quill]:
    """A connected `Quill` on a fresh table, which is deleted after the test.

    Its time is ``quill_clock``'s, where the test takes that too. The table has no stream, and the
    server deletes nothing from it that has expired. A test that needs one of these takes
    ``quill_settings``, connects, and calls ``schema.apply()`` itself.
    """
    with _quill_first:
        yield _quill_first


@pytest.fixture
def quill_connect(_quill_first: Quill) -> Iterator[Connect]:
    """Connects to the test's table, as often as it is called: for workers beside each other.

    Each connection is a `Quill` of its own, with settings or a clock of its own where they are
    given, and is closed after the test.
    """
    from quill_models.quill import connect  # noqa: PLC0415

    with ExitStack() as opened:

        def connected(settings: Settings | None = None, *, clock: Clock | None = None) -> Quill:
            given = settings or _quill_first.settings
            quill = connect(given, clock=clock or _quill_first.table.clock)
            opened.callback(quill.close)
            return quill

        yield connected


@pytest.fixture
def quill_environ(_quill_first: Quill, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The test's table in the environment, for code that calls ``connect()`` without settings.

    It is there for this process and for the programs it starts, until the test ends. A frozen
    clock cannot be handed on so.
    """
    settings = _quill_first.settings
    environ = {
        "DATA_BACKEND": settings.backend.value,
        "DYNAMODB_ENDPOINT": str(settings.endpoint),
        "QUILL_TABLE": settings.table,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ
