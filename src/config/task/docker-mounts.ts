/** Mounts as jobs of the Docker driver write them: `volumes = ["a:/b:ro"]` and `mount { … }` (nomad, drivers/docker/config.go). */

import { isRecord } from "../../lib/objects";
import { Problem } from "../validators";

/** Raw options of the driver. */
type Fragment = Readonly<Record<string, unknown>>;

const VOLUME = 'each must be "SOURCE:TARGET", "SOURCE:TARGET:ro" or "SOURCE:TARGET:rw"';

/** The mounts of `volumes`, as bind and bind_read_only. */
export function volumesFragment(value: unknown): Fragment | Problem {
  if (!Array.isArray(value)) return new Problem("it must be a list of strings");
  const binds = new Binds();
  for (const entry of value) {
    if (typeof entry !== "string") return new Problem("it must be a list of strings");
    const [source = "", target = "", mode = "rw", ...rest] = entry.split(":");
    if (source === "" || !target.startsWith("/") || rest.length > 0) {
      return new Problem(`${VOLUME}, and ${JSON.stringify(entry.slice(0, 100))} is not`);
    }
    if (mode !== "ro" && mode !== "rw") {
      return new Problem(`of ${JSON.stringify(entry.slice(0, 100))}, only the modes "ro" and "rw" are known`);
    }
    const problem = binds.add(source, target, mode === "ro");
    if (problem !== undefined) return problem;
  }
  return binds.fragment();
}

/** The mounts of `mount` blocks, as bind, bind_read_only and tmpfs. */
export function mountFragment(value: unknown): Fragment | Problem {
  const blocks = Array.isArray(value) ? value : [value];
  const binds = new Binds();
  const tmpfs: string[] = [];
  for (const block of blocks) {
    if (!isRecord(block)) return new Problem("it must be a block, or a list of maps");
    const unknown = Object.keys(block).find((name) => !MOUNT_OPTIONS.includes(name));
    if (unknown !== undefined) return new Problem(`${JSON.stringify(unknown)} is unknown in it`);
    const { target, type = "volume" } = block;
    if (typeof target !== "string" || !target.startsWith("/")) {
      return new Problem("its target must be an absolute path in the container");
    }
    if (boolean(block["readonly"] ?? false) === undefined) return new Problem("its readonly must be true or false");
    const foreign = Object.entries(OF_TYPE).find(([name, its]) => its !== type && !isEmpty(block[name]));
    if (foreign !== undefined) return new Problem(`its ${foreign[0]} is only for the type "${foreign[1]}"`);
    const added = type === "tmpfs" ? tmpfsText(target, block) : bindOf(type, target, block, binds);
    if (added instanceof Problem) return added;
    if (added !== undefined) tmpfs.push(added);
  }
  return { ...binds.fragment(), ...(tmpfs.length === 0 ? {} : { tmpfs }) };
}

const MOUNT_OPTIONS = ["type", "target", "source", "readonly", "bind_options", "tmpfs_options", "volume_options"];

/** The type of mount that each block of options belongs to. */
const OF_TYPE = { bind_options: "bind", tmpfs_options: "tmpfs", volume_options: "volume" } as const;

/** Whether a block is absent, or without content: a job file's parser may pass both as an empty list. */
function isEmpty(block: unknown): boolean {
  return (
    block === undefined ||
    block === null ||
    (Array.isArray(block) && block.every(isEmpty)) ||
    (isRecord(block) && Object.keys(block).length === 0)
  );
}

/** Propagations for which the container's mounts need not reach the host. */
const PROPAGATIONS: readonly unknown[] = ["", "private", "rprivate", "slave", "rslave"];

function propagationProblem(given: unknown): Problem | undefined {
  const options = (Array.isArray(given) ? given[0] : given) ?? {};
  const propagation = isRecord(options) ? (options["propagation"] ?? "") : given;
  return PROPAGATIONS.includes(propagation)
    ? undefined
    : new Problem(
        `the propagation ${JSON.stringify(propagation)} of its bind_options is not possible: no mount of a container reaches the host; use "rslave"`,
      );
}

function bindOf(type: unknown, target: string, block: Fragment, binds: Binds): undefined | Problem {
  if (type !== "bind") {
    return new Problem(
      type === "volume"
        ? 'the type "volume" names a volume of the Docker daemon, which this driver does not have: use volume_mount with a host or CSI volume'
        : 'its type must be "bind" or "tmpfs"',
    );
  }
  const { source, readonly = false } = block;
  if (typeof source !== "string" || source === "") return new Problem("its source must be a path");
  return propagationProblem(block["bind_options"]) ?? binds.add(source, target, boolean(readonly) === true);
}

/** systemd-nspawn's tmpfs, with Docker's size in bytes and mode as a number. */
function tmpfsText(target: string, { tmpfs_options: given, readonly: readOnly = false }: Fragment): string | Problem {
  const options = Array.isArray(given) ? given[0] : (given ?? {});
  if (!isRecord(options)) return new Problem("its tmpfs_options must be a block");
  const { size, mode } = options;
  const numbers = [size, mode].filter((number) => number !== undefined && number !== null);
  if (!numbers.every((number) => /^\d+$/.test(String(number)))) {
    return new Problem("size and mode of its tmpfs_options must be whole numbers");
  }
  const words = [
    ...(size === undefined || size === null ? [] : [`size=${String(size)}`]),
    ...(mode === undefined || mode === null ? [] : [`mode=${Number(mode).toString(8)}`]),
    ...(boolean(readOnly) === true ? ["ro"] : []),
  ];
  const path = target.replace(/[\\:]/g, "\\$&");
  return words.length === 0 ? path : `${path}:${words.join(",")}`;
}

function boolean(value: unknown): boolean | undefined {
  if (value === true || value === "true") return true;
  return value === false || value === "false" || value === null ? false : undefined;
}

/** Collects binds by source, as the options bind and bind_read_only have them. */
class Binds {
  readonly #writable = new Map<string, string>();
  readonly #readOnly = new Map<string, string>();

  add(source: string, target: string, readOnly: boolean): Problem | undefined {
    const map = readOnly ? this.#readOnly : this.#writable;
    if (map.has(source)) {
      return new Problem(`${JSON.stringify(source.slice(0, 100))} can be mounted at one path of the container only`);
    }
    map.set(source, target);
    return undefined;
  }

  fragment(): Fragment {
    return {
      ...(this.#writable.size === 0 ? {} : { bind: Object.fromEntries(this.#writable) }),
      ...(this.#readOnly.size === 0 ? {} : { bind_read_only: Object.fromEntries(this.#readOnly) }),
    };
  }
}
