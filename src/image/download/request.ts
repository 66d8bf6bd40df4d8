import type { Timing } from "../http/patience";
import type { Subject } from "../http/transfer-error";

/** An image that is to be there under a name, as `machinectl pull-tar` and `pull-raw` make it. */
export interface MachineImage {
  /** Its name, which is that of the directory, or of the file before ".raw". */
  readonly name: string;
  /** http:, https: or file:. */
  readonly url: URL;
  readonly type: "tar" | "raw";
  readonly verify: "no" | "checksum" | "signature";
  /** Replaces one that is there. */
  readonly force: boolean;
}

/** What a download needs of its surroundings. */
export interface DownloadContext {
  /** Where machine images are: /var/lib/machines. */
  readonly directory: string;
  /** Where locks are; gone after a reboot. */
  readonly locks: string;
  /** argv that starts this program again. */
  readonly self: readonly string[];
  /** File of certificates that are trusted besides. */
  readonly ca?: string | undefined;
  /** Instead of systemd's keyrings. */
  readonly keyring?: string | undefined;
  readonly timing?: Timing;
  readonly signal: AbortSignal;
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined;
}

/** How an image is called in errors. */
export function subjectOf({ name, url }: Pick<MachineImage, "name" | "url">): Subject {
  return { name: `image ${JSON.stringify(name)}`, host: url.protocol === "file:" ? url.pathname : url.host };
}
