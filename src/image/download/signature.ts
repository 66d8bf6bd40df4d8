import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "../../host/programs";

/** Where systemd keeps the keys for image signatures: the administrator's file replaces the distribution's. */
export const KEYRINGS: readonly string[] = ["/etc/systemd/import-pubring.gpg", "/usr/lib/systemd/import-pubring.gpg"];

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
