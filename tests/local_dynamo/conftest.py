"""Fixtures beside those of the package's own plugin, which starts the server."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from quill_models import Quill, Settings, connect
from quill_models.local import embedded
from quill_models.testing import FrozenClock
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import NOON


@pytest.fixture(scope="module")
def shared(quill_endpoint: str) -> Iterator[Quill]:
    """One table for the tests of a module that leave nothing in it, as each table takes time."""
    settings = Settings(endpoint=quill_endpoint, table=f"quill-test-{secrets.token_hex(8)}")
    with connect(settings) as connected:
        connected.schema.apply(stream=False, ttl=False)
        yield connected
        connected.schema.delete_table()


@pytest.fixture(scope="session")
def index_server() -> Iterator[str]:
    """The endpoint of a server with few tables, whose indexes can be made and deleted.

    DynamoDB Local 3.3.0 has ten threads for such work, and each table with TTL keeps one of them:
    if there are seven such tables, an index stays ``CREATING`` or ``DELETING`` permanently. So
    each test deletes its table. A module fixture would be created for each class by xdist.
    """
    found = Settings.load(env_file=None)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            # It has little to do: most of what Java compiled for it would go unused.
            patched.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
            server = stack.enter_context(
                embedded(local_home=found.local_home, java_home=found.java_home)
            )
        yield server.endpoint


@pytest.fixture
def index_settings(index_server: str, quill_settings: Settings) -> Settings:
    """For a table of its own on that server, to be deleted afterwards."""
    return replace(quill_settings, endpoint=index_server)


@pytest.fixture
def quill_clock() -> FrozenClock:
    """The plugin's, at the noon that these tests write out."""
    return FrozenClock(NOON)


@pytest.fixture
def proxy(quill_endpoint: str) -> Iterator[Proxy]:
    proxy = Proxy(quill_endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(quill: Quill, proxy: Proxy) -> Iterator[Quill]:
    """A `Quill` on the same table as ``quill`` whose requests go through ``proxy``."""
    with connect(replace(quill.settings, endpoint=proxy.endpoint)) as connected:
        yield connected
