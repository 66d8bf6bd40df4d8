import { openSync, statfsSync, writeSync } from "node:fs";
import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { enterRoot, keepCapabilities, loadFileCalls, syncFileSystem } from "../../host/file-calls";
import type { LayerRecord } from "./layer-record";
import type { UnpackReport } from "./report";
import { UnpackError } from "./unpack-error";
import { unpackStream } from "./unpack-stream";

/** Descriptors besides the standard ones. */
export const LIST_FD = 3;

/**
 * Numbers of the capabilities that unpacking needs (capabilities(7)): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN (for
 * overlayfs's trusted.* attributes), MKNOD and SETFCAP.
 */
const CAPABILITIES = [0, 1, 3, 4, 21, 27, 31];
const STDIN = 0;
const STDOUT = 1;
const LIST_BUFFER = 64 * 1024;

/**
 * The main function of an unpacking process: reads a layer from standard input and unpacks it into a directory, which becomes its root
 * before the first byte is read, so that nothing in an archive can lead out of it. The result goes to standard output, the list
 * of files to descriptor 3.
 *
 * @param args the directory, the digest's algorithm, the bytes to keep free on the disk, and the kind of archive
 * @returns exit code of this process
 */
export async function unpackMain(args: readonly string[]): Promise<number> {
  const [directory = "", algorithm = "sha256", free = "0", kind = "layer"] = args;
  const send = (report: UnpackReport) => void writeSync(STDOUT, `${JSON.stringify(report)}\n`);
  // The plugin decides when this ends: by closing standard input, or by SIGKILL.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
  try {
    loadFileCalls();
    process.umask(0o022);
    enterRoot(directory);
    keepCapabilities(CAPABILITIES);
    const list = listWriter();
    const unpacked = await unpackStream(Bun.file(STDIN).stream(), {
      algorithm: algorithm === "sha512" ? "sha512" : "sha256",
      kind: kind === "tree" ? "tree" : "layer",
      record: list.add,
      check: () => refuseFullDisk(Number(free)),
    });
    list.flush();
    send({ kind: "unpacked", ...unpacked });
    return 0;
  } catch (error) {
    send(failureOf(error));
    return 1;
  }
}

/**
 * Syncs a directory's file system to its disk, which may take seconds and blocks the whole process.
 *
 * @returns exit code of this process
 */
export function syncMain([directory = "/"]: readonly string[]): number {
  syncFileSystem(openSync(directory, "r"));
  return 0;
}

function failureOf(error: unknown): UnpackReport {
  const message = errorText(error);
  if (error instanceof UnpackError) return { kind: "failed", why: "archive", message };
  const code = errnoCode(error);
  if (code === "ENOSPC" || code === "EDQUOT" || error instanceof DiskFullError) {
    return { kind: "failed", why: "disk full", message };
  }
  return { kind: "failed", why: "system", message };
}

class DiskFullError extends Error {
  override readonly name = "DiskFullError";
}

function refuseFullDisk(least: number): void {
  if (least === 0) return;
  const { bavail, bsize } = statfsSync("/");
  if (bavail * bsize < least)
    throw new DiskFullError("the disk would have less free space than gc.image_min_free requires");
}

/** Lines are buffered: there may be a hundred thousand. */
function listWriter(): { readonly add: (record: LayerRecord) => void; readonly flush: () => void } {
  let text = "";
  const flush = () => {
    for (let bytes = Buffer.from(text); bytes.length > 0; ) bytes = bytes.subarray(writeSync(LIST_FD, bytes));
    text = "";
  };
  return {
    add: (record) => {
      text += `${JSON.stringify(record)}\n`;
      if (text.length > LIST_BUFFER) flush();
    },
    flush,
  };
}
