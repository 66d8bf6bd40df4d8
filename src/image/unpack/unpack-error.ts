/** An archive that is not unpacked; the message is a clause that ends the sentence "The layer cannot be unpacked: …". */
export class UnpackError extends Error {
  override readonly name = "UnpackError";
}

/** A name from an archive for an error: of limited length, and with nothing a terminal would act on. */
export function shown(name: string): string {
  const text = Buffer.from(name, "latin1").toString("utf8");
  return JSON.stringify(text.length <= 200 ? text : `${text.slice(0, 200)}…`);
}
