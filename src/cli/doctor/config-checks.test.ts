import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configFindings, readConfigFact } from "./config-checks";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "doctor-config-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function findings(text: string) {
  const path = join(directory, "agent.hcl");
  writeFileSync(path, text);
  const fact = readConfigFact(path);
  if (fact === undefined) throw new Error("no fact");
  return configFindings(fact).map(({ level, text: sentence }) => `${level}: ${sentence.replace(directory, "DIR")}`);
}

test("a permissive configuration", () => {
  expect(findings('plugin "nspawn" {}')).toEqual([
    'ok: The agent\'s configuration DIR/agent.hcl has the block plugin "nspawn".',
    "ok: Jobs may run with the client's user IDs (user_namespacing = false), and so as its root.",
    "ok: Jobs may mount any path of the client; they may use host and CSI volumes; images may come from any path, and from their artifacts.",
    "ok: Jobs may add any capability, and set no unit properties.",
    "ok: Jobs may use the client's own network; they may use any bridge.",
    "ok: Jobs may write to their root without a limit; their output goes to Nomad's logs unless they say otherwise.",
  ]);
});

test("a strict configuration", () => {
  const config = `
    require_user_namespacing = true
    allow_bind_users = ["alice"]
    allow_privileged_binds = false
    allow_host_network = false
    allow_task_images = false
    volumes = false
    image_paths = ["/srv/images"]
    allow_caps = []
    allow_properties = ["IOWeight"]
    storage_limit = "2GiB"
    log_driver = "journal"
    network { bridges = ["br0"] }`;
  expect(findings(`plugin "nspawn" {\n config {${config}\n}\n}`).slice(1)).toEqual([
    "ok: Jobs run with user IDs of their own (require_user_namespacing); they may have its users alice (bind_user).",
    "ok: Jobs may mount nothing but their task directory (allow_privileged_binds = false); they may use no volumes (volumes = false); images may come from /srv/images.",
    "ok: Jobs may add no capability, and set the unit properties IOWeight.",
    "ok: Jobs may not use the client's own network; they may use the bridges br0.",
    "ok: Jobs may write to their root up to 2 GiB; their output goes to the client's journal unless they say otherwise.",
  ]);
});

test.each([
  ["client { enabled = true }", "warning: The agent's configuration DIR/agent.hcl has no block for the driver"],
  ['plugin "nspawn" {\n config { enabled = false }\n}', "error: The block plugin"],
  ['plugin "nspawn" {\n config { volumes = "maybe" }\n}', "error: Option volumes"],
  ["plugin {", "error: The agent's configuration DIR/agent.hcl cannot be read: Line 1"],
])("%j", (text, sentence) => {
  expect(findings(text)[0]).toContain(sentence);
});

test("a configuration that is named has to exist", () => {
  expect(readConfigFact(join(directory, "nowhere"))).toMatchObject({
    problem: expect.stringContaining("cannot be read"),
  });
});
