import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "../../linux/programs";

/** Where a file's checksums may be, and their signatures. */
interface ChecksumPlace {
  readonly sums: URL;
  /** Whether the list is for this image only; then the digest needs no name. */
  readonly own: boolean;
  /** Detached signatures: binary, then in ASCII. */
  readonly signatures: readonly URL[];
}

/** The last part of a URL's path: the file's name in a list of checksums. */
export function fileNameOf(url: URL): string {
  const last = url.pathname.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/**
 * The URLs that `machinectl pull-tar` tries, in its order: SHA256SUMS of the directory, then the image's own file
 * (systemd, pull-common.c).
 */
export function checksumPlaces(url: URL): ChecksumPlace[] {
  const beside = (name: string) => {
    const place = new URL(url);
    const path = url.pathname.split("/");
    place.pathname = [...path.slice(0, -1), name].join("/");
    return place;
  };
  const last = url.pathname.split("/").at(-1) ?? "";
  return ["SHA256SUMS", `${last}.sha256`].map((name) => ({
    sums: beside(name),
    own: name !== "SHA256SUMS",
    signatures: [beside(`${name}.gpg`), beside(`${name}.asc`)],
  }));
}

/**
 * A file's SHA-256 from a list, in lower case; undefined if it is not listed.
 *
 * @param own whether the list is for this file only: then its only line may be the digest without a name. In a list of several files
 * such a line would match any file.
 */
export function findChecksum(list: string, file: string, own: boolean): string | undefined {
  const lines = list.split("\n").filter((line) => line.trim() !== "");
  for (const line of lines) {
    const [, digest, name = ""] = /^([0-9a-fA-F]{64})(?:\s+\*?(.*?))?\s*$/.exec(line) ?? [];
    const named = name === "" ? own && lines.length === 1 : name.split("/").at(-1) === file;
    if (digest !== undefined && named) return digest.toLowerCase();
  }
  return undefined;
}

/** Where systemd keeps the keys for image signatures: the administrator's file replaces the distribution's. */
const KEYRINGS: readonly string[] = ["/etc/systemd/import-pubring.gpg", "/usr/lib/systemd/import-pubring.gpg"];

/** An invalid signature, or one that cannot be checked; the message is a clause. */
export class SignatureError extends Error {
  override readonly name = "SignatureError";
}

const TIMEOUT_MS = 60_000;

/** The first existing keyring; undefined if none exists. */
export function findKeyring(keyrings = KEYRINGS): string | undefined {
  return keyrings.find((path) => existsSync(path));
}

/**
 * Checks a detached signature with gpg, as systemd-importd does: exactly the keys in the keyring are trusted.
 *
 * @param scratch directory for temporary files of the check
 * @throws SignatureError
 */
export async function checkSignature(
  content: Uint8Array,
  signature: Uint8Array,
  { scratch, keyring = findKeyring() }: { readonly scratch: string; readonly keyring?: string | undefined },
): Promise<void> {
  const gpg = findProgram("gpg");
  if (gpg === undefined) {
    throw new SignatureError(
      'gpg, which is needed to check signatures, is not installed: install it (Debian and Ubuntu: package "gpg")',
    );
  }
  if (keyring === undefined)
    throw new SignatureError(`no keyring exists to check it with: neither ${KEYRINGS.join(" nor ")}`);
  const home = join(scratch, "gpg");
  await mkdir(home, { mode: 0o700 });
  try {
    const file = join(home, "signature");
    await writeFile(file, signature, { mode: 0o600 });
    const child = Bun.spawn(
      [
        ...[gpg, "--batch", "--no-options", "--no-default-keyring", "--no-auto-key-locate", "--no-auto-check-trustdb"],
        ...["--no-tty", "--trust-model=always", "--status-fd=1", `--homedir=${home}`, `--keyring=${keyring}`],
        ...["--verify", file, "-"],
      ],
      {
        env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" },
        stdin: content,
        stdout: "pipe",
        stderr: "pipe",
        timeout: TIMEOUT_MS,
        killSignal: "SIGKILL",
      },
    );
    const [status, said] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (child.exitCode === 0 && isGood(status)) return;
    throw new SignatureError(`its signature is not valid for ${keyring}: ${reason(status, said)}`);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** gpg exits with 0 also for expired keys and signatures (DETAILS of GnuPG, "General status codes"). */
function isGood(status: string): boolean {
  return (
    /^\[GNUPG:\] VALIDSIG /m.test(status) && !/^\[GNUPG:\] (?:EXPSIG|EXPKEYSIG|REVKEYSIG|BADSIG|ERRSIG) /m.test(status)
  );
}

function reason(status: string, said: string): string {
  const known: readonly (readonly [RegExp, string])[] = [
    [/^\[GNUPG:\] NO_PUBKEY (\w+)/m, "it was made with key $1, which is not in the keyring"],
    [/^\[GNUPG:\] BADSIG (\w+)/m, "the content was changed after it was signed with key $1"],
    [/^\[GNUPG:\] (?:EXPKEYSIG|EXPSIG) (\w+)/m, "key $1 or its signature has expired"],
    [/^\[GNUPG:\] REVKEYSIG (\w+)/m, "key $1 was revoked"],
    [/^\[GNUPG:\] NODATA/m, "it is not a signature"],
  ];
  for (const [pattern, text] of known) {
    const match = pattern.exec(status);
    if (match !== null) return text.replace("$1", match[1] ?? "");
  }
  return said.trim().split("\n").at(-1)?.slice(0, 200) ?? "gpg gave no reason";
}
