/**
 * What is to be said of a container that has no address that services can be registered with.
 *
 * @param ms how long one was waited for
 * @param unreached addresses that it has, "ADDRESS/PREFIX", and that this client does not reach by its link
 */
export function addressNote(ms: number, unreached: readonly string[]): string {
  const seconds = `${ms / 1000} s`;
  const until = "services cannot be registered with it, and its ports lead to it as soon as it has one.";
  return unreached.length === 0
    ? `The container has no address after ${seconds}: ${until}`
    : `The container has no address that this client reaches after ${seconds}, only ${unreached.join(" and ")}, to which no route leads by its link (see \`networkctl status\` and \`ip route\`): ${until}`;
}
