import type { Subject } from "../transfer/errors";
import type { RetryOptions } from "../transfer/retry";

/** A machine image to be created under a name, as `machinectl pull-tar` and `pull-raw` do. */
export interface MachineImage {
  /** Its name: of the directory, or of the file without ".raw". */
  readonly name: string;
  /** http:, https: or file:. */
  readonly url: URL;
  readonly type: "tar" | "raw";
  readonly verify: "no" | "checksum" | "signature";
  /** Replaces an existing one. */
  readonly force: boolean;
}

export interface DownloadContext {
  /** The directory of machine images: /var/lib/machines. */
  readonly directory: string;
  /** The directory of locks; gone after a reboot. */
  readonly locks: string;
  /** File of additional trusted certificates. */
  readonly ca?: string | undefined;
  /** Replaces systemd's keyrings. */
  readonly keyring?: string | undefined;
  readonly timing?: RetryOptions;
  /** Bytes that stay free on the disk of `directory`; 0 for no limit. */
  readonly keepFree: number;
  /** Whether a root that the driver made shows the files of a directory; systemd-nspawn's locks say nothing about these. */
  readonly isUsed?: (path: string) => Promise<boolean>;
  /** Called with an image that is complete in its scratch directory, before it gets its name. */
  readonly onMade?: (image: MachineImage, scratch: string) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined;
}

/**
 * Whether systemd-importd may get a URL: it passes it to a program of its own as an argument, which every user of the host can read,
 * and writes it into the journal. So none with a user, password, query or fragment, which may all be secret. It downloads by HTTP only, and
 * pipes zstd data into tar, which cannot decompress it from a pipe (measured with 257).
 */
export function isForImportd({ protocol, pathname, username, password, search, hash }: URL): boolean {
  const bare = [username, password, search, hash].every((part) => part === "");
  return bare && (protocol === "http:" || protocol === "https:") && !/zstd?$/.test(pathname);
}

/** An image's name in errors. */
export function subjectOf({ name, url }: Pick<MachineImage, "name" | "url">): Subject {
  return { name: `image ${JSON.stringify(name)}`, host: url.protocol === "file:" ? url.pathname : url.host };
}
