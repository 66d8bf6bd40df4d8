import { parseSysctl, type Sysctl } from "../values/sysctl";
import type { TaskOptions } from "./task/options";

/** A kernel setting with the value that a container gets. */
export interface SysctlValue extends Sysctl {
  readonly value: string;
}

/** The kernel settings of the option sysctl, whose names are valid. */
export function sysctlsOf({ sysctl }: Pick<TaskOptions, "sysctl">): SysctlValue[] {
  return Object.entries(sysctl).flatMap(([name, value]) => {
    const parsed = parseSysctl(name);
    return typeof parsed === "string" ? [] : [{ ...parsed, value }];
  });
}

/** The file of the resolver (resolv.conf(5)). */
export const RESOLV_CONF = "/etc/resolv.conf";

/** Options with which the driver writes a file of the container, and that file. */
export function writtenFiles(options: TaskOptions): [option: string, path: string][] {
  const { extra_hosts, domainname, dns_servers, dns_search_domains, dns_options } = options;
  const hosts = { extra_hosts, domainname: domainname === undefined ? [] : [domainname] };
  const dns = { dns_servers, dns_search_domains, dns_options };
  const set = (lists: Readonly<Record<string, readonly unknown[]>>, path: string) =>
    Object.entries(lists).flatMap(([name, list]): [string, string][] => (list.length > 0 ? [[name, path]] : []));
  return [...set(hosts, "/etc/hosts"), ...set(dns, RESOLV_CONF)];
}
