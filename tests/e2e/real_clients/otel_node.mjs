// One process of an app that exports by OTLP/HTTP, unmodified: `node otel_node.mjs proto|http` (http sends JSON).
// Endpoint and headers are in OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS.
import { SpanStatusCode } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [, , encoding] = process.argv;
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${encoding}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${encoding}`);
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${encoding}`);

const resource = resourceFromAttributes({
  "service.name": `checkout-${encoding}`,
  "service.version": "4.12.0",
  "deployment.environment.name": "ci",
});

const logs = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});
const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() });
const meters = new MeterProvider({ resource, readers: [reader] });
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});

class OutOfStock extends Error {
  name = "OutOfStock";
}
const error = new OutOfStock("item 7 is out of stock");

logs.getLogger("shop").emit({ severityNumber: SeverityNumber.INFO, body: "hello" });
logs.getLogger("shop").emit({
  severityNumber: SeverityNumber.ERROR,
  severityText: "ERROR",
  body: "could not reserve",
  attributes: {
    "exception.type": error.name,
    "exception.message": error.message,
    "exception.stacktrace": error.stack,
  },
});

const meter = meters.getMeter("shop");
meter.createCounter("orders", { unit: "{order}" }).add(3, { "http.route": "/orders" });
meter.createGauge("queue.depth").record(12.5);
const latency = meter.createHistogram("http.server.request.duration", { unit: "s" });
latency.record(0.2, { "http.route": "/items/:id" });
latency.record(0.4, { "http.route": "/items/:id" });

const span = tracers.getTracer("shop").startSpan("GET /items/:id", { attributes: { "http.route": "/items/:id" } });
span.recordException(error);
span.setStatus({ code: SpanStatusCode.ERROR });
span.end();
const traceId = span.spanContext().traceId;

await logs.forceFlush();
await meters.forceFlush();
await tracers.forceFlush();
console.log(JSON.stringify({ traceId }));
await Promise.all([logs.shutdown(), meters.shutdown(), tracers.shutdown()]);
