import type { TaskOptions } from "../config/task/options";
import type { ImageConfig } from "../image/image-config";
import { ConfigError } from "../lib/errors";
import { userProblem } from "../values/names";
import { signalNumber } from "../values/signals";

/** The settings of a task outside of its config block. */
export interface JobSettings {
  /** The task's variables: Nomad's and the job's. */
  readonly environment: Readonly<Record<string, string>>;
  /** The task's own `user`, or "". */
  readonly user: string;
}

/** A task's settings, completed by its image's config. */
interface WithDefaults {
  /** The complete `environment`, including the task's variables. */
  readonly options: TaskOptions;
  /** The stop signal, if the job sets none. */
  readonly stopSignal?: string;
  /** Notes for the job's author. */
  readonly notes: readonly string[];
}

/**
 * Fills in defaults from an image's config (OCI image spec, config.md, and what docker does with it). The job's settings take precedence;
 * its `command` replaces Entrypoint and Cmd together, `args` alone only Cmd. With `boot` the container runs an init system, and the image's command and user
 * are ignored.
 *
 * @param image undefined for an image of the host, which has no config
 * @throws ConfigError if no program is named
 */
export function applyImageDefaults(
  jobOptions: TaskOptions,
  job: JobSettings,
  image: ImageConfig | undefined,
): WithDefaults {
  if (image === undefined) {
    const environment = { ...job.environment, ...jobOptions.environment };
    const user = jobOptions.user ?? (job.user || undefined);
    return { options: { ...jobOptions, environment, user: jobOptions.boot ? user : withGroup(user) }, notes: [] };
  }
  const options = withoutCopies(jobOptions);
  const { Env, Entrypoint, Cmd, User, WorkingDir, StopSignal } = image.config ?? {};
  const notes: string[] = [];
  const environment: Record<string, string> = {};
  for (const entry of Env ?? []) {
    const equals = entry.indexOf("=");
    const name = equals < 0 ? entry : entry.slice(0, equals);
    if (equals > 0) environment[name] = entry.slice(equals + 1);
    else
      notes.push(
        `The image's environment variable ${JSON.stringify(name.slice(0, 100))} is ignored: it is not NAME=VALUE.`,
      );
  }
  const words = options.args.length > 0 ? options.args : (Cmd ?? []);
  const command = options.command.length > 0 || options.boot ? options.command : [...(Entrypoint ?? []), ...words];
  if (!options.boot && (command.length === 0 || command[0] === "")) {
    throw new ConfigError(
      `The image ${JSON.stringify(options.image)} has no command (neither Entrypoint nor Cmd): set the option command, or boot = true if it has an init system.`,
    );
  }
  const own = options.user ?? (job.user === "" ? undefined : job.user);
  const user = own ?? (options.boot || User === null || User === undefined || User === "" ? undefined : User);
  const problem = user === undefined ? undefined : userProblem(user);
  if (problem !== undefined)
    throw new ConfigError(`The user ${JSON.stringify(user)} of the image is not valid: ${problem}.`);
  const directory = options.working_directory ?? absolute(WorkingDir);
  const stopSignal = signalName(StopSignal);
  if (stopSignal === undefined && StopSignal !== undefined && StopSignal !== null && StopSignal !== "") {
    notes.push(`The image's stop signal ${JSON.stringify(StopSignal.slice(0, 100))} is ignored: unknown signal.`);
  }
  const { user: _user, working_directory: _directory, ...rest } = options;
  return {
    options: {
      ...rest,
      command,
      environment: { ...environment, ...job.environment, ...options.environment },
      user: withGroup(user),
      working_directory: directory,
    },
    ...(stopSignal === undefined ? {} : { stopSignal }),
    notes,
  };
}

/** Removes the options that are redundant on a root that the driver makes: all changes to it are discarded with the container anyway. */
export function withoutCopies(options: TaskOptions): TaskOptions {
  const { volatile } = options;
  return { ...options, ephemeral: false, volatile: volatile === "overlay" ? "no" : volatile };
}

/** As Docker does: a number alone need not be in the user database; its group comes from there, or is 0. */
function withGroup(user: string | undefined): string | undefined {
  return user !== undefined && /^\d+$/.test(user) ? `${user}:` : user;
}

/** Docker resolves a relative one against the root. */
function absolute(directory: string | null | undefined): string | undefined {
  if (directory === null || directory === undefined || directory === "" || directory === "/") return undefined;
  const parts = directory.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") || directory.includes("\0") ? undefined : `/${parts.join("/")}`;
}

/** A signal in the notation of images: a name, with or without SIG, or a number. */
function signalName(signal: string | null | undefined): string | undefined {
  if (signal === null || signal === undefined) return undefined;
  return [signal, `SIG${signal}`].find((name) => signalNumber(name) !== undefined);
}
