"""The pytest fixtures of quill-models, available after installation.

``quill`` is a connected `Quill` on a new table for each test. If ``DYNAMODB_ENDPOINT`` is set, the
table is on that server. Otherwise the first test that needs it starts DynamoDB Local, once for the
session and all its processes. Tests never use AWS, whatever ``DATA_BACKEND`` is. If the server
cannot start, the tests that need it fail.

Every run of pytest in an environment with quill-models loads this module, so it imports slow
modules only in the fixtures.
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

# The processes of a session share a folder for the server. It belongs to the process that runs the
# session, with pytest-xdist the one that starts the workers, so workers can be killed.

_FOLDER: pytest.StashKey[OwnedFolder] = pytest.StashKey()
_WORKER_INPUT = "quill_models_session"


def _session_folder(config: pytest.Config) -> Path:
    """Return the folder of the session of this process."""
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
    """Pass the folder to a worker of pytest-xdist on this machine."""
    if node.gateway.spec.popen:
        node.workerinput[_WORKER_INPUT] = str(_session_folder(node.config))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Create the folder before the tests, because pytest-forked runs each test in a child."""
    if any("quill_endpoint" in getattr(item, "fixturenames", ()) for item in session.items):
        _session_folder(session.config)


@contextmanager
def _short_failure() -> Iterator[None]:
    """Fail with the message only, without a traceback into this package."""
    from quill_models.values.errors import LocalServerError, QuillError  # noqa: PLC0415

    try:
        yield
    except LocalServerError as error:
        message = f"{error}\nOr set DYNAMODB_ENDPOINT to a running DynamoDB."
        raise pytest.fail.Exception(message, pytrace=False) from None
    except QuillError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def quill_endpoint(pytestconfig: pytest.Config) -> str:
    """The endpoint of the DynamoDB of the session."""
    from quill_models.local import shared_server  # noqa: PLC0415
    from quill_models.settings import Settings  # noqa: PLC0415

    with _short_failure():
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
    """A connection for set-up and clean-up."""
    from quill_models.quill import Quill  # noqa: PLC0415
    from quill_models.settings import Settings  # noqa: PLC0415

    with _short_failure():
        server = Quill(Settings(endpoint=quill_endpoint))
    yield server
    server.close()


@pytest.fixture
def quill_settings(_quill_server: Quill) -> Iterator[Settings]:
    """Settings for a table that no other test has.

    The table does not exist yet. If the test creates it, it is deleted after the test.
    """
    import secrets  # noqa: PLC0415

    from quill_models.settings import Settings  # noqa: PLC0415
    from quill_models.values.errors import ServerUnreachable, TableNotFound  # noqa: PLC0415

    endpoint = _quill_server.settings.endpoint
    settings = Settings(endpoint=endpoint, table=f"quill-test-{secrets.token_hex(8)}")
    yield settings
    # If the server has stopped, the test has already failed.
    with suppress(TableNotFound, ServerUnreachable):
        _quill_server.schema.client.request("delete_table", TableName=settings.table)


@pytest.fixture
def quill_clock() -> FrozenClock:
    """A clock that shows a fixed time until the test moves it. ``quill`` uses it."""
    from quill_models.testing import FrozenClock  # noqa: PLC0415

    return FrozenClock()


@pytest.fixture
def _quill_first(quill_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Quill]:
    """The connection that creates the table of the test."""
    from quill_models.quill import connect  # noqa: PLC0415
    from quill_models.values.clock import system_clock  # noqa: PLC0415

    # Time is frozen only if the test, or one of its fixtures, uses the clock.
    frozen = "quill_clock" in request.fixturenames
    clock = request.getfixturevalue("quill_clock") if frozen else system_clock
    connected = connect(quill_settings, clock=clock)
    # Without a stream, because DynamoDB Local scans all stream records with each write. Without
    # TTL, because it would delete items of a test with a clock in the past.
    with _short_failure():
        connected.schema.apply(stream=False, ttl=False)
    yield connected
    connected.close()


@pytest.fixture
def quill(_quill_first: Quill) -> Iterator[Quill]:
    """A connected `Quill` on a new table, which is deleted after the test.

    If the test also uses ``quill_clock``, that is its clock. The table has no stream, and the
    server does not delete expired items from it. If a test needs that, use ``quill_settings``,
    connect, and call ``schema.apply()`` in the test.
    """
    with _quill_first:
        yield _quill_first


@pytest.fixture
def quill_connect(_quill_first: Quill) -> Iterator[Connect]:
    """Connects to the table of the test again, for example for several workers.

    Each call returns another `Quill`, with other settings or another clock if you pass them. It is
    closed after the test.
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
    """The table of the test in the environment, for code that calls ``connect()``.

    It is set for this process and the programs it starts until the test ends. A frozen clock is not
    passed on.
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
