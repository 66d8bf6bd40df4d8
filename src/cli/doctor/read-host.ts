import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statfsSync,
  statSync,
} from "node:fs";
import { connect } from "node:net";
import { release } from "node:os";
import { dirname } from "node:path";
import { getCACertificates } from "node:tls";
import { readCdiFiles } from "../../cdi/read";
import type { PluginOptions } from "../../config/plugin/options";
import { findKeyring } from "../../image/machine/verify";
import { FORMAT, storePaths } from "../../image/store/store-format";
import { errnoCode, errorText } from "../../lib/errors";
import { readIfThere } from "../../lib/files";
import { readCgroupLayout } from "../../linux/cgroup/layout";
import { readMounts } from "../../linux/mount";
import { openPidfd } from "../../linux/pidfd";
import { parseRights } from "../../linux/proc";
import { findProgram } from "../../linux/programs";
import { enforcesProjectQuotas } from "../../linux/project-quota";
import { hasApparmor, hasSelinux } from "../../linux/security-modules";
import { hasVerity } from "../../linux/verity";
import { readNspawn } from "../../nspawn/installation";
import { importdAvailable, machinedAvailable, systemdPresence } from "../../systemd/presence";
import type { HostFacts, ImageStoreFact, NspawnFact, Reachability } from "./host-facts";
import { readNetwork } from "./network-checks";
import { readPluginDirectory } from "./plugin-dir-checks";
import { readImageKinds } from "./read-image-kinds";
import { readSystem } from "./system-checks";

/** Inspects an image store, or the directory in which it would be created. */
function readImageStore(path: string): ImageStoreFact {
  const exists = existsSync(path);
  let at = path;
  while (!existsSync(at)) at = dirname(at);
  const real = realpathSync(at);
  const { bavail, bsize } = statfsSync(real);
  // The longest mount point above the path is its mount; if several are mounted at one point, the last one is.
  const mount = readMounts()
    .filter((each) => real === each.path || real.startsWith(each.path === "/" ? "/" : `${each.path}/`))
    .reduce((best, each) => (each.path.length >= best.path.length ? each : best));
  const problem = problemOf(path, real, exists);
  const quotas = enforcesProjectQuotas(real);
  return {
    path,
    exists,
    free: bavail * bsize,
    fileSystem: mount.type,
    mount: mount.path,
    quotas,
    verity: hasVerity(real),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf(path: string, real: string, exists: boolean): string | undefined {
  try {
    if (!statSync(real).isDirectory()) return `${real} is not a directory`;
    accessSync(real, constants.W_OK | constants.X_OK);
    const { format } = storePaths(path);
    const found = exists && existsSync(format) ? readFileSync(format, "utf8") : FORMAT;
    return found === FORMAT || found === "" ? undefined : "it was created by another version of the driver";
  } catch (error) {
    return `it is not writable (${errnoCode(error) ?? "unknown error"})`;
  }
}

/** Inspects this host; changes nothing. @param options the plugin's config, as far as it is known */
export async function readHost(
  pluginDirectory: string | undefined,
  storeDirectory: string,
  options?: PluginOptions,
): Promise<HostFacts> {
  const [imageKinds, nspawn, manager, bus, journald, network] = await Promise.all([
    readImageKinds(options, storeDirectory),
    nspawnFact(),
    reach("/run/systemd/private"),
    reach("/run/dbus/system_bus_socket"),
    reach("/run/systemd/journal/stdout"),
    readNetwork(),
  ]);
  return {
    root: process.getuid?.() === 0,
    self: process.execPath,
    kernel: release(),
    nspawn,
    booted: systemdPresence().booted,
    manager,
    bus,
    machined: bus === "yes" && machinedAvailable(),
    journald,
    cgroups: readCgroupLayout(),
    userNamespaces: userNamespaces(),
    overlayfs: hasOverlayfs(),
    pidfd: hasPidfd(),
    ownFilters: parseRights(readFileSync("/proc/self/status", "utf8")).filters,
    imageStore: readImageStore(storeDirectory),
    labels: { selinux: hasSelinux(), apparmor: hasApparmor() },
    cdi: readCdiFiles(),
    du: findProgram("du") !== undefined,
    downloads: {
      importd: systemdPresence().booted && bus === "yes" && importdAvailable(),
      gpg: findProgram("gpg") !== undefined,
      xz: findProgram("xz") !== undefined,
      keyring: findKeyring(),
      certificates: getCACertificates("system").length,
    },
    imageKinds,
    network,
    system: readSystem(options),
    ...(pluginDirectory === undefined ? {} : { pluginDirectory: readPluginDirectory(pluginDirectory) }),
  };
}

async function nspawnFact(): Promise<NspawnFact> {
  try {
    const found = await readNspawn();
    return found === undefined ? { kind: "missing" } : { kind: "found", ...found };
  } catch (error) {
    return { kind: "broken", reason: errorText(error) };
  }
}

/** Connects to a unix socket and disconnects. */
function reach(path: string): Promise<Reachability> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve("yes");
    });
    socket.once("error", (error) => resolve(errnoCode(error) === "ENOENT" ? "missing" : "refused"));
  });
}

function userNamespaces(): number | undefined {
  if (!existsSync("/proc/self/ns/user")) return undefined;
  const text = readIfThere("/proc/sys/user/max_user_namespaces");
  return text === undefined ? undefined : Number(text);
}

/** Loaded, built in, or a module that mount(2) loads. */
function hasOverlayfs(): boolean {
  if (/\toverlay$/m.test(readIfThere("/proc/filesystems") ?? "")) return true;
  const lists = ["modules.builtin", "modules.dep"].map((name) => `/lib/modules/${release()}/${name}`);
  return lists.some((list) => /\/overlay\.ko/.test(readIfThere(list) ?? ""));
}

function hasPidfd(): boolean {
  const fd = openPidfd(process.pid);
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}
