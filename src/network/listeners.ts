import { readdir, readFile, readlink } from "node:fs/promises";
import { absent, errnoCode, isMissing } from "../host/errno";
import { readIfThere } from "../host/read-file";
import { LaunchError } from "../supervisor/supervisor";
import { type Address, addressOfBytes, formatAddress, parseAddress } from "./ip";
import type { PortForward } from "./ports";

/**
 * What listens on the host. A rule that leads a port to a container comes before every socket: what listens there would be cut off,
 * the agent's own API for example, and the container would answer in its place.
 */

/** A socket of the host that others can send to. */
export interface Listener {
  readonly protocol: "tcp" | "udp";
  readonly address: Address;
  readonly port: number;
  /** Number by which the socket is known in /proc/PID/fd. */
  readonly inode: string;
}

/** TCP_LISTEN, and what is shown of a UDP socket that is not connected, TCP_CLOSE (net/tcp_states.h). */
const LISTENING = { tcp: "0A", udp: "07" } as const;
/** 127.0.0.0/8 as the leading eight bits of an address. */
const LOOPBACK_NETWORK = 127n;
const LOOPBACK = new Set(["127.0.0.1", "::1"]);

/**
 * The listeners in a text of /proc/net/tcp, tcp6, udp or udp6 (proc_pid_net(5)); lines that are none are passed over.
 *
 * @param text one socket a line: number, local and remote address, state, seven more fields, inode
 */
export function parseListeners(text: string, protocol: Listener["protocol"]): Listener[] {
  return text.split("\n").flatMap((line) => {
    const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    const [, hex = "", port = ""] = /^((?:[0-9A-F]{8}){1}|(?:[0-9A-F]{8}){4}):([0-9A-F]{4})$/.exec(local) ?? [];
    const address = hex === "" ? undefined : addressOfHex(hex);
    if (state !== LISTENING[protocol] || address === undefined || inode === undefined) return [];
    return [{ protocol, address, port: Number.parseInt(port, 16), inode }];
  });
}

/** Words of 32 bits, each as this machine (x86-64) has it in memory: the lowest byte is the first of the address. */
function addressOfHex(hex: string): Address | undefined {
  const bytes = Buffer.from(hex, "hex");
  bytes.swap32();
  // An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2).
  const mapped = bytes.length === 16 && bytes.subarray(0, 12).equals(Buffer.from("00000000000000000000ffff", "hex"));
  return addressOfBytes(mapped ? bytes.subarray(12) : bytes);
}

/**
 * The first listener that one of the ports would take packets from: at every address of the host, or the one that the port is bound to;
 * at 127.0.0.1 and ::1 in any case, because the host's own programs reach all ports there (see rules()).
 */
export function shadowed(ports: readonly PortForward[], listeners: readonly Listener[]): Listener | undefined {
  return listeners.find(({ address, port }) =>
    ports.some(({ hostPort, hostAddress }) => hostPort === port && takes(hostAddress, address)),
  );
}

function takes(hostAddress: string | undefined, address: Address): boolean {
  if (address.value === 0n || LOOPBACK.has(formatAddress(address))) return true;
  if (address.family === 4 && address.value >> 24n === LOOPBACK_NETWORK) return false;
  const bound = hostAddress === undefined ? undefined : parseAddress(hostAddress);
  return bound === undefined || (bound.family === address.family && bound.value === address.value);
}

/**
 * Refuses ports of the host on which something of it listens.
 *
 * @throws LaunchError naming port and program; Nomad may try again, for the program may end
 */
export async function refuseTakenPorts(ports: readonly PortForward[]): Promise<void> {
  if (ports.length === 0) return;
  const found = shadowed(ports, readListeners());
  if (found === undefined) return;
  const label = ports.find(({ hostPort }) => hostPort === found.port)?.label;
  const program = await programOf(found.inode);
  const address = formatAddress(found.address);
  throw new LaunchError(
    `The port ${found.port} (${JSON.stringify(label)}) cannot be forwarded to the container: ${program ?? "a program of this client"} listens on it (${found.protocol.toUpperCase()}, ${address.includes(":") ? `[${address}]` : address}:${found.port}), and would not be reached any more. Use another port, or end that program.`,
    { recoverable: true },
  );
}

/** Read on this very thread: while another one reads, this one may be in a container's namespace, which /proc/net would show then. */
function readListeners(): Listener[] {
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    // A host without IPv6 has no tables of it.
    ["", "6"].flatMap((family) => parseListeners(readIfThere(`/proc/net/${protocol}${family}`) ?? "", protocol)),
  );
}

/** Name and PID of a process that has a socket; undefined where that cannot be seen. */
async function programOf(inode: string): Promise<string | undefined> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  // systemd keeps sockets that it hands to others.
  for (const pid of pids.toSorted((one, other) => other - one)) {
    try {
      for (const fd of await readdir(`/proc/${pid}/fd`)) {
        if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(absent)) !== `socket:[${inode}]`) continue;
        const name = (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
        return `the program ${JSON.stringify(name)} (PID ${pid})`;
      }
    } catch (error) {
      if (!isMissing(error) && !isForbidden(error)) throw error;
    }
  }
  return undefined;
}

function isForbidden(error: unknown): boolean {
  return ["EACCES", "EPERM"].includes(errnoCode(error) ?? "");
}
