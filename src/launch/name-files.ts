import type { Rootfs } from "../rootfs/rootfs";
import { hostsText } from "./dns-plan";
import type { LaunchPlan } from "./plan";

/** The contents of resolv.conf and /etc/hosts. The driver's own are omitted if the job mounts a file there or the image lacks the path. */
export async function nameFiles({ dns, taken, options }: LaunchPlan, rootfs: Rootfs, addresses: readonly string[]) {
  const whereFree = async (path: string, content: string | undefined) =>
    content !== undefined && !taken.includes(path) && (await rootfs.canMountAt(path)) ? content : undefined;
  // With a directory of the job's at /etc, the driver's file would appear in it.
  const needed = dns.hosts.replaces || dns.hosts.wanted || !taken.includes("/etc");
  return {
    resolvConf: taken.includes("/etc/resolv.conf")
      ? undefined
      : (dns.asked ?? (options.boot ? undefined : await whereFree("/etc/resolv.conf", dns.resolvers))),
    hosts: needed ? await whereFree("/etc/hosts", hostsText(dns.hosts, rootfs.hosts, addresses)) : undefined,
  };
}
