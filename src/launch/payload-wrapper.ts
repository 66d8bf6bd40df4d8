import { programPaths } from "../exec/session-plan";
import { AT_FDCWD, O_CLOEXEC, PR_CAPBSET_DROP, SYS } from "../linux/constants";
import { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import { requestProfile } from "../linux/syscall-program/request-profile";
import { makeMachineGate, writeMachineProgram } from "../machine/files";
import { type TaskEnvironment, taskEnvironment } from "../nspawn/environment";
import { WRAPPER } from "../nspawn/payload";
import type { Rootfs } from "../rootfs/rootfs";
import type { RunLink } from "../rootfs/run-directory";
import { CAPABILITIES } from "../values/names";
import type { Credentials } from "../values/passwd";
import { insideSetup, needsSetup } from "./inside-setup";
import {
  emptyInheritable,
  keepCapabilities,
  makeAmbient,
  type PayloadRestrictions,
  payloadRestrictions,
  restrictFamilies,
} from "./payload-restrictions";
import type { LaunchPlan } from "./plan";

/** The *gate*: a FIFO in which the wrapper waits for a byte, until the driver has set up the container's namespaces from outside. */
const GATE = "/run/nomad-driver-nspawn/gate";
const NOT_RUN = 127;
const STDERR = 2;
/** More variables than systemd-nspawn adds to the job's (nspawn.c, inner_child()). */
const NSPAWN_VARIABLES = 64;

/** What the wrapper does for the payload. */
interface Wrapping {
  /** The user to switch to; undefined if systemd-nspawn does it, or the payload runs as root. */
  readonly user: Credentials | undefined;
  /** "NAME=VALUE", which systemd-nspawn cannot pass. */
  readonly variables: readonly string[];
  /** The number of the job's other variables. */
  readonly others: number;
  /** Made before the user is switched. */
  readonly links: readonly RunLink[];
  /** Whether NOTIFY_SOCKET is left out. */
  readonly quiet: boolean;
  /** Capabilities that the job drops, and without which the user could not be switched: the wrapper drops them when it has. */
  readonly dropped: readonly string[];
  readonly restrictions: PayloadRestrictions;
  /** Whether it waits at the gate before it does anything else. */
  readonly waits: boolean;
}

/** What setgroups(2), setresuid(2) and PR_CAPBSET_DROP of prctl(2) need; the last is dropped last. */
const NEEDED_TO_SWITCH = ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] as const;

/** Divides the capabilities that a job drops into those that systemd-nspawn drops, and those that the wrapper does. */
export function divideDropped(names: readonly string[]): { readonly bySwitch: string[]; readonly byWrapper: string[] } {
  const all = names.includes("all") ? CAPABILITIES : names;
  const byWrapper = NEEDED_TO_SWITCH.filter((name) => all.includes(name));
  if (byWrapper.length === 0) return { bySwitch: [...names], byWrapper };
  // Dropping needs the last one, and it is kept if the job does not drop it.
  const kept: readonly string[] = byWrapper;
  return { bySwitch: all.filter((name) => !kept.includes(name)), byWrapper };
}

/**
 * systemd-nspawn sets it for every program (nspawn.c, inner_child()), and only root can write to the socket. No container engine sets it,
 * and some programs end if they are other users and find it (Erlang's library "systemd", which RabbitMQ uses).
 */
const NOTIFY_SOCKET = "NOTIFY_SOCKET";

/**
 * Decides how the payload gets its user and variables, and writes the program that passes what systemd-nspawn cannot.
 *
 * @returns the variables, and the root with the command that systemd-nspawn starts
 * @throws ConfigError, LaunchError
 */
export async function preparePayload(
  { machine, features, image, network }: Pick<LaunchPlan, "machine" | "features" | "image" | "network">,
  mounted: Rootfs,
  boot: boolean,
): Promise<{ readonly rootfs: Rootfs; readonly environment: TaskEnvironment }> {
  const environment = taskEnvironment({ ...mounted.environment, ...mounted.options.environment }, { boot, features });
  const { wrapped: variables, count: others } = environment;
  const { user, links = [] } = mounted;
  const { notify_ready, environment: own, drop_capability: drop } = mounted.options;
  const quiet = image.kind !== "host" && !boot && !notify_ready && own[NOTIFY_SOCKET] === undefined;
  const { bySwitch, byWrapper } = divideDropped(user === undefined ? [] : drop);
  const options = user === undefined ? mounted.options : { ...mounted.options, drop_capability: bySwitch };
  const restrictions = payloadRestrictions(mounted.options, features);
  const waits = !boot && needsSetup(insideSetup(mounted.options, network));
  const wrapping = { user, variables, others, links, quiet, dropped: byWrapper, waits, restrictions };
  return { environment, rootfs: wrapPayload(machine, { ...mounted, options }, wrapping) };
}

function isNeeded({ user, variables, links, quiet, waits, restrictions }: Wrapping): boolean {
  const restricts = restrictions.families !== undefined || restrictions.apparmor !== undefined;
  return user !== undefined || variables.length > 0 || links.length > 0 || quiet || waits || restricts;
}

