/** The value of a JSON text; undefined for any other text. The parser's own error would quote a part of it, which may be secret. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a value of unknown origin is an object with keys, neither null nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The properties that are not undefined: for types whose optional properties are absent rather than undefined. */
export function defined<T extends object>(properties: T): { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };
export function defined(properties: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
}
