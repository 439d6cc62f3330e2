from .catalog import Migration as Migration
from .catalog import write_new as write_new
from .history import Applied as Applied
from .migrator import Migrations as Migrations
from .migrator import Standing as Standing
from .migrator import State as State
from .step import Listener as Listener
from .step import Progress as Progress
from .step import Step as Step

__all__: list[str]