function wrapPayload(machine: string, rootfs: Rootfs, wrapping: Wrapping): Rootfs {
  if (!isNeeded(wrapping)) return rootfs;
  const { waits } = wrapping;
  const { options, mounts } = rootfs;
  const [command = ""] = options.command;
  const source = writeMachineProgram(machine, wrapper(wrapping, programPaths(command, options.environment)));
  return {
    ...rootfs,
    options: { ...options, command: [WRAPPER, ...options.command] },
    mounts: [
      ...mounts,
      { source, target: WRAPPER, readOnly: true },
      ...(waits ? [{ source: makeMachineGate(machine), target: GATE, readOnly: true }] : []),
    ],
  };
}

/**
 * A program that makes symlinks, switches to a user, adds variables and removes one, and then executes the program named by its
 * arguments. systemd-nspawn's --user= runs getent in the container to look the user up: most images without a distribution in them lack it, and it maps a number that is in no
 * database to "nobody". Its --setenv= refuses names such as "discovery.type" (env-util.c, env_name_is_valid()), and shows values to every
 * user of the host.
 *
 * @param paths in the container; the first executable one is run
 */
function wrapper(wrapping: Wrapping, paths: readonly string[]): Uint8Array {
  const { user, variables, others, links, quiet, waits, restrictions } = wrapping;
  const { families, apparmor } = restrictions;
  const program = new ProgramBuilder();
  const [shut, unrestricted, refused] = [new Label(), new Label(), new Label()];
  const [unconfined, kept] = [new Label(), new Label()];
  if (waits) waitAtGate(program, shut);
  for (const { path, target } of links)
    program.call(SYS.symlinkat, [program.text(target), AT_FDCWD, program.text(path)]);
  if (families !== undefined) restrictFamilies(program, families, unrestricted);
  if (user !== undefined) switchUser(program, user, wrapping, { refused, kept });
  if (apparmor !== undefined) requestProfile(program, apparmor, { failed: unconfined, own: { path: "/proc/self" } });
  const environment = program.environment(variables, others + NSPAWN_VARIABLES, quiet ? NOTIFY_SOCKET : undefined);
  for (const path of paths) {
    program.passOn(environment);
    program.call(SYS.execve, [program.text(path), 0, 0]);
  }
  complain(program, `Cannot run any of ${paths.join(", ")} in the container.\n`);
  program.place(refused);
  if (user !== undefined) {
    complain(program, `Cannot switch to user ${user.uid}:${user.gid}: not mapped in the container.\n`);
  }
  program.place(kept);
  if (user?.uid === 0) {
    complain(
      program,
      "Cannot drop root's inheritable capabilities: system_call_filter has to allow @ipc and capset.\n",
    );
  }
  program.place(shut);
  if (waits) complain(program, "The driver ended while it set up the container.\n");
  program.place(unrestricted);
  if (families !== undefined)
    complain(program, "Cannot restrict the address families: the kernel refuses the filter.\n");
  program.place(unconfined);
  if (apparmor !== undefined) complain(program, `Cannot enter the AppArmor profile ${apparmor}.\n`);
  return program.build();
}

function switchUser(
  program: ProgramBuilder,
  { uid, gid, groups }: Credentials,
  { dropped, restrictions }: Wrapping,
  { refused, kept }: { readonly refused: Label; readonly kept: Label },
): void {
  const { ambient } = restrictions;
  // Otherwise the user could not reopen /dev/stdout.
  for (const descriptor of [0, 1, 2]) program.call(SYS.fchown, [descriptor, uid, gid]);
  // With its own group, as login programs do (initgroups(3)): otherwise a set-group-ID program could drop it.
  const all = [gid, ...groups.filter((group) => group !== gid)];
  const list = program.bytes(new Uint8Array(Uint32Array.from(all).buffer));
  program.call(SYS.setgroups, [all.length, list], { error: refused });
  program.call(SYS.setresgid, [gid, gid, gid], { error: refused });
  for (const name of dropped) {
    program.call(SYS.prctl, [PR_CAPBSET_DROP, CAPABILITIES.indexOf(name), 0, 0, 0], { error: refused });
  }
  if (ambient.length > 0) keepCapabilities(program, refused);
  program.call(SYS.setresuid, [uid, uid, uid], { error: refused });
  if (ambient.length > 0) makeAmbient(program, ambient, refused);
  else if (uid !== 0 || dropped.length > 0) emptyInheritable(program, uid, kept);
}

/** Reads one byte of the gate; without a writer the driver is gone, and has not set up the container. */
function waitAtGate(program: ProgramBuilder, shut: Label): void {
  const opened = program.argumentAhead(1);
  program.call(SYS.openat, [AT_FDCWD, program.text(GATE), O_CLOEXEC], { error: shut }, opened);
  program.call(SYS.read, [0, program.space(8), 1], { error: shut, zero: shut });
}

function complain(program: ProgramBuilder, sentence: string): void {
  program.call(SYS.write, [STDERR, program.text(sentence), Buffer.byteLength(sentence)]);
  program.exit(NOT_RUN);
}
