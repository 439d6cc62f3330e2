from .distribution import find_or_fetch as find_or_fetch
from .java import find_java as find_java
from .owned_server import EmbeddedServer as EmbeddedServer
from .owned_server import embedded as embedded
from .owned_server import shared_server as shared_server
from .owner import OwnedFolder as OwnedFolder
from .server import LocalServer as LocalServer
from .server import ServerState as ServerState
from .server import ServerStatus as ServerStatus

__all__: list[str]
