import { readdir, readFile, readlink } from "node:fs/promises";
import { errnoCode, ignoreMissing, isMissing } from "../../lib/errors";
import { readIfThere } from "../../lib/files";
import { LaunchError } from "../../supervisor/supervisor";
import { type Address, addressOfBytes, formatAddress, parseAddress } from "../../values/ip";
import type { PortForward } from "../network";

/**
 * Programs that listen on the host. A rule that forwards a port to a container takes precedence over every socket: a program listening
 * there, the agent's own API for example, would be cut off, and the container would answer instead.
 */

/** A socket of the host that receives packets from others. */
export interface Listener {
  readonly protocol: "tcp" | "udp";
  readonly address: Address;
  readonly port: number;
  /** The inode that identifies the socket in /proc/PID/fd. */
  readonly inode: string;
}

/** TCP_LISTEN, and the state shown for an unconnected UDP socket, TCP_CLOSE (net/tcp_states.h). */
const LISTENING = { tcp: "0A", udp: "07" } as const;
/** 127.0.0.0/8 as the leading eight bits of an address. */
const LOOPBACK_NETWORK = 127n;
const LOOPBACK = new Set(["127.0.0.1", "::1"]);

/**
 * The listeners in the text of /proc/net/tcp, tcp6, udp or udp6 (proc_pid_net(5)); invalid lines are skipped.
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

/** Words of 32 bits in the byte order of this machine, little-endian: the lowest byte is the first of the address. */
function addressOfHex(hex: string): Address | undefined {
  const bytes = Buffer.from(hex, "hex");
  bytes.swap32();
  // An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
  const mapped = bytes.length === 16 && bytes.subarray(0, 12).equals(Buffer.from("00000000000000000000ffff", "hex"));
  return addressOfBytes(mapped ? bytes.subarray(12) : bytes);
}

/**
 * The first listener that a forwarded port would take packets from: at every address of the host, or the one that the port is bound to;
 * at 127.0.0.1 and ::1 in any case, because the host's own programs can use all forwarded ports there (see rules()).
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
 * Refuses ports on which a program of the host listens.
 *
 * @throws LaunchError naming port and program; recoverable, because the program may end
 */
export async function refuseTakenPorts(ports: readonly PortForward[]): Promise<void> {
  if (ports.length === 0) return;
  const found = shadowed(ports, readListeners());
  if (found === undefined) return;
  const label = ports.find(({ hostPort }) => hostPort === found.port)?.label;
  const program = await programOf(found.inode);
  const address = formatAddress(found.address);
  throw new LaunchError(
    `The port ${found.port} (${JSON.stringify(label)}) cannot be forwarded to the container: ${program ?? "a program of this client"} already listens on it (${found.protocol.toUpperCase()}, ${address.includes(":") ? `[${address}]` : address}:${found.port}) and would become unreachable. Use another port, or stop that program.`,
    { recoverable: true },
  );
}

/** Read on this thread: another thread could read while this one is in a container's namespace, and /proc/net would show that. */
function readListeners(): Listener[] {
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    // A host without IPv6 does not have the IPv6 tables.
    ["", "6"].flatMap((family) => parseListeners(readIfThere(`/proc/net/${protocol}${family}`) ?? "", protocol)),
  );
}

/** Name and PID of the process that has a socket; undefined if it cannot be determined. */
async function programOf(inode: string): Promise<string | undefined> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  // systemd holds sockets that it passes to services.
  for (const pid of pids.toSorted((one, other) => other - one)) {
    try {
      for (const fd of await readdir(`/proc/${pid}/fd`)) {
        if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(ignoreMissing)) !== `socket:[${inode}]`) continue;
        const name = (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
        return `the program ${JSON.stringify(name)} (PID ${pid})`;
      }
    } catch (error) {
      if (!isMissing(error) && !["EACCES", "EPERM"].includes(errnoCode(error) ?? "")) throw error;
    }
  }
  return undefined;
}
