import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { becomesTrue } from "../lib/deadline";
import type { LogFields, Logger } from "../lib/logger";
import { MetricRegistry } from "./registry";
import { MetricsServer } from "./server";

const top = mkdtempSync(join(tmpdir(), "metrics-"));
afterAll(() => rmSync(top, { recursive: true }));
const RETRY_MS = 5;

function server() {
  const lines: string[] = [];
  const log = (message: string, fields: LogFields = {}) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const logger: Logger = { trace: log, debug: log, info: log, warn: log, error: log, named: () => logger };
  return { server: new MetricsServer(new MetricRegistry(), logger, RETRY_MS), lines };
}

const soon = (condition: () => boolean) => becomesTrue(condition, { firstMs: 1, longestMs: 10, timeoutMs: 5000 });
const get = (unix: string, path = "/metrics", init: RequestInit = {}) => fetch(`http://x${path}`, { ...init, unix });

test("a socket for root alone, which is gone afterwards with its lock", async () => {
  const path = join(top, "one/metrics.sock");
  const directory = join(top, "one");
  const { server: own, lines } = server();
  own.listenAt({ kind: "unix", path });
  expect(lines.at(-1)).toContain("metrics are not served");
  expect(lines.at(-1)).toContain(directory);
  own.listenAt(undefined);
  using _own = own;
  rmSync(directory, { recursive: true, force: true });
  const made = join(mkdtempSync(join(top, "two-")), "metrics.sock");
  own.listenAt({ kind: "unix", path: made });
  expect(own.serving).toBe(true);
  expect(statSync(made).mode & 0o777).toBe(0o600);
  const response = await get(made);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await response.text()).toContain("nomad_nspawn_starts_total");
  const other = await get(made, "/metrics", { headers: { accept: "application/openmetrics-text" } });
  expect(other.headers.get("content-type")).toContain("application/openmetrics-text; version=1.0.0");
  expect(await other.text()).toEndWith("# EOF\n");
  expect((await get(made, "/")).status).toBe(404);
  expect((await get(made, "/metrics", { method: "POST", body: "x" })).status).toBe(405);
  own.listenAt(undefined);
  expect(own.serving).toBe(false);
  expect(readdirSync(join(made, ".."))).toEqual([]);
});

test("a second one waits until the first has ended, and says so once", async () => {
  const path = join(mkdtempSync(join(top, "shared-")), "metrics.sock");
  const first = server();
  const second = server();
  using one = first.server;
  using two = second.server;
  one.listenAt({ kind: "unix", path });
  two.listenAt({ kind: "unix", path });
  await Bun.sleep(RETRY_MS * 4);
  expect(two.serving).toBe(false);
  expect(second.lines).toEqual([expect.stringContaining("another process has it")]);
  one.listenAt(undefined);
  expect(await soon(() => two.serving)).toBe(true);
  expect((await get(path)).status).toBe(200);
});

test("what a killed process left is replaced; another file is not", async () => {
  const directory = mkdtempSync(join(top, "left-"));
  const path = join(directory, "metrics.sock");
  const listener = Bun.listen({ unix: `${path}.x`, socket: { data: () => {} } });
  await Bun.$`mv ${path}.x ${path}`.quiet();
  listener.stop(true);
  const { server: own, lines } = server();
  using _own = own;
  own.listenAt({ kind: "unix", path });
  expect((await get(path)).status).toBe(200);
  const file = join(directory, "file");
  writeFileSync(file, "precious");
  own.listenAt({ kind: "unix", path: file });
  expect(own.serving).toBe(false);
  expect(lines.at(-1)).toContain("exists and is not a socket");
  expect(existsSync(file)).toBe(true);
});

test("a directory that others may write to is refused", () => {
  const directory = mkdtempSync(join(top, "open-"));
  chmodSync(directory, 0o777);
  const { server: own, lines } = server();
  using _own = own;
  own.listenAt({ kind: "unix", path: join(directory, "metrics.sock") });
  expect(own.serving).toBe(false);
  expect(lines.at(-1)).toContain("writable by root alone");
});

test("a loopback port, which one process has at a time", async () => {
  const free = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port = 0 } = free;
  const { server: own, lines } = server();
  using _own = own;
  own.listenAt({ kind: "tcp", host: "127.0.0.1", port });
  expect(own.serving).toBe(false);
  expect(lines.at(-1)).toContain("another process has it");
  await free.stop(true);
  expect(await soon(() => own.serving)).toBe(true);
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
});
