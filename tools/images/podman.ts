/** A Debian with podman, for containers inside a container. */

import { cached } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";

const source: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: ["podman", "crun", "netavark", "nftables", "busybox-static"],
  masked: [],
  files: { "etc/containers/policy.json": '{"default":[{"type":"insecureAcceptAnything"}]}' },
  links: {},
};

/** The tree of a Debian with podman. */
export async function podmanImage(say?: (line: string) => void): Promise<string> {
  const build = (directory: string) => makeDebianTree(source, directory);
  return cached({ name: "podman", inputs: source, build }, say);
}
