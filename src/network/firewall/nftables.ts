import { findProgram, STANDARD_DIRECTORIES } from "../../linux/programs";
import { bridgesAreFiltered } from "../../linux/sysctl";
import type { Records } from "../private/records";
import { NO_RULES, rules } from "./ruleset";

/** The host's rules could not be changed. */
export class FirewallError extends Error {
  override readonly name = "FirewallError";
}

/** The path of nft(8); undefined if it is not installed. */
function nftPath(): string | undefined {
  return findProgram("nft", STANDARD_DIRECTORIES);
}

/**
 * Applies the rules that the records need; does nothing if they are in force already, unless `anyway`.
 *
 * @param anyway also if they were applied before: another program may have removed them since
 * @throws FirewallError if the host has no nft, or the kernel refuses
 */
export async function applyRules(records: Records, { anyway = false } = {}): Promise<void> {
  const wanted = rules(await records.all(), { bridgesAreFiltered: bridgesAreFiltered() });
  const before = await records.rules();
  if (wanted === before && !(anyway && wanted !== "")) return;
  await nft(wanted === "" ? NO_RULES : wanted);
  await records.writeRules(wanted);
}

/** Runs nft with arguments. Returns its path and output; the output is "" if nft is missing or refuses. */
export async function attemptNft(
  args: readonly string[],
): Promise<{ readonly path: string | undefined; readonly output: string }> {
  const path = nftPath();
  if (path === undefined) return { path, output: "" };
  const { code, stdout } = await run([path, ...args]);
  return { path, output: code === 0 ? stdout : "" };
}

/** Runs a script atomically: all of it takes effect, or nothing. */
async function nft(script: string): Promise<void> {
  const path = nftPath();
  if (path === undefined) {
    throw new FirewallError(
      "nft is not installed on this client. It is needed to forward ports, and for containers to reach other hosts: install nftables.",
    );
  }
  const { code, stderr } = await run([path, "--file", "-"], script);
  if (code !== 0) throw new FirewallError(`nft cannot apply the rules: ${stderr.trim().slice(0, 500)}`);
}

async function run(argv: readonly string[], stdin = "") {
  const child = Bun.spawn([...argv], { cwd: "/", env: {}, stdin: new Blob([stdin]), stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}
