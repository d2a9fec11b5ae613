// Node's usual way: fastify with a JSON schema, kafkajs (idempotent, acks=all), a 202 after the acknowledgement.
// `node server.mjs PORT`; MODE=shared lets all requests that wait share one send, as ingest's lanes do.
import Fastify from "fastify";
import { Kafka, logLevel } from "kafkajs";

const shared = process.env.MODE === "shared";
const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
const topics = { page_view: "signalbox.page-views.v1", metric: "signalbox.metrics.v1" };

const text = (max) => ({ type: "string", maxLength: max });
const common = {
  timestamp: { type: "string", format: "date-time" }, session_id: text(64), url: { type: "string" },
  page: text(512), release: text(200), device: { enum: ["mobile", "tablet", "desktop", "unknown"] },
};
const event = {
  oneOf: [
    { type: "object", required: ["type"],
      properties: { type: { const: "page_view" }, title: { type: "string" }, referrer: { type: "string" }, ...common } },
    { type: "object", required: ["type", "name", "value"],
      properties: { type: { const: "metric" }, name: { ...text(200), minLength: 1 }, value: { type: "number" },
                    unit: text(32), metric_id: text(100), ...common } },
  ],
};

let waiting = [], sending = false;
async function drain() {
  sending = true;
  while (waiting.length) {
    const batch = waiting;
    waiting = [];
    try {
      await producer.sendBatch({ acks: -1, topicMessages: batch.flatMap((one) => one.records) });
      batch.forEach((one) => one.resolve());
    } catch (error) {
      batch.forEach((one) => one.reject(error));
    }
  }
  sending = false;
}

function publish(events) {
  const records = events.map((one) => (
    { topic: topics[one.type], messages: [{ key: one.page, value: JSON.stringify(one) }] }));
  if (!shared) return producer.sendBatch({ acks: -1, topicMessages: records });
  return new Promise((resolve, reject) => {
    waiting.push({ records, resolve, reject });
    if (!sending) drain();
  });
}

const app = Fastify({ logger: false });
app.post("/v1/event", { schema: { body: event } }, async (request, reply) => {
  await publish([request.body]);
  return reply.code(202).send({ accepted: 1 });
});
app.post("/v1/events", { schema: { body: { type: "array", items: event } } }, async (request, reply) => {
  await publish(request.body);
  return reply.code(202).send({ accepted: request.body.length });
});
app.get("/readyz", async () => ({ status: "ok" }));

await producer.connect();
await app.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
process.on("SIGTERM", () => process.exit(0));
