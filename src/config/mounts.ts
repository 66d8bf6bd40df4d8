import { absolutePathProblem, climbs, Problem, splitColons, textProblem } from "./validators";

/** Bind mount options that systemd-nspawn knows (nspawn-mount.c, parse_mount_bind_options). */
const BIND_OPTIONS: readonly string[] = ["rbind", "norbind", "idmap", "noidmap", "rootidmap", "owneridmap"];

/** A fresh tmpfs in the container. */
export interface TmpfsMount {
  readonly target: string;
  /** Mount options; empty for systemd-nspawn's defaults. */
  readonly options: string;
}

/** An overlay file system in the container; its directories are on the host. */
export interface OverlayMount {
  /**
   * Read-only directories, the lowest first, as systemd-nspawn expects them. Relative ones are below the task directory, and those with a
   * "+" before their path are in the image.
   */
  readonly lower: readonly string[];
  /** The writable directory; undefined for one that is removed when the task ends. */
  readonly upper: string | undefined;
  readonly target: string;
}

/** A device node of the host in the container. */
export interface DeviceNode {
  readonly host: string;
  readonly container: string;
  /** Letters of r, w and m, as in DeviceAllow=. */
  readonly permissions: string;
}

/**
 * Splits `PATH[:OPTION,…]`. Only words systemd-nspawn knows count as options: any other colon belongs to the path, so a
 * path with a colon in it needs no escaping.
 */
export function splitBindTarget(target: string): { readonly path: string; readonly options: readonly string[] } {
  const colon = target.lastIndexOf(":");
  const words = colon < 0 ? [] : target.slice(colon + 1).split(",");
  if (words.length === 0 || !words.every((word) => BIND_OPTIONS.includes(word))) return { path: target, options: [] };
  return { path: target.slice(0, colon), options: words };
}

/** Why SOURCE cannot be bound into the container, or undefined. */
export function bindSourceProblem(source: string): string | undefined {
  if (source === "") return "the source must not be empty";
  // systemd-nspawn would follow the image's symbolic links out of the image, in the host's file system.
  if (source.startsWith("+")) return "the source must be on the host, not in the image (+)";
  return textProblem(source);
}

/**
 * Why a directory of the host cannot be part of an overlay, or undefined. systemd-nspawn escapes these characters once
 * and undoes it twice (mount_overlay, mount_option_mangle), so the kernel takes them for separators; quotes are
 * parsed there too.
 */
export function overlaySourceProblem(source: string): string | undefined {
  return /[,:\\'"]/.test(source)
    ? "a directory of the host must not contain a colon, comma, backslash or quote"
    : bindSourceProblem(source);
}

/** Why TARGET cannot be a place in the container, or undefined. */
export function bindTargetProblem(target: string): string | undefined {
  const problem = absolutePathProblem(splitBindTarget(target).path);
  return problem === undefined ? undefined : `the target in the container is wrong, ${problem}`;
}

/** Parses `TARGET[:OPTIONS]`; a colon in the path is written `\:`. */
export function parseTmpfs(value: string): TmpfsMount | Problem {
  const [target = "", options = ""] = splitColons(value, 2);
  const problem = absolutePathProblem(target);
  if (problem !== undefined) return new Problem(problem);
  for (const word of options === "" ? [] : options.split(",")) {
    if (!TMPFS_OPTION.test(word)) return new Problem(`${JSON.stringify(word)} is not a mount option of tmpfs`);
  }
  return { target, options };
}

const TMPFS_OPTION = new RegExp(
  `^(?:${[
    "size=\\d+[kmgtKMGT%]?",
    "nr_blocks=\\d+[kmgKMG]?",
    "nr_inodes=\\d+[kmgKMG]?",
    "mode=[0-7]{1,4}",
    "[ug]id=\\d+",
    "huge=(?:never|always|within_size|advise)",
    "mpol=[a-z0-9=:-]+",
    "inode(?:32|64)",
    "noswap|ro|rw|sync|async",
    "(?:no)?(?:suid|dev|exec|atime|diratime|relatime|strictatime)",
  ].join("|")})$`,
);

/** Parses `LOWER[:LOWER…]:UPPER[:TARGET]` as systemd-nspawn's --overlay=; a colon in the target is written `\:`. */
export function parseOverlay(value: string): OverlayMount | Problem {
  const parts = splitColons(value);
  if (parts.length < 2) return new Problem('it must be "LOWER:UPPER" or "LOWER:UPPER:TARGET"');
  const target = parts.at(-1) ?? "";
  const sources = parts.length === 2 ? parts : parts.slice(0, -1);
  const lower = sources.slice(0, -1);
  const upper = sources.at(-1) ?? "";
  const problem =
    absolutePathProblem(target) ??
    [...lower.map(lowerProblem), upper === "" ? undefined : overlaySourceProblem(upper)].find(
      (found) => found !== undefined,
    );
  if (problem !== undefined) return new Problem(problem);
  return { lower, upper: upper === "" ? undefined : upper, target };
}

/** Why a directory cannot be a lower one of an overlay, or undefined. */
function lowerProblem(source: string): string | undefined {
  if (!inImage(source)) return overlaySourceProblem(source);
  const path = source.slice(1);
  if (!path.startsWith("/") || climbs(path))
    return 'a directory of the image (+) must be an absolute path without ".."';
  return overlaySourceProblem(path);
}

/** Whether a directory of an overlay is in the image. */
export function inImage(source: string): boolean {
  return source.startsWith("+");
}

/** Parses `HOST[:CONTAINER[:PERMISSIONS]]`. */
export function parseDevice(value: string): DeviceNode | Problem {
  const [host = "", second, third, ...rest] = value.split(":");
  // Nomad's Docker driver accepts HOST:PERMISSIONS too.
  const short = second !== undefined && third === undefined && /^[rwm]+$/.test(second);
  const container = short || second === undefined || second === "" ? host : second;
  const permissions = (short ? second : third) ?? "rwm";
  if (rest.length > 0 || !/^(?!.*(.).*\1)[rwm]{1,3}$/.test(permissions)) {
    return new Problem(
      'it must be "HOST", "HOST:CONTAINER" or "HOST:CONTAINER:PERMISSIONS" with permissions of r, w and m',
    );
  }
  const problem = absolutePathProblem(host) ?? absolutePathProblem(container);
  return problem === undefined ? { host, container, permissions } : new Problem(problem);
}
