import { expect, test } from "bun:test";
import { featuresOf, MINIMUM_VERSION, parseNspawnVersion } from "./features";

test.each([
  ["systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT\n", 252],
  ["systemd 257 (257.13-1~deb13u1)\n", 257],
  ["systemd 258~rc1 (258~rc1-1)\n", 258],
  ["systemd-nspawn: not found", undefined],
  ["", undefined],
])("the version in %j", (text, version) => {
  expect(parseNspawnVersion(text)).toBe(version);
});

test.each([
  [249, false, false, ["rbind", "norbind"], ["@sandbox"]],
  [250, true, false, ["rbind", "norbind", "idmap", "noidmap"], ["@sandbox"]],
  [252, true, false, ["rbind", "norbind", "idmap", "noidmap", "rootidmap"], ["@sandbox"]],
  [254, true, false, ["rbind", "norbind", "idmap", "noidmap", "rootidmap"], []],
  [258, true, true, ["rbind", "norbind", "idmap", "noidmap", "rootidmap", "owneridmap"], []],
])("the features of %d", (version, setenvByName, volatileMapped, bindOptions, unknownSystemCallGroups) => {
  expect(featuresOf(version)).toMatchObject({
    version,
    setenvByName,
    volatileMapped,
    bindOptions,
    unknownSystemCallGroups,
  });
});

test.each([
  [249, "--user", false],
  [260, "--user", false],
  [261, "--uid", true],
  [262, "--uid", true],
])("%d has the user switch %s", (version, userSwitch, restrictAddressFamilies) => {
  expect(featuresOf(version)).toMatchObject({ userSwitch, restrictAddressFamilies });
});

test("the oldest version knows every switch that the driver always passes", () => {
  expect(MINIMUM_VERSION).toBe(249);
});
