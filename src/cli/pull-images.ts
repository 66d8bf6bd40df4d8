import { dirname } from "node:path";
import type { PluginOptions } from "../config/plugin/options";
import { createLogger } from "../plugin/logger";
import { imageRef } from "../rootfs/image-ref";
import { OciImages } from "../rootfs/oci-images";
import { type Terminal, UsageError } from "./command";

/** Where results go. */
interface Output {
  readonly terminal: Terminal;
  readonly asJson: boolean;
}

/** A task's directory that does not exist: relative paths mean nothing here. */
const NO_TASK = "/nonexistent/task/local";

/**
 * `images pull`: fetches images into a store, as for a task with pull = "always", with the given plugin config.
 *
 * @returns exit code
 * @throws UsageError, and what OciImages.acquire() throws
 */
export async function pullImages(
  names: readonly string[],
  config: PluginOptions,
  { terminal, asJson }: Output,
): Promise<number> {
  if (names.length === 0) throw new UsageError("Expected the names of images, such as docker.io/library/alpine:3.20.");
  // Garbage collection is the plugin's: this process would wait for it.
  const options = { ...config, gc: { ...config.gc, image: false } };
  const log = createLogger("images", (line) => terminal.err(line));
  const images = new OciImages({ options: () => options, log });
  const stop = new AbortController();
  const pulled: object[] = [];
  for (const name of names) {
    const ref = imageRef(name, { pluginDir: dirname(process.execPath), local: NO_TASK });
    if (ref.kind === "host") {
      throw new UsageError(
        `${JSON.stringify(name)} is not the name of a container image: write a tag, a registry or docker:// with it, or oci:, oci-archive: or docker-archive:.`,
      );
    }
    const pull = ref.kind === "registry" ? ("always" as const) : undefined;
    const task = { image: name, auth: undefined, pull };
    const { acquired } = await images.acquire(task, ref, { signal: stop.signal, onProgress: () => {} });
    using lease = acquired;
    const { digest } = lease.image;
    pulled.push({ name, digest, fetched: lease.fetched });
    if (!asJson) terminal.out(`${name}\n    ${digest}${lease.fetched ? "" : ", was in the store"}\n`);
  }
  if (asJson) terminal.out(`${JSON.stringify({ images: pulled }, undefined, 2)}\n`);
  return 0;
}
