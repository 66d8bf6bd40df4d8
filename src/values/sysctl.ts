/** A kernel setting (sysctl(8)) that each container can have of its own. */
export interface Sysctl {
  /** With dots, as sysctl(8) prints it. */
  readonly name: string;
  /** Below /proc/sys. */
  readonly path: string;
  /** The namespace it belongs to. */
  readonly namespace: "net" | "ipc";
}

/** Settings of the IPC namespace (ipc_namespaces(7)). */
const IPC = /^(?:kernel\/(?:shm[a-z_]+|msg[a-z_]+|sem)|fs\/mqueue\/[a-z_]+)$/;

/** What a container can have of its own, for an error. */
export const NAMESPACED_SYSCTLS = '"net.*", "kernel.shm*", "kernel.msg*", "kernel.sem" and "fs.mqueue.*"';

/**
 * The path below /proc/sys of a setting's name, which is written as in sysctl.d(5): if a dot comes first, dots separate and slashes are
 * dots of a part ("net.ipv4.conf.eth0/100.forwarding"); otherwise slashes separate.
 *
 * @returns undefined for a name that leads elsewhere, or cannot be one
 */
function sysctlPath(name: string): string | undefined {
  const dotted = /[./]/.exec(name)?.[0] === ".";
  const path = dotted ? name.replace(/[./]/g, (separator) => (separator === "." ? "/" : ".")) : name;
  const parts = path.split("/");
  const valid = parts.length > 1 && parts.every((part) => /^[A-Za-z0-9_@:.-]{1,64}$/.test(part) && !/^\.+$/.test(part));
  return valid ? path : undefined;
}

/** Parses the name of a setting that a container can have of its own. @returns the problem as the end of a sentence */
export function parseSysctl(name: string): Sysctl | string {
  const path = sysctlPath(name);
  if (path === undefined) return 'its name must be that of a kernel setting, such as "net.core.somaxconn"';
  const namespace = path.startsWith("net/") ? "net" : IPC.test(path) ? "ipc" : undefined;
  const dotted = path.replace(/[./]/g, (separator) => (separator === "/" ? "." : "/"));
  if (namespace !== undefined) return { name: dotted, path, namespace };
  return `it is a setting of the whole client; a container can have ${NAMESPACED_SYSCTLS} of its own`;
}

/** Whether a name matches a pattern, in which "*" stands for any characters. */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
}
