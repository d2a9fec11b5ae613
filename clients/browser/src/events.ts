/** What goes over the wire: the field names and bounds of `shared/contracts/events.py`. */

export type Text = Record<string, string>;

/** Facts that a caller adds: fields of the event by their own name; every other key becomes a tag. */
export type Extra = Record<string, unknown>;

export interface Options {
  /** The project's public key, `sbpk_...`; it may only write. */
  key: string;
  /** Where ingest is; the origin of the script by default. */
  url?: string | undefined;
  /** The app's version. */
  release?: string | undefined;
  /** Such as `production`. */
  environment?: string | undefined;
  /** The route template of a URL, such as `/items/:id`; its path by default. */
  page?: ((url: URL) => string) | undefined;
}

/** Set by `init`; until then events wait in the buffer. */
export let options: Partial<Options> = {};
export const configure = (given: Options): void => {
  options = { ...options, ...given };
};

/** Fields that `Extra` may set; the server ignores those that do not belong to the event's type. */
const SETTABLE =
  "level,handled,fingerprint,user,page,url,unit,rating,metric_id,navigation_type,attribution".split(",");

/** Runs what belongs to us without ever throwing into the host page. */
export const safely = <A extends unknown[], R>(action: (...given: A) => R) => {
  return (...given: A): R | undefined => {
    try {
      return action(...given);
    } catch {
      // A page must not break because it is being watched.
    }
  };
};

/** A random UUID (version 4); `crypto.randomUUID` exists on secure pages only. */
export const newId = (): string =>
  "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () =>
    (crypto.getRandomValues(new Uint8Array(1))[0]! & 15).toString(16),
  );

let session = "";
/** One visit in one tab; it holds no identity, and ends with the tab. */
const sessionId = (): string => {
  const place = "signalbox.session";
  try {
    session = sessionStorage.getItem(place) || session || newId();
    sessionStorage.setItem(place, session);
  } catch {
    session ||= newId(); // Storage is blocked: one visit a page load.
  }
  return session;
};

const device = (): string => {
  const agent = navigator.userAgent;
  if (/iPad|Tablet|Silk|Android(?!.*Mobile)/.test(agent)) return "tablet";
  // An iPad presents itself as a Mac, and only its touch points tell it from one.
  if (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1) return "tablet";
  return /Mobi|Android|iPhone/.test(agent) ? "mobile" : "desktop";
};

/** A fragment may carry a token (OAuth's implicit flow), so it never leaves the page. */
export const withoutFragment = (url: string): string => url.split("#")[0]!;

/** The route of a URL, which is what page views and vitals are grouped by. */
export const pageOf = (url: string): string => {
  const parsed = new URL(url);
  return ((options.page && safely(options.page)(parsed)) || parsed.pathname).slice(0, 512);
};

const isObject = (value: unknown): value is object => !!value && typeof value === "object";

/** One event as a line of JSON: a snapshot, so that what the page changes later does not change it. */
export const toLine = (type: string, fields: object, extra?: Extra): string => {
  const tags: Text = {};
  const set: Extra = {};
  for (const [name, value] of Object.entries(isObject(extra) ? extra : {})) {
    if (value == null) continue;
    const settable = SETTABLE.includes(name);
    if (name === "tags") for (const [tag, text] of Object.entries(value)) tags[tag] = String(text);
    else if (settable && (isObject(value) || typeof value === "boolean")) set[name] = value;
    else (settable ? set : tags)[name] = String(value); // Numbers too: an id of a user is a text.
  }
  const url = String(set["url"] || location.href);
  return JSON.stringify({
    type,
    id: newId(),
    timestamp: new Date().toISOString(),
    session_id: sessionId(),
    page: pageOf(url),
    release: options.release,
    environment: options.environment,
    device: device(),
    tags,
    ...fields,
    ...set,
    url: withoutFragment(url),
  });
};
