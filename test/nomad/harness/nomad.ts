/**
 * A real Nomad of one server and one client in separate processes, so that the client can be restarted and killed while the
 * server keeps the jobs. It has to run inside a test host, because the agent needs its own cgroup tree and network namespace.
 */

import { copyFile, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { driverBinary } from "../../../tools/build/project";
import { run } from "../../../tools/command";
import { nomadAgent } from "../../../tools/setup/nomad";
import { timeoutScale } from "../../../tools/timeout-scale";
import { type AgentProcess, orAgentLog, startAgentProcess } from "./agent-process";
import { type Node, NomadApi } from "./api";

/** The agent finds a plugin's block by the name of its executable: `plugin "nspawn"` configures plugin_dir/nspawn. */
const pluginFile = "nspawn";

/** How long an agent may take until it serves. */
const READY_MS = 30_000 * timeoutScale;

/** How to start a Nomad. */
export interface NomadOptions {
  /** The `config {}` of the `plugin "nspawn"` block. */
  readonly pluginConfig?: Readonly<Record<string, unknown>>;
  /** Added to the client's `client {}` block. */
  readonly client?: Readonly<Record<string, unknown>>;
  /** Wait until the driver is healthy; true where absent. */
  readonly healthy?: boolean;
  /** The driver's executable; the built one where absent. */
  readonly driver?: string;
  /** false for a driver that has no images of registries: its config does not name a store for them. */
  readonly store?: false;
}

/** A running Nomad. */
export interface Nomad {
  /** The server's API; it forwards requests that only the client can answer. */
  readonly api: NomadApi;
  readonly nodeId: string;
  /** Directory of the driver's executable; image paths are relative to it. */
  readonly pluginDir: string;
  /** Directory of the allocations. */
  readonly allocDir: string;
  /** The client agent that runs now. */
  client(): AgentProcess;
  /** PID of the plugin instance that runs tasks. */
  pluginPid(): Promise<number>;
  /** Ends the client agent: SIGINT as planned, SIGKILL as a crash. */
  stopClient(signal: "SIGINT" | "SIGKILL"): Promise<void>;
  /** Starts the client agent again on its old state; resolves when the node is ready and the driver healthy. */
  startClient(): Promise<Node>;
  /** Stops all jobs, ends both agents and removes everything. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a Nomad with the built driver in its plugin_dir. */
export async function startNomad(options: NomadOptions = {}): Promise<Nomad> {
  const binary = await nomadAgent();
  await using made = new AsyncDisposableStack();
  const root = await mkdtemp("/var/tmp/agent-");
  const hadNamespaces = (await mountPoints()).includes(namespaces);
  made.defer(async () => {
    await unmountBelow(root);
    if (!hadNamespaces) await unmountNamespaces();
    await rm(root, { recursive: true, force: true });
  });
  const pluginDir = join(root, "plugins");
  const dataDir = join(root, "client");
  await mkdir(pluginDir);
  await copyFile(options.driver ?? driverBinary(), join(pluginDir, pluginFile));
  const ports = { server: freePorts(3), client: freePorts(3) };
  const serverFile = await configured(root, "server", serverConfig(root, ports.server));
  const clientFile = await configured(root, "client", clientConfig({ dataDir, pluginDir, ports, options }));

  const server = startAgentProcess(binary, serverFile);
  made.defer(async () => void (await server.stop("SIGINT")));
  const api = new NomadApi(`http://127.0.0.1:${ports.server[0]}`);
  // Before the keyring exists, a client's registration fails and is retried only after 15 s.
  await orAgentLog(server, server.log.waitFor("initialized keyring", READY_MS));

  let client = startAgentProcess(binary, clientFile);
  made.defer(async () => void (await client.stop("SIGINT")));
  const clientAddress = `http://127.0.0.1:${ports.client[0]}`;
  const ready = () => orAgentLog(client, clientReady(client, api, clientAddress, options.healthy ?? true));
  const node = await ready();
  made.defer(() => stopJobs(api));

  const kept = made.move();
  return {
    api,
    nodeId: node.ID,
    pluginDir,
    allocDir: join(dataDir, "alloc"),
    client: () => client,
    pluginPid: () => pluginProcess(join(pluginDir, pluginFile)),
    stopClient: async (signal) => void (await client.stop(signal)),
    startClient: () => {
      client = startAgentProcess(binary, clientFile);
      return ready();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function clientReady(agent: AgentProcess, api: NomadApi, address: string, healthy: boolean): Promise<Node> {
  await agent.log.waitFor("node registration complete", READY_MS);
  const id = await new NomadApi(address).selfNodeId();
  return api.node(
    id,
    (node) => node.Status === "ready" && (!healthy || node.Drivers["nspawn"]?.Healthy === true),
    READY_MS,
  );
}

type Ports = readonly number[];

function common(name: string, dataDir: string, [http = 0, rpc = 0, serf = 0]: Ports) {
  const address = "127.0.0.1";
  return {
    name,
    data_dir: dataDir,
    bind_addr: address,
    advertise: { http: address, rpc: address, serf: address },
    ports: { http, rpc, serf },
    disable_update_check: true,
    log_level: "DEBUG",
  };
}

function serverConfig(root: string, ports: Ports) {
  return { ...common("server", join(root, "server"), ports), server: { enabled: true, bootstrap_expect: 1 } };
}

interface ClientSettings {
  readonly dataDir: string;
  readonly pluginDir: string;
  readonly ports: { readonly server: Ports; readonly client: Ports };
  readonly options: NomadOptions;
}

function clientConfig({ dataDir, pluginDir, ports, options }: ClientSettings) {
  return {
    ...common("client", dataDir, ports.client),
    plugin_dir: pluginDir,
    client: {
      enabled: true,
      servers: [`127.0.0.1:${ports.server[1]}`],
      network_interface: "lo",
      options: { "fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean,consul,vault" },
      ...options.client,
    },
    plugin: [{ [pluginFile]: [{ config: [pluginConfig(dataDir, options)] }] }],
  };
}

function pluginConfig(dataDir: string, { store, pluginConfig }: NomadOptions) {
  // A separate store, which is removed with the agent.
  return { ...(store === undefined ? { image_store: join(dataDir, "images") } : {}), ...pluginConfig };
}

async function configured(root: string, name: string, config: unknown): Promise<string> {
  const file = join(root, `${name}.json`);
  await writeFile(file, JSON.stringify(config, undefined, 2), { mode: 0o600 });
  return file;
}

/** Ports that no program currently listens on. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  );
  const ports = listeners.map(({ port }) => port);
  for (const listener of listeners) listener.stop(true);
  return ports;
}

async function stopJobs(api: NomadApi): Promise<void> {
  for (const id of await api.jobIds()) {
    await api.stopJob(id);
    await api.allocations(id, (found) => found.every(({ ClientStatus }) => terminal.has(ClientStatus)), 60_000);
  }
  await api.collectGarbage();
}

const terminal: ReadonlySet<string> = new Set(["complete", "failed", "lost"]);

/** The plugin process: after a crash of the agent it is not a child of the next agent. */
async function pluginProcess(file: string): Promise<number> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [executable, commandLine] = await Promise.all([
      readlink(`/proc/${pid}/exe`).catch(() => ""),
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
    ]);
    // The plugin is started without arguments; with arguments the binary has another role.
    if (executable === file && commandLine === `${file}\0`) found.push(Number(pid));
  }
  const [pid, ...others] = found;
  if (pid === undefined || others.length > 0) {
    throw new Error(`${found.length} processes (${found.join(", ")}) of ${file} serve as plugin, not one.`);
  }
  return pid;
}

/** Where the agent keeps network namespaces; it bind-mounts the directory on itself and never unmounts it. */
const namespaces = "/run/netns";

async function unmountNamespaces(): Promise<void> {
  for (const point of await mountPoints()) if (point === namespaces) await run(["umount", point]);
}

/** A killed agent leaves the file systems of its allocations' secrets mounted. */
async function unmountBelow(root: string): Promise<void> {
  for (const point of (await mountPoints()).reverse()) if (point.startsWith(`${root}/`)) await run(["umount", point]);
}

async function mountPoints(): Promise<string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").map((line) => line.split(" ")[4] ?? "");
}
