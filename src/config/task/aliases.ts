/**
 * Options under the names that Nomad's Docker, podman, containerd and exec drivers give them. An *alias* has a row of its own, so that
 * Nomad's parser accepts it, and a conversion into the driver's options, which happens before these are validated: everything after
 * that knows one name only. What cannot be converted is refused with a sentence that names what to write instead.
 */

import * as v from "valibot";
import { ConfigError } from "../../lib/errors";
import { isRecord } from "../../lib/objects";
import { canonicalLimit } from "../../values/rlimits";
import { parseSize } from "../../values/units";
import { type AnyOption, type HclType, option } from "../option";
import { Problem } from "../validators";
import { containerOptions } from "./container";
import { mountFragment, volumesFragment } from "./docker-mounts";
import { securityOptions } from "./security";

/** Raw options of the driver, which an alias stands for. */
export type Fragment = Readonly<Record<string, unknown>>;

/** One alias: its row, and what it stands for. */
interface Alias {
  readonly row: AnyOption;
  /** Whether the option has the same value, and only another name. */
  readonly same?: true;
  /** @param value normalized by the row's type, not yet validated */
  readonly convert: (value: unknown) => Fragment | Problem;
}

/** Another name for an option with the same values. */
function renamed(to: string, row: AnyOption, change: (value: unknown) => unknown = (value) => value): Alias {
  const { type, allowed } = row;
  const meaning = `The same as \`${to}\`, under the name of other drivers.`;
  return {
    row: option({ type, schema: ANY, meaning, ...(allowed === undefined ? {} : { allowed }) }),
    same: true,
    convert: (value) => ({ [to]: change(value) }),
  };
}

/** Converted before validation, so that there is nothing left to validate. */
const ANY = v.optional(v.unknown());

function row(type: HclType, allowed: string, meaning: string, example?: string): AnyOption {
  return option({ type, schema: ANY, allowed, meaning, ...(example === undefined ? {} : { example }) });
}

/** Every alias, by its name. */
const ALIASES: Readonly<Record<string, Alias>> = {
  work_dir: renamed("working_directory", containerOptions.working_directory),
  cwd: renamed("working_directory", containerOptions.working_directory),
  readonly_rootfs: renamed("read_only", containerOptions.read_only),
  cap_add: renamed("capability", securityOptions.capability),
  cap_drop: renamed("drop_capability", securityOptions.drop_capability),
  oom_score_adj: renamed("oom_score_adjust", securityOptions.oom_score_adjust),
  ulimit: renamed("rlimits", securityOptions.rlimits, limits),
  force_pull: {
    row: row(
      { kind: "bool" },
      "true or false",
      'With `true`, the same as `pull = "always"`, as with the Docker driver; `false` changes nothing.',
    ),
    convert: (value) =>
      value === true ? { pull: "always" } : value === false ? {} : new Problem("it must be true or false"),
  },
  network_mode: {
    row: row(
      { kind: "string" },
      '"host", "none" or "bridge"',
      'The network as with the Docker driver: `host` and `none` as in `network`, and `bridge` for `network = "private"`.',
    ),
    convert: networkMode,
  },
  shm_size: {
    row: row(
      { kind: "string" },
      'a size in bytes, or such as "64MB"',
      "Size of the container's `/dev/shm`, as a tmpfs of `tmpfs`.",
      'shm_size = "256MB"',
    ),
    convert: sharedMemory,
  },
  volumes: {
    row: row(
      { kind: "strings" },
      'a list of "SOURCE:TARGET", "SOURCE:TARGET:ro" or "SOURCE:TARGET:rw"',
      "Mounts as with the Docker driver, in addition to `bind` and `bind_read_only`; a relative source is in the task directory.",
      'volumes = ["local/config:/etc/app:ro"]',
    ),
    convert: volumesFragment,
  },
  mount: { row: mountRow("mount"), convert: mountFragment },
  mounts: { row: mountRow("mounts"), convert: mountFragment },
};

function mountRow(name: string): AnyOption {
  return row(
    { kind: "maps" },
    "a block, or several, with type, target, source, readonly and tmpfs_options",
    `A mount as with the Docker driver, of the type \`bind\` or \`tmpfs\` (\`${name}\`).`,
  );
}

