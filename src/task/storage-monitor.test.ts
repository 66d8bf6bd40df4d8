import { expect, test } from "bun:test";
import { StorageMonitor, storageSentence } from "./storage-monitor";

/** A monitor of changes that grow by each measurement, a failed one among them. */
function monitored(sizes: readonly (number | Error)[], limit: number) {
  let index = 0;
  const over = Promise.withResolvers<number>();
  const asked = Promise.withResolvers<void>();
  const measure = async (): Promise<number> => {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? 0;
    index += 1;
    if (index === sizes.length) asked.resolve();
    if (size instanceof Error) throw size;
    return size;
  };
  const monitor = new StorageMonitor({ limit, measure }, async (bytes) => over.resolve(bytes), 0);
  return { monitor, over: over.promise, asked: asked.promise, count: () => index };
}

test("reports changes above the limit once, and also after a measurement that failed", async () => {
  const { over, count } = monitored([1, 100, new Error("no such file"), 101, 102], 100);
  expect(await over).toBe(101);
  expect(count()).toBe(4);
});

test("reports them again if the task could not be killed", async () => {
  const reported: number[] = [];
  const killed = Promise.withResolvers<void>();
  let size = 100;
  const measure = async () => (size += 1);
  const kill = async (bytes: number) => {
    reported.push(bytes);
    if (reported.length < 3) throw new Error("PID 1 does not answer");
    killed.resolve();
  };
  new StorageMonitor({ limit: 100, measure }, kill, 0);
  await killed.promise;
  await Bun.sleep(5);
  expect(reported).toEqual([101, 102, 103]);
});

test("reports nothing once it is closed", async () => {
  const { monitor, asked, over } = monitored([1, 500], 100);
  monitor.close();
  expect(await Promise.race([asked, over, Bun.sleep(20).then(() => "nothing")])).toBe("nothing");
});

test("the sentence has both figures", () => {
  expect(storageSentence(150 * 2 ** 20, 100e6)).toBe(
    "The task was killed, because its changes to the root file system take 150 MiB: storage_limit allows 95.4 MiB.",
  );
});
