import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { ignoreMissing } from "../../lib/errors";
import { writeAtomically } from "../../lib/files";
import { parseJson } from "../../lib/objects";
import type { ImageSignature } from "../signature/payload";
import { digestName, type StorePaths } from "./store-format";

/** A file of signatures; they are verified again whenever they are used. */
const schema = v.object({
  version: v.literal(1),
  signatures: v.array(v.object({ payload: v.string(), payloadType: v.optional(v.string()), signature: v.string() })),
});

/** The signatures that were fetched for an image of the store; none if it was not needed. */
export async function storedSignatures(paths: StorePaths, digest: string): Promise<readonly ImageSignature[]> {
  const text = await readFile(signaturesPath(paths, digest), "utf8").catch(ignoreMissing);
  const parsed = v.safeParse(schema, parseJson(text ?? ""));
  if (!parsed.success) return [];
  return parsed.output.signatures.map(({ payload, payloadType, signature }) => ({
    payload: Buffer.from(payload, "base64"),
    ...(payloadType === undefined ? {} : { payloadType }),
    signature,
  }));
}

/** Keeps the signatures of an image, so that it can be used while its registry cannot be reached. */
export async function storeSignatures(
  paths: StorePaths,
  digest: string,
  signatures: readonly ImageSignature[],
): Promise<void> {
  const record = {
    version: 1,
    signatures: signatures.map(({ payload, ...its }) => ({ payload: payload.toString("base64"), ...its })),
  };
  await writeAtomically(signaturesPath(paths, digest), `${JSON.stringify(record)}\n`);
}

/** Removes the signatures of images that the store no longer has. @param images digests of those that it has */
export async function removeSignatures(paths: StorePaths, images: ReadonlySet<string>): Promise<void> {
  const wanted = new Set([...images].map((digest) => `${digestName(digest)}.json`));
  for (const name of (await readdir(paths.signatures).catch(ignoreMissing)) ?? []) {
    if (!wanted.has(name)) await rm(join(paths.signatures, name), { force: true });
  }
}

function signaturesPath(paths: StorePaths, digest: string): string {
  return join(paths.signatures, `${digestName(digest)}.json`);
}