/** The rows of all aliases. */
export const aliasOptions: Readonly<Record<string, AnyOption>> = Object.fromEntries(
  Object.entries(ALIASES).map(([name, { row }]) => [name, row]),
);

/** Docker's limits are in lower case, and -1 is no limit. */
function limits(value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, limit]) => [
      canonicalLimit(name.toUpperCase()) ?? name,
      typeof limit === "string" ? limit.replace(/(^|:)-1(?=:|$)/g, "$1infinity") : limit,
    ]),
  );
}

function networkMode(mode: unknown): Fragment | Problem {
  if (mode === "host" || mode === "none") return { network: mode };
  if (mode === "bridge" || mode === "default") return { network: "private" };
  if (typeof mode === "string" && mode.startsWith("container:")) {
    return new Problem('containers share a network by network { mode = "bridge" } of their group');
  }
  return new Problem(
    'it must be "host", "none" or "bridge"; for a bridge of the client, write network = "bridge:NAME", and for containers that reach each other network = "zone:NAME"',
  );
}

function sharedMemory(size: unknown): Fragment | Problem {
  const bytes = typeof size === "string" ? parseSize(size) : undefined;
  if (bytes === undefined || bytes < 1) return new Problem('it must be a size in bytes, or such as "64MB"');
  return { tmpfs: [`/dev/shm:size=${bytes},mode=1777`] };
}

/**
 * Replaces the aliases of a raw config block by the options that they stand for.
 *
 * @throws ConfigError for a value that cannot be converted, or for two names of one option
 */
export function resolveAliases(raw: Fragment): Fragment {
  const result = new Map(Object.entries(raw).filter(([name]) => !Object.hasOwn(ALIASES, name)));
  const writers = new Map<string, string>();
  for (const [name, alias] of Object.entries(ALIASES)) {
    const value = raw[name];
    if (value === undefined) continue;
    const fragment = alias.convert(value);
    if (fragment instanceof Problem)
      throw new ConfigError(`Option ${name}${shown(value)} is not valid: ${fragment.clause}.`);
    for (const [target, converted] of Object.entries(fragment)) {
      const joined = join(result.get(target), converted);
      if (joined === undefined) {
        throw new ConfigError(
          `Options ${writers.get(target) ?? target} and ${name} set the same thing (${target}): keep one of them.`,
        );
      }
      result.set(target, joined);
      writers.set(target, name);
    }
  }
  return Object.fromEntries(result);
}

/** Joins two values of one option: lists of mounts and maps without a common name; undefined if they exclude each other. */
function join(present: unknown, added: unknown): unknown {
  if (present === undefined || present === false || (Array.isArray(present) && present.length === 0)) return added;
  if (Array.isArray(present) && Array.isArray(added) && added.every(isMountText)) return [...present, ...added];
  if (!isRecord(present) || !isRecord(added)) return undefined;
  const common = Object.keys(added).some((name) => Object.hasOwn(present, name));
  return common ? undefined : { ...present, ...added };
}

/** Of the options that are lists, only those of mounts have paths. */
function isMountText(value: unknown): boolean {
  return typeof value === "string" && value.startsWith("/");
}

function shown(value: unknown): string {
  return typeof value === "string" ? ` = ${JSON.stringify(value.slice(0, 120))}` : "";
}

/** What may follow the name of an option in an error. */
const FOLLOWS = String.raw`(?=\[| = | (?:both|exclude|asks|needs|and|is|without|names|sets|cannot) | ")`;

/**
 * An error in the words of the job: options that it has written as aliases have these names.
 *
 * @param sentence names options after "Option", "Options" or "and", or at its beginning
 * @param raw the job's config block, with its own names
 */
export function inJobsWords(sentence: string, raw: Fragment): string {
  let result = sentence;
  for (const [name, { convert, same }] of Object.entries(ALIASES)) {
    if (raw[name] === undefined || raw[name] === null) continue;
    const fragment = convert(raw[name]);
    for (const target of fragment instanceof Problem ? [] : Object.keys(fragment)) {
      // With both, it is not known which of them is meant.
      if (raw[target] !== undefined && raw[target] !== null) continue;
      const shownName = same === true ? name : `${target} (of ${name})`;
      result = result.replace(new RegExp(`(\\bOptions? |\\band |^)${target}${FOLLOWS}`, "g"), `$1${shownName}`);
    }
  }
  return result;
}
