"""OTLP/HTTP, so that OpenTelemetry's exporters and collectors report here; see `routes` for what is taken."""
