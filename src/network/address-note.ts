/**
 * A note about a container without an address that services can be registered with.
 *
 * @param ms how long the driver waited for one
 * @param unreached its addresses, "ADDRESS/PREFIX", that this client cannot reach through its link
 */
export function addressNote(ms: number, unreached: readonly string[]): string {
  const seconds = `${ms / 1000} s`;
  const until = "service registration needs an address; port forwards start when one is assigned.";
  return unreached.length === 0
    ? `The container has no address after ${seconds}: ${until}`
    : `The container has no address that this client can reach after ${seconds}, only ${unreached.join(" and ")}, not reachable through its interface (see \`networkctl status\` and \`ip route\`): ${until}`;
}
