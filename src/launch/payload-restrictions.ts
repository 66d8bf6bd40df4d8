import type { TaskOptions } from "../config/task/options";
import { CAPABILITY_VERSION_3, SYS } from "../linux/constants";
import { socketFilter } from "../linux/socket-filter";
import type { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import type { Features } from "../nspawn/features";
import { type AddressFamilies, parseAddressFamilies } from "../values/address-families";
import { CAPABILITIES } from "../values/names";

/** What the program that starts a payload changes of its own rights, before it becomes the payload. */
export interface PayloadRestrictions {
  /** Undefined if systemd-nspawn restricts them, or none are. */
  readonly families: AddressFamilies | undefined;
  readonly ambient: readonly string[];
  readonly apparmor: string | undefined;
}

const PR_SET_KEEPCAPS = 8;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const SECCOMP_SET_MODE_FILTER = 1;
const SOCK_FILTER_SIZE = 8;
const WORD = 4;
/** Bytes of the halves of three sets, in capset(2)'s structure. */
const SET_HALVES = 3 * WORD;

/** The restrictions of a command. */
export function payloadRestrictions(options: TaskOptions, features: Features): PayloadRestrictions {
  const { restrict_address_families: names, ambient_capability: ambient, apparmor_profile: apparmor } = options;
  const families = features.restrictAddressFamilies ? undefined : parseAddressFamilies(names);
  return { families: typeof families === "string" ? undefined : families, ambient, apparmor };
}

/** Installs the filter of address families, while it still may. @param failed where it goes if the kernel refuses it */
export function restrictFamilies(program: ProgramBuilder, families: AddressFamilies, failed: Label): void {
  const filter = socketFilter(families);
  // struct sock_fprog: a 16-bit count, and the address at offset 8.
  const descriptor = program.words([filter.length / SOCK_FILTER_SIZE, program.bytes(filter)]);
  program.call(SYS.seccomp, [SECCOMP_SET_MODE_FILTER, 0, descriptor], { error: failed });
}

/** Keeps capabilities over the switch to a user, which follows. */
export function keepCapabilities(program: ProgramBuilder, failed: Label): void {
  program.call(SYS.prctl, [PR_SET_KEEPCAPS, 1, 0, 0, 0], { error: failed });
}

/** Makes capabilities ambient after the switch to a user (capabilities(7)), and gives up all others. */
export function makeAmbient(program: ProgramBuilder, names: readonly string[], failed: Label): void {
  const numbers = names.map((name) => CAPABILITIES.indexOf(name));
  const mask = numbers.reduce((all, number) => all | (1n << BigInt(number)), 0n);
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
  const header = program.bytes(new Uint8Array(Uint32Array.of(CAPABILITY_VERSION_3, 0).buffer));
  const sets = program.bytes(new Uint8Array(Uint32Array.of(low, low, low, high, high, high).buffer));
  program.call(SYS.capset, [header, sets], { error: failed });
  for (const number of numbers) {
    program.call(SYS.prctl, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0], { error: failed });
  }
}

/**
 * Empties the inheritable set, which systemd-nspawn fills with all capabilities that it keeps. A file's own capabilities would be added to it,
 * and for root the set itself, whatever the bounding set is (capabilities(7)). Container engines leave it empty too (CVE-2022-24769).
 *
 * @param uid the user that the program has switched to
 * @param failed where it goes if root keeps the set. Another user has no other capability, and its job may have forbidden capset(2)
 */
export function emptyInheritable(program: ProgramBuilder, uid: number, failed: Label): void {
  const header = program.bytes(new Uint8Array(Uint32Array.of(CAPABILITY_VERSION_3, 0).buffer));
  const sets = program.space(2 * SET_HALVES);
  if (uid !== 0) {
    program.call(SYS.capset, [header, sets]);
    return;
  }
  const own = program.space(2 * SET_HALVES);
  const zeros = program.space(8);
  program.call(SYS.capget, [header, own], { error: failed });
  // Effective and permitted of each half (capset(2)) are the process's own, which it copies by reading its own memory.
  const half = (address: number) => [address, 2 * WORD, zeros, WORD];
  const from = program.words([...half(own), ...half(own + SET_HALVES)]);
  const into = program.words([sets, 2 * SET_HALVES]);
  program.call(SYS.getpid, [], {}, program.argumentAhead(1));
  program.call(SYS.process_vm_readv, [0, into, 1, from, 4, 0], { error: failed });
  program.call(SYS.capset, [header, sets], { error: failed });
}
