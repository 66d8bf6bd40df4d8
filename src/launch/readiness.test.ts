import { expect, test } from "bun:test";
import { notReadyNote, saysReady } from "./readiness";

test.each([
  ["READY=1\n", true],
  ["STATUS=Container running: Ready.\nREADY=1", true],
  ["STATUS=Container running.\nX_NSPAWN_LEADER_PID=7", false],
  ["STATUS=READY=1", false],
  ["READY=10", false],
  ["", false],
] as const)("%j is ready: %p", (message, ready) => expect(saysReady(message)).toBe(ready));

test("why a container is not ready", () => {
  expect(notReadyNote("boot", "web-1", 5000, ["slow.service"])).toBe(
    "The system in container web-1 was not up within 5 s (option ready_timeout): its systemd was still starting slow.service.",
  );
  for (const units of [undefined, []]) {
    expect(notReadyNote("boot", "web-1", 5000, units)).toContain("its init has to send READY=1");
  }
  expect(notReadyNote("pid1", "web-1", 1500, undefined)).toBe(
    "The program of container web-1 did not report within 1.5 s (option ready_timeout) that it is ready: with notify_ready = true it has to send READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3)).",
  );
});
