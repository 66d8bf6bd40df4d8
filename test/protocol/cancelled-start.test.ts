import { describe, expect, test } from "bun:test";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { pull_timeout: "10m" },
);

/** A server whose image never ends. */
function endlessSite() {
  const asked = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const server = Bun.serve({
    port: 0,
    idleTimeout: 0,
    fetch: ({ signal }) => {
      signal.addEventListener("abort", () => left.resolve());
      const body = new ReadableStream({
        start: (controller) => {
          controller.enqueue(new Uint8Array(1024));
          asked.resolve();
        },
      });
      return new Response(body);
    },
  });
  return {
    // With a query, which may be secret, systemd-importd is not used.
    url: `http://127.0.0.1:${server.port}/image.tar?native`,
    asked: asked.promise,
    /** Resolves when the download was given up. */
    left: left.promise,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const download = (url: string) => {
  const image_download = { url, type: "tar", verify: "no" };
  return shell(`cancelled-${process.pid}-${crypto.randomUUID().slice(0, 8)}`, "true", { image_download });
};

describe("a download ends at once", () => {
  test.each([
    ["StopTask", (id: string) => bench.client().stopTask(id)],
    ["DestroyTask", (id: string) => bench.client().destroyTask(id, true)],
  ] as const)("when the agent calls %s for its task", async (_, end) => {
    await using site = endlessSite();
    const task = await bench.task(download(site.url));
    const start = failure(bench.client().startTask(task.config));
    await site.asked;
    // No task has come of it.
    expect(await failure(end(task.id))).toContain("task not found");
    expect(await start).toContain("The start was cancelled: the agent stopped the task meanwhile.");
    await site.left;
  });

  test("when the agent that asked for the start is gone", async () => {
    await using site = endlessSite();
    const task = await bench.task(download(site.url));
    const agent = new AbortController();
    const start = failure(bench.client().startTask(task.config, { signal: agent.signal }));
    await site.asked;
    // As its connection does when an agent ends.
    agent.abort();
    await start;
    await site.left;
    const again = await bench.finished(shell(bench.busybox, "echo fine"));
    expect(again.stdout).toBe("fine\n");
  });
});
