import * as v from "valibot";

/** The messages of an unpacking process, one JSON object per line. */
const schema = v.variant("kind", [
  v.object({ kind: v.literal("unpacked"), diffId: v.string(), bytes: v.number(), entries: v.number() }),
  v.object({ kind: v.literal("failed"), why: v.picklist(["archive", "disk full", "system"]), message: v.string() }),
]);

/** A message of an unpacking process. */
export type UnpackReport = v.InferOutput<typeof schema>;

/** Parses a line; undefined for any other line. */
export function parseReport(line: string): UnpackReport | undefined {
  try {
    const parsed = v.safeParse(schema, JSON.parse(line));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
