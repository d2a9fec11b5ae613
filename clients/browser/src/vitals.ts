/** Google's web-vitals, with a small attribution of our own: its attribution build is 2 KB more. */
import { onCLS, onFCP, onINP, onLCP, onTTFB, type Metric } from "web-vitals";
import { safely, type Extra, type Text } from "./events";

/** `main>section.hero>#title`: enough to find an element by; at most four steps up. */
const selector = (node: Node | null | undefined): string => {
  const steps: string[] = [];
  let element = node instanceof Element ? node : node?.parentElement;
  while (element && steps.length < 4) {
    steps.unshift(element.id ? "#" + element.id : [element.localName, ...element.classList].join("."));
    element = element.id ? null : element.parentElement;
  }
  return steps.join(">").slice(-200);
};

/** What caused the value, by the entries that web-vitals computed it from. */
const attribution = ({ name, entries }: Metric): Text => {
  const cause: Text = {};
  const [first] = entries;
  let element: Node | null | undefined;
  if (!first) return cause;
  if (name === "LCP") {
    const paint = first as LargestContentfulPaint;
    element = paint.element;
    if (paint.url) cause["url"] = paint.url.slice(0, 500);
  } else if (name === "INP") {
    element = (entries as PerformanceEventTiming[]).find(({ target }) => target)?.target as Node | undefined;
    cause["event"] = first.name;
  } else if (name === "CLS") {
    const worst = (entries as LayoutShift[]).reduce((a, b) => (b.value > a.value ? b : a));
    element = worst.sources.find(({ node }) => node)?.node;
  }
  const found = selector(element);
  if (found) cause["element"] = found;
  return cause;
};

/** Reports each vital when it is final, and again, with the same `metric_id`, when it has grown. */
export const watchVitals = (report: (name: string, value: number, extra: Extra) => void): void => {
  const take = safely((metric: Metric) => {
    const { name, value, id, rating, navigationType, navigationURL } = metric;
    const digits = name === "CLS" ? 1e4 : 10;
    report(name, Math.round(value * digits) / digits, {
      unit: name === "CLS" ? "" : "ms",
      metric_id: id,
      rating,
      navigation_type: navigationType,
      // A vital belongs to the page that was loaded, wherever the visitor has gone since.
      url: navigationURL,
      attribution: attribution(metric),
    });
  });
  for (const watch of [onLCP, onINP, onCLS, onFCP, onTTFB]) watch(take);
};
