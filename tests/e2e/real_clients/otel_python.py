"""One process of an app that exports by OTLP/HTTP, unmodified; OTEL_EXPORTER_OTLP_* say where to.

Prints the trace's id, as JSON, once everything is sent.
"""

import json
import logging

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class OutOfStock(Exception):
    """Nothing left."""


def main() -> None:
    resource = Resource.create(
        {"service.name": "checkout-python", "service.version": "4.12.0", "deployment.environment.name": "ci"}
    )
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(compression=Compression.Gzip)))
    meters = MeterProvider(
        resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())]
    )
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    log = logging.getLogger("shop")
    log.addHandler(LoggingHandler(logger_provider=logs))
    log.warning("hello")
    try:
        raise OutOfStock("item 7 is out of stock")
    except OutOfStock:
        log.exception("could not reserve")

    meter = meters.get_meter("shop")
    meter.create_counter("orders", unit="{order}").add(3, {"http.route": "/orders"})
    latency = meter.create_histogram("http.server.request.duration", unit="s")
    for seconds in (0.2, 0.4):
        latency.record(seconds, {"http.route": "/items/{id}"})

    try:
        with tracers.get_tracer("shop").start_as_current_span(
            "GET /items/{id}", attributes={"http.route": "/items/{id}"}
        ) as span:
            raise OutOfStock("item 8 is out of stock")
    except OutOfStock:
        trace_id = f"{span.get_span_context().trace_id:032x}"

    sent = logs.force_flush() and meters.force_flush() and tracers.force_flush()
    print(json.dumps({"sent": sent, "trace_id": trace_id}))
    for provider in (logs, meters, tracers):
        provider.shutdown()


if __name__ == "__main__":
    main()
