/** An archive that cannot be unpacked; the message is the last clause of the sentence "The layer cannot be unpacked: …". */
export class UnpackError extends Error {
  override readonly name = "UnpackError";
}

/** Quotes a name from an archive for an error: of limited length, and without terminal control characters. */
export function shown(name: string): string {
  const text = Buffer.from(name, "latin1").toString("utf8");
  return JSON.stringify(text.length <= 200 ? text : `${text.slice(0, 200)}…`);
}
