/** systemd-nspawn's name for the container's end of its veth pair (systemd-nspawn(1), --network-veth). */
export const HOST_LINK = "host0";

/** Why a text is not the hardware address of one interface, or undefined. */
export function macProblem(mac: string): string | undefined {
  if (!/^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(mac)) return 'it must be six bytes such as "02:00:5e:10:00:01"';
  const group = (Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0;
  return group || /^[0:]+$/.test(mac)
    ? "it must be the address of one interface: the first byte must be even, and not all of them 0"
    : undefined;
}
