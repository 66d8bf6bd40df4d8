import * as v from "valibot";
import { StoreError } from "../lib/errors";
import { parseJson } from "../lib/objects";
import type { Platform } from "./platform";

const texts = v.nullish(v.array(v.string()));
const text = v.nullish(v.string());

/** The used parts of an image's config (OCI image spec, config.md; docker's schema 2 has the same names). */
const schema = v.object({
  os: text,
  architecture: text,
  variant: text,
  config: v.nullish(
    v.object({
      User: text,
      Env: texts,
      Entrypoint: texts,
      Cmd: texts,
      WorkingDir: text,
      StopSignal: text,
      Volumes: v.nullish(v.record(v.string(), v.unknown())),
    }),
  ),
  rootfs: v.object({ type: text, diff_ids: v.array(v.string()) }),
});

export type ImageConfig = v.InferOutput<typeof schema>;

/** Maximum size of a config in bytes; typical ones have some ten thousand. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** The platform that a config names; undefined if it is not an image's config. */
export function configPlatform(content: string): Platform | undefined {
  const parsed = v.safeParse(schema, parseJson(content));
  if (!parsed.success) return undefined;
  const { os, architecture, variant } = parsed.output;
  return { os: os ?? "", architecture: architecture ?? "", variant: variant ?? "" };
}

/**
 * Parses an image's config.
 *
 * @param type its media type, for the error
 * @throws StoreError if it is invalid, or not of an image that can be unpacked
 */
export function parseImageConfig(content: string, image: string, type = ""): ImageConfig {
  const refuse = (why: string) => new StoreError(`The image ${image} cannot be used: ${why}.`, { recoverable: false });
  const raw = parseJson(content);
  if (raw === undefined) throw refuse("its config is not JSON");
  const parsed = v.safeParse(schema, raw);
  if (!parsed.success) {
    const named = type === "" ? "" : `, with the type ${JSON.stringify(type.slice(0, 100))}`;
    throw refuse(`its config is not an image config (it may be another artifact, such as a chart${named})`);
  }
  const { os, rootfs } = parsed.output;
  if (os !== undefined && os !== null && os !== "" && os !== "linux") throw refuse(`it is for ${os}, not for linux`);
  const odd = rootfs.diff_ids.find((id) => !/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(id));
  if (odd !== undefined) throw refuse(`${JSON.stringify(odd.slice(0, 100))} is not a layer digest`);
  return parsed.output;
}
