import { ptr } from "bun:ffi";
import { closeSync, constants, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ifThere, permitted } from "../../lib/errors";
import { SYS } from "../constants";
import { libc } from "../ffi";
import { deviceProgram } from "./device-program";
import type { CgroupLayout } from "./layout";
import { cgroupDirectories } from "./manager";

/** Commands and types of bpf(2), of linux/bpf.h. */
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/** Added to the programs others attached: the host's systemd, or a container runtime around us. */
const BPF_F_ALLOW_MULTI = 2;
const INSTRUCTION_SIZE = 8;
const LOAD_SIZE = 72;
const ATTACH_SIZE = 16;

/**
 * Attaches a program to a v2 cgroup that decides which devices its processes may open or create. It stays attached as long as the cgroup exists.
 *
 * @param instructions see deviceProgram()
 * @returns false if the kernel or the host refuses it
 */
export function attachDeviceProgram(cgroup: string, instructions: Uint8Array): boolean {
  const license = Buffer.from("\0");
  const load = new DataView(new ArrayBuffer(LOAD_SIZE));
  load.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  load.setUint32(4, instructions.length / INSTRUCTION_SIZE, true);
  load.setBigUint64(8, BigInt(ptr(instructions)), true);
  load.setBigUint64(16, BigInt(ptr(license)), true);
  const program = bpf(BPF_PROG_LOAD, new Uint8Array(load.buffer));
  if (program === undefined) return false;
  using open = new DisposableStack();
  open.adopt(program, closeSync);
  let result: number | undefined;
  permitted(() => {
    const directory = open.adopt(openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY), closeSync);
    const attach = Uint32Array.of(directory, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI);
    result = bpf(BPF_PROG_ATTACH, new Uint8Array(attach.buffer, 0, ATTACH_SIZE));
  });
  return result !== undefined;
}

/** A device and the allowed access: letters of r, w and m. */
interface AllowedDevice {
  /** A node, `/dev/char/MAJOR:MINOR`, or `char-GROUP`; "block" for "char" likewise (DeviceAllow= of systemd). */
  readonly path: string;
  readonly permissions: string;
}

/** What DevicePolicy=closed of systemd allows (cgroup.c, bpf-devices.c): null, zero, full, random, urandom, tty, ptmx. */
const standardDevices = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2"].map((numbers) => `c ${numbers} rwm`);

/**
 * Lines for devices.allow of a v1 cgroup, written after denying everything (Documentation/admin-guide/cgroup-v1/devices.rst).
 * Devices that this host does not have are left out.
 *
 * @param groups content of /proc/devices
 */
export function deviceRules(
  devices: readonly AllowedDevice[],
  groups: string,
  numbersOf: (path: string) => string | undefined,
): readonly string[] {
  const lines = devices.flatMap(({ path, permissions }) => {
    const [, named, numbers] = /^\/dev\/(char|block)\/(\d+:\d+)$/.exec(path) ?? [];
    if (named !== undefined) return [`${named === "char" ? "c" : "b"} ${numbers} ${permissions}`];
    const [, kind, group = ""] = /^(char|block)-(.+)$/.exec(path) ?? [];
    if (kind !== undefined && group === "*") return [`${kind.charAt(0)} *:* ${permissions}`];
    if (kind !== undefined)
      return majors(groups, kind, group).map((major) => `${kind.charAt(0)} ${major}:* ${permissions}`);
    const found = numbersOf(path);
    return found === undefined ? [] : [`${found} ${permissions}`];
  });
  return [...standardDevices, ...lines];
}

/** The rules on this host. */
export function readDeviceRules(devices: readonly AllowedDevice[]): readonly string[] {
  return deviceRules(devices, readFileSync("/proc/devices", "utf8"), deviceNumbers);
}

/**
 * Lets a task's cgroup open only the given devices: by the v1 controller if the host has it, otherwise by a BPF program of
 * the v2 tree.
 *
 * @param rules lines for devices.allow
 * @returns whether they are enforced
 */
export function confineDevices(layout: CgroupLayout, name: string, rules: readonly string[]): boolean {
  const directories = cgroupDirectories(layout, name);
  const [legacy, unified] = [directories.get("devices"), directories.get("unified")];
  return (
    (legacy !== undefined && writeRules(legacy, rules)) ||
    (unified !== undefined && attachDeviceProgram(unified, deviceProgram(rules)))
  );
}

function writeRules(directory: string, rules: readonly string[]): boolean {
  return permitted(() => {
    writeFileSync(join(directory, "devices.deny"), "a");
    for (const rule of rules) writeFileSync(join(directory, "devices.allow"), rule);
  });
}

/** "c MAJOR:MINOR" of a node; undefined if it does not exist. */
function deviceNumbers(path: string): string | undefined {
  const stats = ifThere(() => statSync(path), undefined);
  if (stats?.isCharacterDevice() !== true && stats?.isBlockDevice() !== true) return undefined;
  return `${stats.isBlockDevice() ? "b" : "c"} ${majorOf(stats.rdev)}:${minorOf(stats.rdev)}`;
}

/** The inverse of glibc's makedev(3). */
export function majorOf(device: number): number {
  return Number(((BigInt(device) >> 8n) & 0xfffn) | ((BigInt(device) >> 32n) & 0xfffff000n));
}

/** The minor number; see majorOf(). */
export function minorOf(device: number): number {
  return Number((BigInt(device) & 0xffn) | ((BigInt(device) >> 12n) & 0xffffff00n));
}

function majors(groups: string, kind: string, group: string): readonly string[] {
  const [characters = "", blocks = ""] = groups.split("Block devices:");
  return (kind === "char" ? characters : blocks).split("\n").flatMap((line) => {
    const [, major, name] = /^\s*(\d+) (.+)$/.exec(line) ?? [];
    return major !== undefined && name === group ? [major] : [];
  });
}

/** bpf(2) with its attributes; returns its result, usually a descriptor, or undefined after an error. */
function bpf(command: number, attributes: Uint8Array): number | undefined {
  const result = Number(libc().syscall(SYS.bpf, command, ptr(attributes), attributes.length, 0, 0));
  return result >= 0 ? result : undefined;
}
