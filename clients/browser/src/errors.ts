/** Anything that can be thrown, as the fields of an error event. */

interface ErrorFields {
  message: string;
  exception_type: string;
  stack: string;
  handled: boolean;
}

/** A hundred frames, and then some: a stack that recurses would say the same again. */
const TEXT_CHARS_MAX = 20_000;

const textOf = (value: unknown): string => {
  try {
    // An object without a text of its own says more as JSON than as [object Object].
    const text = String(value);
    return ((text.startsWith("[object ") && JSON.stringify(value)) || text).slice(0, TEXT_CHARS_MAX);
  } catch {
    return typeof value;
  }
};

/**
 * `type` names what is not an error object, which has no name of its own. Errors of another frame are not
 * instances of our `Error`, so they are known by what they have.
 */
export const describe = (thrown: unknown, handled: boolean, type = "Error", place = ""): ErrorFields => {
  const error = (Object(thrown) === thrown ? thrown : {}) as Partial<Error>;
  const name = textOf(error.name || type).slice(0, 200);
  return {
    message: textOf(error.message ?? thrown) || name,
    exception_type: name,
    stack: textOf(error.stack || place),
    handled,
  };
};

/** Reports what nothing in the page has caught. */
export const watchErrors = (report: (fields: ErrorFields) => void): void => {
  addEventListener("error", ({ error, message, filename, lineno, colno }) => {
    // A script of another origin without CORS shows a message only; its place is all there is.
    report(describe(error ?? message, false, "Error", filename && `at ${filename}:${lineno}:${colno}`));
  });
  addEventListener("unhandledrejection", ({ reason }) => {
    report(describe(reason, false, "UnhandledRejection"));
  });
};
