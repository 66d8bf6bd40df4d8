import * as v from "valibot";
import { attemptNft } from "./nftables";

const chain = v.object({
  chain: v.object({
    family: v.string(),
    table: v.string(),
    name: v.string(),
    hook: v.literal("forward"),
    policy: v.literal("drop"),
  }),
});
const list = v.object({ nftables: v.array(v.unknown()) });

/**
 * The chains whose policy drops forwarded packets, parsed from the output of `nft --json list chains` (libnftables-json(5)), as
 * "FAMILY TABLE CHAIN". They include those of iptables-nft.
 */
export function droppingForwardChains(json: string): string[] {
  if (json === "") return [];
  return v.parse(list, JSON.parse(json)).nftables.flatMap((entry) => {
    const found = v.safeParse(chain, entry);
    if (!found.success) return [];
    const { family, table, name } = found.output.chain;
    return ["ip", "ip6", "inet"].includes(family) ? [`${family} ${table} ${name}`] : [];
  });
}

/** How systemd-nspawn names the host's end of a container's link: alone, or the bridge of a zone. */
type LinkPrefix = "ve-" | "vz-";

/**
 * The commands that accept packets of containers in a chain: of iptables for its own chains, because iptables cannot show rules that nft
 * adds to them.
 */
export function acceptCommands(dropping: string, prefix: LinkPrefix): string {
  if (dropping.startsWith("inet")) {
    const rule = (direction: "iifname" | "oifname") => `nft insert rule ${dropping} ${direction} "${prefix}*" accept`;
    return `${rule("iifname")}; ${rule("oifname")}`;
  }
  const program = dropping.startsWith("ip6") ? "ip6tables" : "iptables";
  const rule = (direction: "-i" | "-o") => `${program} -I FORWARD ${direction} ${prefix}+ -j ACCEPT`;
  return `${rule("-i")}; ${rule("-o")}`;
}

/**
 * Whether a table, as `nft list table` prints it, seems to accept packets of containers: by a rule for their interfaces, or by one without
 * a condition. Rules for addresses or marks are not recognized.
 */
export function acceptsLinks(table: string, prefix: LinkPrefix): boolean {
  return table.split("\n").some((line) => {
    const rule = line.trim();
    if (!/\baccept$/.test(rule)) return false;
    if (/^(?:counter packets \d+ bytes \d+ )?accept$/.test(rule)) return true;
    return [...rule.matchAll(/"([^"]*)"/g)].some(([, name = ""]) =>
      name.endsWith("*") && prefix.startsWith(name.slice(0, -1)) ? name !== "*" : name.startsWith(prefix),
    );
  });
}

/** The note about chains that drop packets of containers; undefined if there is none. */
export function droppedNote(chains: readonly string[], prefix: LinkPrefix): string | undefined {
  const [first] = chains;
  if (first === undefined) return undefined;
  const where = `${chains.length === 1 ? "chain" : "chains"} ${chains.join(", ")}, policy drop`;
  const docker = first.startsWith("inet") ? "" : " (with Docker in the chain DOCKER-USER)";
  return `A firewall of this client drops forwarded packets (${where}) and has no rule that accepts the container's interface: other hosts may not reach the task's ports, nor the task other hosts. The driver does not modify other programs' rules. To accept them: ${acceptCommands(first, prefix)}${docker}`;
}

/** How long what nft has listed is used for further starts, in milliseconds. */
const FRESH_MS = 30_000;

/** A chain that drops forwarded packets, and the text of its table. */
interface DroppingChain {
  readonly name: string;
  readonly table: string;
}

/** Finds chains that drop what containers send. Lists the host's chains at most every 30 seconds, and only when asked. */
export class ForwardPolicy {
  #read: { readonly at: number; readonly chains: Promise<readonly DroppingChain[]> } | undefined;

  /** A sentence with the chains that drop packets of containers, and the commands that accept them; undefined if none does. */
  async problem(prefix: LinkPrefix): Promise<string | undefined> {
    const now = performance.now();
    if (this.#read === undefined || now - this.#read.at > FRESH_MS) this.#read = { at: now, chains: readDropping() };
    return droppedNote(closed(await this.#read.chains, prefix), prefix);
  }
}

/** The chains of this host that drop packets of containers, as "FAMILY TABLE CHAIN". */
export async function closedForwardChains(prefix: LinkPrefix): Promise<readonly string[]> {
  return closed(await readDropping(), prefix);
}

function closed(chains: readonly DroppingChain[], prefix: LinkPrefix): readonly string[] {
  return chains.filter(({ table }) => !acceptsLinks(table, prefix)).map(({ name }) => name);
}

async function readDropping(): Promise<readonly DroppingChain[]> {
  const { output } = await attemptNft(["--json", "list", "chains"]);
  const chains: DroppingChain[] = [];
  for (const name of droppingForwardChains(output)) {
    const [family = "", table = ""] = name.split(" ");
    chains.push({ name, table: (await attemptNft(["list", "table", family, table])).output });
  }
  return chains;
}
