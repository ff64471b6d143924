"""OpenTelemetry: one trace for each run, across processes and waits, and metrics. Extra `otel`.

    mesh = Mesh(pool, oban=oban, workflows=[…], observers=[OpenTelemetry()])

Needs the API only; what becomes of spans and metrics is for the application's SDK to say.
"""

from squid_mesh.integrations.otel.instrument import OpenTelemetry

__all__ = ["OpenTelemetry"]
