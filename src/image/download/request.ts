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
  /** Bytes that stay free on the disk of `directory`; 0 for no limit. */
  readonly keepFree: number;
  readonly signal: AbortSignal;
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined;
}

/**
 * Whether systemd-importd may be given a URL: it hands it on to a program of its own as an argument, which every user of the host can read,
 * and writes it into the journal. So none with a user, password, query or fragment, which may all be secret. It downloads by HTTP only, and
 * has tar undo zstd from a pipe, which that cannot (measured with 257).
 */
export function isForImportd({ protocol, pathname, username, password, search, hash }: URL): boolean {
  const bare = [username, password, search, hash].every((part) => part === "");
  return bare && (protocol === "http:" || protocol === "https:") && !/zstd?$/.test(pathname);
}

/** How an image is called in errors. */
export function subjectOf({ name, url }: Pick<MachineImage, "name" | "url">): Subject {
  return { name: `image ${JSON.stringify(name)}`, host: url.protocol === "file:" ? url.pathname : url.host };
}
