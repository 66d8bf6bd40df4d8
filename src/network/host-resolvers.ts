import { readFile } from "node:fs/promises";
import { isMissing } from "../host/errno";
import { isLocal, parseAddress } from "./ip";

/** The servers that the host itself uses: behind systemd-resolved's own server on a loopback address, which no container can reach. */
const files = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"] as const;

/**
 * The text of a resolv.conf(5) without the servers that only the host can reach; undefined if no server remains.
 */
export function reachableResolvers(text: string): string | undefined {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^(nameserver|search|domain|options|sortlist)\s/.test(line));
  const kept = lines.filter((line) => !isUnreachable(line));
  return kept.some((line) => line.startsWith("nameserver")) ? `${kept.join("\n")}\n` : undefined;
}

/** The host's name servers for a container with its own network; undefined if containers can reach none of them. */
export async function hostResolvers(): Promise<string | undefined> {
  for (const file of files) {
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    const reachable = text === undefined ? undefined : reachableResolvers(text);
    if (reachable !== undefined) return reachable;
  }
  return undefined;
}

/** The name servers in the text of a resolv.conf(5). */
export function serversOf(text: string | undefined): string[] {
  return [...(text ?? "").matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = ""]) => server);
}

function isUnreachable(line: string): boolean {
  const [word, server = ""] = line.split(/\s+/);
  if (word !== "nameserver") return false;
  const address = parseAddress(server);
  // An address with a zone belongs to one of the host's links.
  return address === undefined || isLocal(address);
}
