/** Page views: the page that was loaded, and every one that a single-page app shows after it. */
import { pageOf, safely, withoutFragment } from "./events";

/** Calls `report` with the previous URL as the referrer, once a page. */
export const watchNavigation = (report: (referrer: string) => void): void => {
  let shown = "";
  let previous = document.referrer;
  const place = (): string => location.pathname + " " + pageOf(location.href);

  const look = safely(() => {
    // Frameworks replace the state to remember a scroll position; that is no new page.
    if (place() === shown) return;
    shown = place();
    report(previous);
    previous = withoutFragment(location.href);
  });
  // After the running task, so that a redirect counts as one page, and the title is the new one's.
  const later = (): unknown => setTimeout(look);

  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (...given) {
      original.apply(this, given);
      later();
    };
  }
  addEventListener("popstate", later);
  addEventListener("pageshow", ({ persisted }) => {
    // Back from the back/forward cache: no script ran, and yet somebody looks at it again.
    if (!persisted) return;
    shown = "";
    later();
  });
  // A prerendered page is not looked at before it is activated.
  if (document.prerendering) document.addEventListener("prerenderingchange", look);
  else look();
};
