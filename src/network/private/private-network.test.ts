import { expect, test } from "bun:test";
import { addressNote } from "./private-network";

const end = "service registration needs an address; port forwards start when one is assigned.";

test.each([
  [[], `The container has no address after 2.5 s: ${end}`],
  [
    ["192.0.2.9/24", "2001:db8::9/64"],
    `The container has no address that this client can reach after 2.5 s, only 192.0.2.9/24 and 2001:db8::9/64, not reachable through its interface (see \`networkctl status\` and \`ip route\`): ${end}`,
  ],
])("a container with %j", (unreached, note) => {
  expect(addressNote(2500, unreached)).toBe(note);
});
