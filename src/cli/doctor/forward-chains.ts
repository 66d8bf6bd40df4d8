import * as v from "valibot";

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
