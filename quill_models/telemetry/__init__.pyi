from .opentelemetry import OpenTelemetry as OpenTelemetry
from .operations import Telemetry as Telemetry

__all__: list[str]
