import * as v from "valibot";

/** What an unpacking process says, one JSON object a line. */
const schema = v.variant("kind", [
  v.object({ kind: v.literal("unpacked"), diffId: v.string(), bytes: v.number(), entries: v.number() }),
  v.object({ kind: v.literal("failed"), why: v.picklist(["archive", "disk full", "system"]), message: v.string() }),
]);

/** A line of an unpacking process. */
export type UnpackReport = v.InferOutput<typeof schema>;

/** Reads a line; undefined for one that is none of ours. */
export function parseReport(line: string): UnpackReport | undefined {
  try {
    const parsed = v.safeParse(schema, JSON.parse(line));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
