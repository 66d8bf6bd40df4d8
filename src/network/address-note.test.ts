import { expect, test } from "bun:test";
import { addressNote } from "./address-note";

const end = "services cannot be registered with it, and its ports lead to it as soon as it has one.";

test.each([
  [[], `The container has no address after 2.5 s: ${end}`],
  [
    ["192.0.2.9/24", "2001:db8::9/64"],
    `The container has no address that this client reaches after 2.5 s, only 192.0.2.9/24 and 2001:db8::9/64, to which no route leads by its link (see \`networkctl status\` and \`ip route\`): ${end}`,
  ],
])("a container with %j", (unreached, note) => {
  expect(addressNote(2500, unreached)).toBe(note);
});
