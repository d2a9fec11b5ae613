// One process of an app that uses @sentry/node, unmodified: `node sentry_node.mjs sentry-node-11`, with SENTRY_DSN and SENTRY_RELEASE.
// Prints the ids of the events that it captured, as JSON, once everything is sent.
const Sentry = await import(process.argv[2]);

Sentry.init({
  dsn: process.env.SENTRY_DSN,
  environment: "ci",
  serverName: "node-1",
  tracesSampleRate: 1,
});

class OutOfStock extends Error {
  name = "OutOfStock";
}

function reserve(item) {
  throw new OutOfStock(`item ${item} is out of stock`);
}

Sentry.setUser({ id: "u-1093", email: "ann@example.org" });
Sentry.setTag("shop", "berlin");
Sentry.setContext("order", { items: 3 });
Sentry.addBreadcrumb({ category: "cart", message: "added item 7", level: "info", data: { item: 7 } });

const ids = {};
try {
  reserve(7);
} catch (error) {
  ids.exception = Sentry.captureException(error);
}
ids.message = Sentry.captureMessage("stock is low", "warning");
Sentry.withScope((scope) => {
  scope.setFingerprint(["checkout", "timeout"]);
  scope.setLevel("fatal");
  ids.fingerprint = Sentry.captureException(new TypeError("timed out"));
});
Sentry.startSpan({ name: "GET /items/:id", op: "http.server" }, () => {});
Sentry.captureCheckIn({ monitorSlug: "nightly", status: "ok" });
Sentry.captureFeedback({ message: "I like it", email: "ann@example.org" });
if (!(await Sentry.flush(10_000))) process.exitCode = 1;
console.log(JSON.stringify(ids));
