"""The cost of telemetry: turned off, as logs, and with OpenTelemetry."""
