import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseListenAddress } from "../../values/listen-address";
import { readTelemetry, telemetryFindings } from "./telemetry-checks";

function at(text: string) {
  const address = parseListenAddress(text);
  if (typeof address === "string") throw new Error(address);
  return { telemetry: { address, traces_max_size: 1 } };
}

test("no address, nothing that listens, the driver, and another server", async () => {
  const top = mkdtempSync(join(tmpdir(), "telemetry-"));
  expect(telemetryFindings(await readTelemetry({ telemetry: { traces_max_size: 1 } }))).toEqual([]);
  const path = join(top, "s");
  const answers = async (text: string) => telemetryFindings(await readTelemetry(at(text)));
  expect(await answers(`unix:${path}`)).toMatchObject([{ check: "telemetry", level: "warning" }]);
  expect((await answers(`unix:${path}`))[0]?.text).toStartWith("Nothing listens");
  expect((await answers("127.0.0.1:1"))[0]?.text).toStartWith("Nothing listens");
  const driver = Bun.serve({ unix: path, fetch: () => new Response('nomad_nspawn_build_info{version="1"} 1\n') });
  expect(await answers(`unix:${path}`)).toMatchObject([{ level: "ok" }]);
  await driver.stop(true);
  const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
  expect((await answers(`127.0.0.1:${other.port}`))[0]?.text).toContain("is not the driver");
  await other.stop(true);
  rmSync(top, { recursive: true });
});
