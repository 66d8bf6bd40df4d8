/** Readers of parsed JSON. They replace a schema library, to save memory in the shim, which every container has. */
type Fields = Record<string, unknown>;

/** The value as an object; throws for anything else. */
export function asRecord(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("an object is missing");
  return Object.fromEntries(Object.entries(value));
}

/** The object at a key. */
export function objectOf(record: Fields, key: string): Fields {
  return need(key, "an object", () => asRecord(record[key]));
}

/** The list of objects at a key. */
export function objectsOf(record: Fields, key: string): readonly Fields[] {
  const value = record[key];
  return Array.isArray(value)
    ? need(key, "a list of objects", () => value.map(asRecord))
    : wrong(key, "a list of objects");
}

/** The string at a key. */
export function stringOf(record: Fields, key: string): string {
  const value = record[key];
  return typeof value === "string" ? value : wrong(key, "a string");
}

/** The number at a key. */
export function numberOf(record: Fields, key: string): number {
  const value = record[key];
  return typeof value === "number" ? value : wrong(key, "a number");
}

/** The string at a key; it must be one of `allowed`. */
export function wordOf<Word extends string>(record: Fields, key: string, allowed: readonly Word[]): Word {
  return allowed.find((word) => word === record[key]) ?? wrong(key, `one of ${allowed.join(", ")}`);
}

/** The list of strings at a key. */
export function stringsOf(record: Fields, key: string): readonly string[] {
  const value = record[key];
  return Array.isArray(value) && value.every((item) => typeof item === "string")
    ? value
    : wrong(key, "a list of strings");
}

/** The object of strings at a key. */
export function stringMapOf(record: Fields, key: string): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(record, key));
  return Object.fromEntries(
    entries.map(([name, value]): [string, string] => [name, typeof value === "string" ? value : wrong(key, "strings")]),
  );
}

/** An object with the key, or without it if it is absent, as exactOptionalPropertyTypes requires. */
export function optional<Key extends string, Value>(
  record: Fields,
  key: Key,
  read: (record: Fields, key: string) => Value,
): { readonly [Name in Key]?: Value };
export function optional(record: Fields, key: string, read: (record: Fields, key: string) => unknown): Fields {
  return record[key] === undefined ? {} : { [key]: read(record, key) };
}

function need<Value>(key: string, what: string, read: () => Value): Value {
  try {
    return read();
  } catch {
    return wrong(key, what);
  }
}

function wrong(key: string, what: string): never {
  throw new Error(`${JSON.stringify(key)} is not ${what}`);
}
