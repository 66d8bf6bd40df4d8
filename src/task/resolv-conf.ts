import type { DNSConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";

/**
 * The text of /etc/resolv.conf for Nomad's dns block (resolv.conf(5)); undefined if the block is absent or empty.
 *
 * @throws Error if a value contains a line break
 */
export function resolvConf(dns: DNSConfig | undefined): string | undefined {
  if (dns === undefined) return undefined;
  const { servers, searches, options } = dns;
  const lines = [
    ...servers.map((server) => `nameserver ${server}`),
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
  ];
  const broken = lines.find((line) => /[\n\r\0]/.test(line));
  if (broken !== undefined) {
    throw new Error(
      `The dns block has the value ${JSON.stringify(broken)} with a line break: write one value per item.`,
    );
  }
  return lines.length === 0 ? undefined : `${lines.join("\n")}\n`;
}
