/** Another host on the network of the machine under test: a network namespace with a link to it. */

import { attempt, type Finished, run } from "../../tools/command";

/** Addresses of the machine on that network. */
export const ownAddresses = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;
/** Addresses of the other host. */
export const neighbourAddresses = { 4: "192.0.2.9", 6: "2001:db8::9" } as const;

/** The other host. */
export interface Neighbour extends AsyncDisposable {
  /** Name of its network namespace. */
  readonly name: string;
  /** Runs a command on it. */
  run(argv: readonly string[]): Promise<Finished>;
}

/** Adds such a host; it is removed completely when disposed of. */
export async function addNeighbour(): Promise<Neighbour> {
  const name = `neighbour-${process.pid}`;
  await using made = new AsyncDisposableStack();
  await run(["ip", "netns", "add", name]);
  made.defer(async () => void (await run(["ip", "netns", "delete", name])));
  const inside = (argv: readonly string[]) => run(["ip", "netns", "exec", name, ...argv]);
  await run(["ip", "link", "add", "neighbour", "type", "veth", "peer", "name", "uplink", "netns", name]);
  made.defer(async () => void (await attempt(["ip", "link", "delete", "neighbour"])));
  await run(["ip", "address", "add", `${ownAddresses[4]}/24`, "dev", "neighbour"]);
  await run(["ip", "address", "add", `${ownAddresses[6]}/64`, "dev", "neighbour", "nodad"]);
  await run(["ip", "link", "set", "neighbour", "up"]);
  await inside(["ip", "address", "add", `${neighbourAddresses[4]}/24`, "dev", "uplink"]);
  await inside(["ip", "address", "add", `${neighbourAddresses[6]}/64`, "dev", "uplink", "nodad"]);
  for (const link of ["lo", "uplink"]) await inside(["ip", "link", "set", link, "up"]);
  const kept = made.move();
  return {
    name,
    run: (argv) => attempt(["ip", "netns", "exec", name, ...argv]),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
