import { expect, test } from "bun:test";
import { CONTAINER_IDS, chooseRange } from "./private-users";

test("ranges are in systemd's range, stable per machine, and free", () => {
  const seen = new Set<number>();
  for (let index = 0; index < 500; index += 1) {
    const first = chooseRange(`machine-${index}`, () => false) ?? 0;
    expect(first % 65_536).toBe(0);
    expect(first).toBeGreaterThanOrEqual(CONTAINER_IDS.first);
    expect(first).toBeLessThanOrEqual(CONTAINER_IDS.last);
    seen.add(first);
    expect(chooseRange(`machine-${index}`, () => false)).toBe(first);
    expect(chooseRange(`machine-${index}`, (taken) => taken === first)).not.toBe(first);
  }
  expect(seen.size).toBeGreaterThan(450);
  expect(chooseRange("machine", () => true)).toBeUndefined();
});
