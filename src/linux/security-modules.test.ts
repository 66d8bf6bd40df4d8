import { expect, test } from "bun:test";
import { parseProfiles } from "./security-modules";

test("the names of AppArmor's profiles", () => {
  expect(parseProfiles("docker-default (enforce)\n/usr/bin/man (complain)\nwith space (enforce)\nbroken\n")).toEqual([
    "docker-default",
    "/usr/bin/man",
    "with space",
  ]);
});
