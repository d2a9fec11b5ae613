/** `window.signalbox`: what a page can call. Nothing here throws into it. */
import { describe, watchErrors } from "./errors";
import { configure, options, safely, toLine, type Extra, type Options } from "./events";
import { watchNavigation } from "./navigation";
import { enqueue, flush, hide } from "./transport";
import { watchVitals } from "./vitals";

const script = document.currentScript as HTMLScriptElement | null;

const track = (type: string, fields: object, extra?: Extra): void => enqueue(toLine(type, fields, extra));

const nameOf = (name: unknown): string => String(name || "unnamed").slice(0, 200);

/** Reports an error that the page has caught. */
const trackError = safely((error: unknown, extra?: Extra) => track("error", describe(error, true), extra));

/** Reports a measurement; `extra.unit` names its unit. A value that is no finite number is not sent. */
const trackMetric = safely((name: string, value: number, extra?: Extra) => {
  if (Number.isFinite(value)) track("metric", { name: nameOf(name), value }, extra);
});

/** Reports that a page is shown; only needed where the address does not change with it. */
const trackPageView = safely((page?: string, referrer = document.referrer) =>
  track("page_view", { title: document.title, referrer }, { page }),
);

/** Reports that something happened. */
const trackEvent = safely((name: string, properties: object = {}) =>
  track("event", { name: nameOf(name), properties: { ...properties } }),
);

let watching = false;

/** Starts watching the page; called again, it only changes the options. */
const init = safely((given: Options): void => {
  const { origin } = new URL(script?.src || location.href);
  configure({ ...given, url: (given.url || options.url || origin).replace(/\/+$/, "") });
  if (watching) return;
  watching = true;
  // web-vitals reports its last values in the capturing phase of the same event: they are in the buffer here.
  const leave = safely(hide);
  addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  addEventListener("pagehide", leave);
  watchErrors((fields) => safely(track)("error", fields));
  watchVitals(trackMetric);
  watchNavigation((referrer) => trackPageView(undefined, referrer));
  void flush(); // What an earlier page could not send.
});

const signalbox = { init, trackError, trackMetric, trackPageView, trackEvent, flush };

declare global {
  interface Window {
    signalbox?: typeof signalbox;
  }
}

// Included twice, the first one stays: it has the listeners.
if (!window.signalbox) {
  window.signalbox = signalbox;
  const { key, release, environment } = script?.dataset ?? {};
  if (key) init({ key, release, environment });
}
