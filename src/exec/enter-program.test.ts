import { expect, test } from "bun:test";
import { SYS } from "../linux/constants";
import { enterProgram } from "./enter-program";

/** The offset of a call in a program: its number and first arguments, as 64-bit words. */
function placeOf(program: Uint8Array, ...words: readonly number[]): number {
  return Buffer.from(program).indexOf(Buffer.from(BigInt64Array.from(words, BigInt).buffer));
}

test("the entering process becomes untraceable before it joins namespaces whose root may control it", () => {
  const program = enterProgram({
    leader: 42,
    namespaces: 0x1000_0000,
    cgroups: [],
    oomScoreAdjust: "0",
    credentials: { uid: 0, gid: 0, groups: [] },
    bounding: 0n,
    inheritable: 0n,
    permitted: 0n,
    noNewPrivileges: false,
    filters: [],
    terminal: false,
    directories: ["/"],
    programs: ["/bin/true"],
    argv: ["true"],
    environment: [],
  });
  const setDumpable = placeOf(program, SYS.prctl, 4, 0);
  expect(setDumpable).toBeGreaterThan(0);
  expect(setDumpable).toBeLessThan(placeOf(program, SYS.setns, 3, 0x1000_0000));
});
