/**
 * Events that could not be sent yet, kept in localStorage so that they survive a reload.
 *
 * One text: a head line `attempts until`, then an event a line. Tabs of one origin share it; two of them may
 * send the same event, which the server stores once, by its id. Where storage is blocked or full, it lives in
 * memory.
 */
import { options } from "./events";

/** Half a megabyte of localStorage's usual five. */
const CHARS_MAX = 250_000;
/** No answer of a server keeps pages silent for longer. */
export const SILENCE_MAX_MS = 3_600_000;

export interface Backlog {
  /** Failed attempts in a row. */
  attempts: number;
  /** Not before this time, in ms since 1970. */
  until: number;
  /** Oldest first. */
  lines: string[];
}

let memory = "";
let stored = true;
const place = (): string => "signalbox.backlog." + options.key;

export const load = (): Backlog => {
  let text = memory;
  try {
    if (stored) text = localStorage.getItem(place()) || "";
  } catch {
    stored = false;
  }
  const [head, ...lines] = text.split("\n");
  const [attempts, until] = (head || "0 0").split(" ").map(Number);
  // A time that no server can have asked for was written by a clock that has been set back since.
  return { attempts: attempts || 0, until: until! < Date.now() + 2 * SILENCE_MAX_MS ? until! : 0, lines };
};

export const save = ({ attempts, until, lines }: Backlog): void => {
  let chars = 0;
  // Over the bound the oldest go: the newest say what is wrong now.
  const kept = lines
    .reverse()
    .filter((line) => (chars += line.length) < CHARS_MAX)
    .reverse();
  memory = attempts || kept.length ? [`${attempts} ${until}`, ...kept].join("\n") : "";
  try {
    if (!stored) return;
    if (memory) localStorage.setItem(place(), memory);
    else localStorage.removeItem(place());
  } catch {
    stored = false;
  }
};
