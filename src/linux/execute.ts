import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { cString, libc } from "./ffi";

/**
 * Runs this process's executable again in its place, with the same arguments and further variables (execve(2)): the PID and the
 * descriptors of its standard streams stay. Returns only if the kernel refuses, and nothing has changed then.
 *
 * @param variables "NAME=VALUE" each
 */
export function executeAgain(variables: readonly string[]): void {
  // As bytes: names and values need not be UTF-8.
  const argv = vector(readFileSync("/proc/self/cmdline"), []);
  const environment = vector(readFileSync("/proc/self/environ"), variables);
  // The addresses alone do not keep the texts in memory.
  const kept = [argv.text, environment.text];
  libc().execve(cString(process.execPath), ptr(argv.addresses), ptr(environment.addresses));
  kept.length = 0;
}

/** Texts that end with a NUL each, and further ones, as the array of addresses that execve(2) takes. */
function vector(content: Buffer, more: readonly string[]) {
  const text = Buffer.concat([content, ...more.map(cString)]);
  const addresses: bigint[] = [];
  for (let start = 0; start < text.length; start = text.indexOf(0, start) + 1) {
    addresses.push(BigInt(ptr(text)) + BigInt(start));
  }
  return { text, addresses: BigUint64Array.of(...addresses, 0n) };
}
