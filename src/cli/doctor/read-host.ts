import { closeSync, existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { release } from "node:os";
import { getCACertificates } from "node:tls";
import { parseRights } from "../../exec/process-status";
import { readCgroupLayout } from "../../host/cgroup-layout";
import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { importdAvailable } from "../../host/importd";
import { openPidfd } from "../../host/libc";
import { machinedAvailable } from "../../host/machined";
import { readNspawn } from "../../host/nspawn-version";
import { findProgram } from "../../host/programs";
import { readIfThere } from "../../host/read-file";
import { systemdPresence } from "../../host/systemd-booted";
import { findKeyring } from "../../image/download/signature";
import type { HostFacts, NspawnFact, Reach } from "./facts";
import { readImageStore } from "./read-image-store";
import { readNetwork } from "./read-network";
import { readPluginDirectory } from "./read-plugin-dir";

/** Inspects this host; changes nothing. */
export async function readHost(pluginDirectory: string | undefined, storeDirectory: string): Promise<HostFacts> {
  const [nspawn, manager, bus, journald, network] = await Promise.all([
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
    downloads: {
      importd: systemdPresence().booted && bus === "yes" && importdAvailable(),
      gpg: findProgram("gpg") !== undefined,
      xz: findProgram("xz") !== undefined,
      keyring: findKeyring(),
      certificates: getCACertificates("system").length,
    },
    network,
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
function reach(path: string): Promise<Reach> {
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
