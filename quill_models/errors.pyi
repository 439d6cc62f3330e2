from .repositories.job_attempts import AlreadyRunning as AlreadyRunning
from .repositories.job_attempts import AlreadySucceeded as AlreadySucceeded
from .values.errors import AccessDenied as AccessDenied
from .values.errors import AnswerLost as AnswerLost
from .values.errors import ConfigurationError as ConfigurationError
from .values.errors import ExportFailed as ExportFailed
from .values.errors import InvalidCursor as InvalidCursor
from .values.errors import InvalidExport as InvalidExport
from .values.errors import InvalidMigrations as InvalidMigrations
from .values.errors import InvalidPayload as InvalidPayload
from .values.errors import InvalidSignature as InvalidSignature
from .values.errors import InvalidValue as InvalidValue
from .values.errors import LeaseLost as LeaseLost
from .values.errors import LocalServerError as LocalServerError
from .values.errors import MigrationFailed as MigrationFailed
from .values.errors import MigrationMismatch as MigrationMismatch
from .values.errors import QuillError as QuillError
from .values.errors import RequestRejected as RequestRejected
from .values.errors import SchemaMismatch as SchemaMismatch
from .values.errors import ServerUnreachable as ServerUnreachable
from .values.errors import TableNotFound as TableNotFound
from .values.errors import Throttled as Throttled
from .writes.results import PartialWriteError as PartialWriteError
from .writes.results import TransactionRefused as TransactionRefused

__all__: list[str]
