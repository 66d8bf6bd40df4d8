import { expect, test } from "bun:test";
import { agentConfigOf } from "./read-agent-config";

const HCL = `
data_dir = "/var/lib/nomad"
plugin "docker" {
  config { allow_privileged = true }
}
plugin "nspawn" {
  config {
    allow_caps = ["CAP_NET_ADMIN"]
    gc {
      image_delay = "1h"
    }
  }
}
`;

test("a plugin block in HCL", () => {
  expect(agentConfigOf([{ name: "a.hcl", text: HCL }])).toMatchObject({
    label: "nspawn",
    pluginDir: "/var/lib/nomad/plugins",
    plugin: { allow_caps: ["CAP_NET_ADMIN"], gc: { image_delay: 3_600_000 }, volumes: true },
  });
});

test.each([
  { plugin: { nspawn: { config: { volumes: false } } } },
  { plugin: [{ nspawn: [{ config: [{ volumes: false }] }] }], plugin_dir: "/opt/plugins" },
])("a plugin block in JSON wins over that of an earlier file: %j", (content) => {
  const config = agentConfigOf([
    { name: "a.hcl", text: HCL },
    { name: "b.json", text: JSON.stringify(content) },
  ]);
  expect(config.plugin).toMatchObject({ volumes: false, allow_caps: ["CAP_NET_ADMIN"] });
});

test("without a block all options have their defaults", () => {
  expect(agentConfigOf([{ name: "a.hcl", text: "client { enabled = true }" }])).toMatchObject({
    label: undefined,
    pluginDir: undefined,
    plugin: { allow_caps: ["all"] },
  });
});

test.each([
  ["a.hcl", "plugin {", "a.hcl cannot be read: Line 1"],
  ["a.json", "{", "a.json is not valid JSON"],
  ["a.hcl", 'plugin "nspawn" {\n config {\n volumes = "maybe"\n }\n}', "Option volumes"],
])("%s with %j is refused", (name, text, sentence) => {
  expect(() => agentConfigOf([{ name, text }])).toThrow(sentence);
});
