import { expect, test } from "bun:test";
import { parseConfinement, parseProfiles } from "./security-modules";

test("the names of AppArmor's profiles", () => {
  expect(parseProfiles("docker-default (enforce)\n/usr/bin/man (complain)\nwith space (enforce)\nbroken\n")).toEqual([
    "docker-default",
    "/usr/bin/man",
    "with space",
  ]);
});

test.each([
  ["nomad-web (enforce)\n", "nomad-web"],
  ["with space (complain)\0", "with space"],
  ["one//&two (enforce)\n", "one//&two"],
  ["loose (unconfined)\n", undefined],
  ["unconfined\n", undefined],
  ["", undefined],
])("%j confines to %j", (text, profile) => {
  expect(parseConfinement(text)).toBe(profile);
});
