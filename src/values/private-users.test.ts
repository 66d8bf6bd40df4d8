import { expect, test } from "bun:test";
import { CONTAINER_IDS, candidateRanges } from "./private-users";

test("ranges are in systemd's range, stable per machine, and differ", () => {
  const seen = new Set<number>();
  for (let index = 0; index < 500; index += 1) {
    const [first = 0, second] = candidateRanges(`machine-${index}`);
    expect(first % 65_536).toBe(0);
    expect(first).toBeGreaterThanOrEqual(CONTAINER_IDS.first);
    expect(first).toBeLessThanOrEqual(CONTAINER_IDS.last);
    seen.add(first);
    expect(candidateRanges(`machine-${index}`).next().value).toBe(first);
    expect(second).not.toBe(first);
  }
  expect(seen.size).toBeGreaterThan(450);
  expect([...candidateRanges("machine")]).toHaveLength(1000);
});
