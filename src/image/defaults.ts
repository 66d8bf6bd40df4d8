import { ConfigError } from "../config/config-error";
import { isEnvironmentName, userNameProblem } from "../config/names";
import type { TaskOptions } from "../config/options";
import { signalNumber } from "../host/signals";
import type { ImageConfig } from "./store/image-config";

/** What a task says itself, beside its config block. */
export interface TaskWords {
  /** The task's variables: Nomad's and the job's. */
  readonly environment: Readonly<Record<string, string>>;
  /** The task's own `user`, or "". */
  readonly user: string;
}

/** A task with what its image says where the job says nothing. */
export interface WithDefaults {
  /** `environment` has everything in it, the task's variables too. */
  readonly options: TaskOptions;
  /** The signal that stops it, where the job names none. */
  readonly stopSignal?: string;
  /** What the job's author should know, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Fills in what an image's config says (OCI image spec, config.md, and what docker does with it). The job's own words win; its
 * `command` replaces Entrypoint and Cmd together. With `boot` there is an init system to be found, and the image's command and user
 * mean nothing.
 *
 * @throws ConfigError where there is nothing to run
 */
export function withImageDefaults(options: TaskOptions, words: TaskWords, image: ImageConfig): WithDefaults {
  const { Env, Entrypoint, Cmd, User, WorkingDir, StopSignal } = image.config ?? {};
  const notes: string[] = [];
  const environment: Record<string, string> = {};
  for (const entry of Env ?? []) {
    const equals = entry.indexOf("=");
    const name = equals < 0 ? entry : entry.slice(0, equals);
    if (isEnvironmentName(name) && equals >= 0) environment[name] = entry.slice(equals + 1);
    else
      notes.push(
        `The image's environment variable ${JSON.stringify(name.slice(0, 100))} is left out: no such name can be passed on.`,
      );
  }
  const command =
    options.command.length > 0 || options.boot ? options.command : [...(Entrypoint ?? []), ...(Cmd ?? [])];
  if (!options.boot && (command.length === 0 || command[0] === "")) {
    throw new ConfigError(
      `The image ${JSON.stringify(options.image)} names no program to run (neither Entrypoint nor Cmd): give one by the option command, or set boot = true if it has an init system.`,
    );
  }
  const own = options.user ?? (words.user === "" ? undefined : words.user);
  const user = own ?? (options.boot || User === null || User === undefined || User === "" ? undefined : User);
  const problem = user === undefined ? undefined : userProblem(user);
  if (problem !== undefined)
    throw new ConfigError(`The user ${JSON.stringify(user)} of the image is not valid: ${problem}.`);
  const directory = options.working_directory ?? absolute(WorkingDir);
  const stopSignal = signalName(StopSignal);
  if (stopSignal === undefined && StopSignal !== undefined && StopSignal !== null && StopSignal !== "") {
    notes.push(
      `The image's stop signal ${JSON.stringify(StopSignal.slice(0, 100))} is left out: it is no signal of Linux.`,
    );
  }
  const { user: _user, working_directory: _directory, ...rest } = options;
  return {
    options: {
      ...rest,
      command,
      environment: { ...environment, ...words.environment, ...options.environment },
      // A number alone, which need not be in a database: the group is that of the database, or 0.
      user: user !== undefined && /^\d+$/.test(user) ? `${user}:` : user,
      working_directory: directory,
    },
    ...(stopSignal === undefined ? {} : { stopSignal }),
    notes,
  };
}

function userProblem(user: string): string | undefined {
  const [name = "", ...group] = user.split(":");
  return [name, ...group].map(userNameProblem).find((problem) => problem !== undefined);
}

/** Docker takes a relative one from the root. */
function absolute(directory: string | null | undefined): string | undefined {
  if (directory === null || directory === undefined || directory === "" || directory === "/") return undefined;
  const parts = directory.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") || directory.includes("\0") ? undefined : `/${parts.join("/")}`;
}

/** A signal as images write it: a name, with or without SIG, or a number. */
function signalName(signal: string | null | undefined): string | undefined {
  if (signal === null || signal === undefined) return undefined;
  return [signal, `SIG${signal}`].find((name) => signalNumber(name) !== undefined);
}
