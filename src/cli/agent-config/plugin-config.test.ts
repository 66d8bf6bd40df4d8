import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPluginConfig } from "./plugin-config";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "agent-config-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function optionsOf(text: string, name = "agent.hcl") {
  await writeFile(join(directory, name), text);
  return readPluginConfig(join(directory, name));
}

const HCL = `
datacenter = "dc1"
plugin "raw_exec" { config { enabled = true } }
plugin "nspawn" {
  config {
    image_store = "/srv/images"
    registry {
      ca      = "/etc/ca.pem"
      mirrors = { "docker.io" = ["cache.lan:5000/hub"] }
    }
    gc { image_delay = "1h" }
  }
}`;

describe("the plugin's block", () => {
  test("of an agent's file", async () => {
    expect(await optionsOf(HCL)).toMatchObject({
      image_store: "/srv/images",
      registry: { ca: "/etc/ca.pem", mirrors: { "docker.io": ["cache.lan:5000/hub"] }, default: "docker.io" },
      gc: { image_delay: 3_600_000, image: true },
    });
  });

  test.each([
    { plugin: { nspawn: { config: { image_store: "/j", registry: { mirrors: { "docker.io": ["m"] } } } } } },
    { plugin: [{ nspawn: [{ config: [{ image_store: "/j", registry: [{ mirrors: [{ "docker.io": ["m"] }] }] }] }] }] },
    {
      plugin: [
        { "nomad-driver-nspawn": { config: { image_store: "/j", registry: { mirrors: { "docker.io": ["m"] } } } } },
      ],
    },
  ])("in JSON: %j", async (config) => {
    expect(await optionsOf(JSON.stringify(config), "agent.json")).toMatchObject({
      image_store: "/j",
      registry: { mirrors: { "docker.io": ["m"] } },
    });
  });

  test("of the files of a directory, the later one last", async () => {
    const files = await mkdtemp(join(directory, "d-"));
    await writeFile(join(files, "a.hcl"), HCL);
    await writeFile(join(files, "b.json"), '{"plugin": {"nspawn": {"config": {"pull_timeout": "1m"}}}}');
    await writeFile(join(files, "README"), "no config = {");
    expect(readPluginConfig(files)).toMatchObject({ image_store: "/srv/images", pull_timeout: 60_000 });
  });

  test("without a path: the defaults", async () => {
    expect(readPluginConfig(undefined).image_store).toBe("/var/lib/nomad-driver-nspawn");
  });

  test.each([
    ["no block", 'plugin "docker" {}', "has no block plugin"],
    ["no HCL", "plugin {{", "Line 1"],
    [
      "an option that does not exist",
      'plugin "nspawn" { config { image_stor = "/x" } }',
      "Option image_stor is unknown",
    ],
    ["no JSON", '{"plugin": ', "Line 1"],
  ])("%s", async (_, text, sentence) => expect(optionsOf(text)).rejects.toThrow(sentence));

  test("of a file that does not exist", async () => {
    expect(() => readPluginConfig("/nonexistent/agent.hcl")).toThrow("/nonexistent/agent.hcl cannot be read: ENOENT");
  });
});
