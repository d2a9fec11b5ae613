// What a shop's page does with @sentry/browser, unmodified; bundled by esbuild, where `@sentry/browser` is one of v8 to v11.
import * as Sentry from "@sentry/browser";

const { dsn, tunnel, release } = JSON.parse(document.currentScript.dataset.options);

Sentry.init({
  dsn,
  tunnel,
  release,
  environment: "ci",
  tracesSampleRate: 1,
  integrations: [Sentry.browserTracingIntegration()],
});
Sentry.setUser({ id: "u-1093" });
Sentry.setTag("shop", "berlin");

window.shop = {
  Sentry,
  fail() {
    null.price;
  },
};
