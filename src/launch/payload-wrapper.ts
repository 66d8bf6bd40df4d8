import { programPaths } from "../exec/session-plan";
import { SYS } from "../linux/constants";
import { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import { writeMachineProgram } from "../machine/files";
import { type TaskEnvironment, taskEnvironment } from "../nspawn/environment";
import type { Rootfs } from "../rootfs/rootfs";
import type { RunLink } from "../rootfs/run-directory";
import type { Credentials } from "../values/passwd";
import type { LaunchPlan } from "./plan";

/** Path of the wrapper in the container. */
const WRAPPER = "/run/nomad-driver-nspawn/start";
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
  { machine, features, image }: Pick<LaunchPlan, "machine" | "features" | "image">,
  mounted: Rootfs,
  boot: boolean,
): Promise<{ readonly rootfs: Rootfs; readonly environment: TaskEnvironment }> {
  const environment = taskEnvironment({ ...mounted.environment, ...mounted.options.environment }, { boot, features });
  const { wrapped: variables, count: others } = environment;
  const { user, links = [] } = mounted;
  const { notify_ready, environment: own } = mounted.options;
  const quiet = image.kind !== "host" && !boot && !notify_ready && own[NOTIFY_SOCKET] === undefined;
  return { environment, rootfs: await wrapPayload(machine, mounted, { user, variables, others, links, quiet }) };
}

async function wrapPayload(machine: string, rootfs: Rootfs, wrapping: Wrapping): Promise<Rootfs> {
  const { user, variables, links, quiet } = wrapping;
  if (user === undefined && variables.length === 0 && links.length === 0 && !quiet) return rootfs;
  const { options, mounts } = rootfs;
  const [command = ""] = options.command;
  const source = await writeMachineProgram(machine, wrapper(wrapping, programPaths(command, options.environment)));
  return {
    ...rootfs,
    options: { ...options, command: [WRAPPER, ...options.command] },
    mounts: [...mounts, { source, target: WRAPPER, readOnly: true }],
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
function wrapper({ user, variables, others, links, quiet }: Wrapping, paths: readonly string[]): Uint8Array {
  const program = new ProgramBuilder();
  const refused = new Label();
  for (const { path, target } of links) program.call(SYS.symlink, [program.text(target), program.text(path)]);
  if (user !== undefined) {
    const { uid, gid, groups } = user;
    // Otherwise the user could not reopen /dev/stdout.
    for (const descriptor of [0, 1, 2]) program.call(SYS.fchown, [descriptor, uid, gid]);
    // With its own group, as login programs do (initgroups(3)): otherwise a set-group-ID program could drop it.
    const all = [gid, ...groups.filter((group) => group !== gid)];
    const list = program.bytes(new Uint8Array(Uint32Array.from(all).buffer));
    program.call(SYS.setgroups, [all.length, list], { error: refused });
    program.call(SYS.setresgid, [gid, gid, gid], { error: refused });
    program.call(SYS.setresuid, [uid, uid, uid], { error: refused });
  }
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
  return program.build();
}

function complain(program: ProgramBuilder, sentence: string): void {
  program.call(SYS.write, [STDERR, program.text(sentence), Buffer.byteLength(sentence)]);
  program.exit(NOT_RUN);
}
