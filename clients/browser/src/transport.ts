/**
 * From the page to ingest: buffer, send, try again.
 *
 * An event is a line of JSON. It leaves the buffer in a batch, and a batch that fails goes to the backlog.
 * Every request is a "simple" one (text/plain, the key in the query), so that no CORS preflight doubles the
 * traffic.
 */
import { load, save, SILENCE_MAX_MS } from "./backlog";
import { options } from "./events";

const FLUSH_MS = 5_000;
const BATCH_EVENTS = 20;
/** Browsers refuse keepalive requests and beacons of more than 64 KiB under way. */
const BATCH_BYTES = 60_000;
/** A minute, and in the buffer: a page that fails in a loop must flood neither its visitor nor the server. */
const EVENTS_MAX = 300;
/** Longer than any stack and any sane set of properties; it could not be kept either. */
const EVENT_CHARS_MAX = 100_000;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;
const TIMEOUT_MS = 30_000;

const buffer: string[] = [];
/** The batch under way; one at a time. */
let flying: string[] = [];
let flight: Promise<void> | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let minute = 0;
let count = 0;

const endpoint = (): string => `${options.url}/error-tracking?key=${encodeURIComponent(options.key!)}`;

const bytesOf = (parts: string[]): number => new Blob(parts).size;

const bodyOf = (lines: string[]): string => `{"sent_at":"${new Date().toISOString()}","events":[${lines}]}`;

/** The first lines that fit into one request: at least one, however long it is. */
const head = (lines: string[]): string[] => {
  let size = BATCH_EVENTS;
  while (size > 1 && bytesOf(lines.slice(0, size)) > BATCH_BYTES) size >>= 1;
  return lines.slice(0, size);
};

const keep = (lines: string[]): void => {
  const backlog = load();
  const fresh = lines.filter((line) => !backlog.lines.includes(line));
  if (fresh.length) save({ ...backlog, lines: [...backlog.lines, ...fresh] });
};

const schedule = (delayMs: number): void => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = undefined;
    void flush();
  }, delayMs);
};

export const enqueue = (line: string): void => {
  const now = Math.floor(Date.now() / 60_000);
  count = now === minute ? count + 1 : 1;
  minute = now;
  if (count > EVENTS_MAX || buffer.length >= EVENTS_MAX || line.length > EVENT_CHARS_MAX) return;
  buffer.push(line);
  // Sending takes a millisecond or two: that is a task of its own, and not part of the caller's.
  if (buffer.length === BATCH_EVENTS) schedule(0);
  else if (!timer) schedule(FLUSH_MS);
};

/** Seconds or an HTTP date, as ms from now; 0 when absent, or not exposed to another origin by CORS. */
const retryAfterMs = (value: string | null): number => {
  const ms = Number(value) * 1_000 || Date.parse(value!) - Date.now();
  return Math.min(ms || 0, SILENCE_MAX_MS);
};

/** Posts the lines; resolves to undefined when that is done, else to the ms to wait before the next try. */
const post = async (lines: string[]): Promise<number | undefined> => {
  try {
    const { status, headers } = await fetch(endpoint(), {
      method: "POST",
      body: bodyOf(lines),
      credentials: "omit",
      keepalive: bytesOf(lines) <= BATCH_BYTES,
      signal: AbortSignal.timeout?.(TIMEOUT_MS),
    });
    if (status === 429 || status === 408 || status > 499) return retryAfterMs(headers.get("Retry-After"));
    // Refused for good: the same bytes will never be accepted. Say so to whoever set the page up.
    if (status > 399) console.warn("signalbox: refused with status", status);
  } catch {
    return 0; // Offline, blocked, timed out, or a server without CORS headers.
  }
  return undefined;
};

/** Sends what waits, oldest first, unless the server asked for silence; ends when no more can be sent now. */
export const flush = (): Promise<void> => (flight ??= send().then(land, land));

const land = (): void => {
  flight = undefined;
};

const send = async (): Promise<void> => {
  if (!options.key) return;
  const backlog = load();
  const silence = backlog.until - Date.now();
  if (silence > 0) {
    keep(buffer.splice(0));
    return schedule(silence);
  }
  flying = head(backlog.lines.length ? backlog.lines : buffer);
  if (!flying.length) return;
  if (!backlog.lines.length) buffer.splice(0, flying.length);

  const delay = await post(flying);
  const lines = flying;
  flying = [];
  if (delay === undefined) {
    const rest = load().lines.filter((line) => !lines.includes(line));
    save({ attempts: 0, until: 0, lines: rest });
    if (rest.length || buffer.length) return send();
  } else {
    keep([...lines, ...buffer.splice(0)]);
    const failed = load();
    const attempts = failed.attempts + 1;
    const backoff = Math.min(BACKOFF_MS * 2 ** attempts, BACKOFF_MAX_MS);
    // Half of it is chance, so that pages that failed together do not come back together.
    const wait = Math.max(delay, backoff / 2) + (Math.random() * backoff) / 2;
    save({ ...failed, attempts, until: Date.now() + wait });
    schedule(wait);
  }
};

/** The page may be gone in a moment: everything goes into a beacon, or to the backlog for the next page. */
export const hide = (): void => {
  if (!options.key) return;
  keep(flying); // Taken out again when its answer still arrives.
  const away = load().until > Date.now();
  while (buffer.length) {
    const lines = buffer.splice(0, head(buffer).length);
    if (away || !navigator.sendBeacon(endpoint(), bodyOf(lines))) keep(lines);
  }
};
