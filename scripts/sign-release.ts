/**
 * `bun scripts/sign-release.ts DIR`: signs SHA256SUMS of a release with the OpenPGP key in the variable RELEASE_KEY (armored, without a
 * passphrase), in a keyring of its own that is removed afterwards. Without the variable it fails: a release is signed.
 */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { attempt, run } from "../tools/command";
import { signSums } from "../tools/release/artifacts";

const [directory] = process.argv.slice(2);
const key = process.env["RELEASE_KEY"] ?? "";
if (directory === undefined) throw new Error("Missing argument: the directory of the release.");
if (key === "") throw new Error("The variable RELEASE_KEY is empty: set it to the armored secret key of releases.");
const home = await mkdtemp(join(tmpdir(), "release-key-"));
const env = { ...process.env, GNUPGHOME: home, RELEASE_KEY: undefined };
try {
  await chmod(home, 0o700);
  await run(["gpg", "--batch", "--import"], { env, stdin: key });
  const { stdout } = await run(["gpg", "--batch", "--with-colons", "--list-secret-keys"], { env });
  const fingerprint = /^fpr:+([0-9A-F]+):$/m.exec(stdout)?.[1];
  if (fingerprint === undefined) throw new Error("RELEASE_KEY holds no secret key.");
  console.log(`${await signSums(resolve(directory), fingerprint, env)} by ${fingerprint}`);
} finally {
  await attempt(["gpgconf", "--kill", "all"], { env });
  await rm(home, { recursive: true, force: true });
}
