import { describe, expect, test } from "bun:test";
import { parseSubIds, type SystemFacts, systemFindings } from "./system-checks";

const good: SystemFacts = {
  run: undefined,
  inotifyInstances: 128,
  subIds: parseSubIds("/etc/subuid", "alice:100000:65536\n# bob:600000:65536\nbroken\n"),
  maskedMachined: false,
  now: Date.parse("2027-01-01"),
  built: Date.parse("2026-11-27"),
  authFile: { path: "/etc/auth.json", mode: 0o600 },
};
const bad = (change: Partial<SystemFacts>) =>
  systemFindings({ ...good, ...change }).filter(({ level }) => level !== "ok");

test("a good host has only good findings", () => {
  expect(bad({})).toEqual([]);
  expect(bad({ inotifyInstances: undefined, built: undefined, authFile: undefined, subIds: [] })).toEqual([]);
});

describe("trouble, with the commands that remove it", () => {
  test.each<[Partial<SystemFacts>, string, string, readonly string[]]>([
    [{ run: "EROFS" }, "/run", "cannot be written to (EROFS)", ["mount -o remount,rw /run"]],
    [{ inotifyInstances: 8 }, "inotify", "is 8", ["sysctl -w fs.inotify.max_user_instances=1024"]],
    [
      { maskedMachined: true },
      "machined",
      "masked",
      expect.arrayContaining(["systemctl unmask systemd-machined.service"]),
    ],
    [{ now: 0 }, "clock", "1970-01-01", ["timedatectl set-ntp true"]],
    [
      { authFile: { path: "/a", mode: 0o644 } },
      "registry credentials",
      "mode is 644",
      ["chown root:root /a", "chmod 600 /a"],
    ],
    [
      { subIds: parseSubIds("/etc/subuid", "alice:100000:65536\nbob:600000:65536") },
      "user IDs",
      "User bob has the subordinate IDs 600000 to 665535 in /etc/subuid",
      ["usermod --del-subuids 600000-665535 --add-subuids 165536-231071 bob"],
    ],
    [
      { subIds: parseSubIds("/etc/subgid", "eve:493216:65536") },
      "user IDs",
      "493216 to 558751 in /etc/subgid",
      ["usermod --del-subgids 493216-558751 --add-subgids 100000-165535 eve"],
    ],
  ])("%j", (change, check, text, commands) => {
    expect(bad(change)).toEqual([expect.objectContaining({ check, commands, text: expect.stringContaining(text) })]);
  });

  test("without a command where the operator has to decide", () => {
    expect(bad({ authFile: { path: "/a", mode: 0, problem: "it does not exist" } })[0]?.commands).toBeUndefined();
    const full = parseSubIds("/etc/subuid", "a:100000:400000\nb:600000:65536");
    expect(bad({ subIds: full })[0]?.commands).toBeUndefined();
  });
});
