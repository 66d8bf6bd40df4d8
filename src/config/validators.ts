import * as v from "valibot";

/** The longest string the kernel passes to a new process, in bytes: MAX_ARG_STRLEN (32 pages) without the final NUL. */
export const MAX_ARGUMENT_BYTES = 131_071;

/** What a parser returns on failure: the clause that ends the sentence "Option x = y is not valid: …". */
export class Problem {
  constructor(readonly clause: string) {}
}

/** A valibot action that rejects a value for which `problemOf` returns a problem. */
export function checked<T>(problemOf: (value: T) => string | undefined): v.RawCheckAction<T> {
  return v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const message = problemOf(dataset.value);
    if (message !== undefined) addIssue({ message });
  });
}

/** A valibot action that transforms a value, or rejects it with the problem's clause. */
export function parsed<TInput, TOutput>(
  parse: (value: TInput) => TOutput | Problem,
): v.RawTransformAction<TInput, TOutput> {
  return v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const result = parse(dataset.value);
    if (!(result instanceof Problem)) return result;
    addIssue({ message: result.clause });
    return NEVER;
  });
}

/** Why a string cannot be an argument of a program, or undefined. */
export function textProblem(text: string): string | undefined {
  if (text.includes("\0")) return "it must not contain a NUL character";
  if (Buffer.byteLength(text) > MAX_ARGUMENT_BYTES) return `it must not be longer than ${MAX_ARGUMENT_BYTES} bytes`;
  return undefined;
}

/** Why a path cannot name something inside a container, or undefined. */
export function absolutePathProblem(path: string): string | undefined {
  return path.startsWith("/") ? textProblem(path) : "it must be an absolute path";
}

/** True if a path has a ".." component, which systemd-nspawn calls not normalized. */
export function climbs(path: string): boolean {
  return path.split("/").includes("..");
}

/** Any string that can be an argument of a program. */
export const text = v.pipe(v.string(), checked(textProblem));

/** A string that is not empty. */
export const filledText = v.pipe(
  text,
  checked((value: string) => (value === "" ? "it must not be empty" : undefined)),
);

/** An absolute path inside the container. */
export const absolutePath = v.pipe(v.string(), checked(absolutePathProblem));

/** A path that systemd-nspawn resolves itself; it must be absolute and without "..". */
export const normalizedPath = v.pipe(
  absolutePath,
  checked((path: string) => (climbs(path) ? 'it must not contain ".."' : undefined)),
);

/**
 * Splits `a:b:c` at colons; `\:` is a colon and `\\` a backslash, as in systemd's extract_first_word().
 * At most `limit` parts are returned; the last one is the unsplit rest.
 */
export function splitColons(value: string, limit = Number.POSITIVE_INFINITY): string[] {
  const parts: string[] = [];
  let part = "";
  for (let i = 0; i < value.length; i++) {
    const c = value.charAt(i);
    if (c === "\\" && i + 1 < value.length) {
      part += value.charAt(++i);
    } else if (c === ":") {
      parts.push(part);
      part = "";
      if (parts.length === limit - 1) return [...parts, value.slice(i + 1)];
    } else {
      part += c;
    }
  }
  return [...parts, part];
}
