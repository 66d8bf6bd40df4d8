import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { bytesLike, fuzz, jsonLike } from "../../test/support/fuzz";
import { ConfigError } from "../lib/errors";
import { decodePluginConfig } from "./plugin/decode";
import { checkPolicy } from "./policy";
import { decodeTaskConfig } from "./task/decode";

const task = {
  image: "/image",
  boot: false,
  command: ["/bin/sh", "-c", "true"],
  bind: { "/a": "/b" },
  environment: { A: "b" },
  capability: ["CAP_NET_ADMIN"],
  port_map: [{ http: 80 }],
  rlimits: { NOFILE: "1:2" },
  oom_score_adjust: -5,
  storage_limit: "1GiB",
  image_download: [{ url: "https://example.com/x.tar", type: "tar", verify: "no" }],
};
const plugin = {
  allow_caps: ["all"],
  storage_limit: "2GiB",
  gc: [{ image_delay: "3m", image_min_free: "1GiB" }],
  network: [{ ipv4_pool: "10.0.0.0/16" }],
  registry: [{ default: "docker.io" }],
};

test("the fuzzer's seeds are valid", () => {
  expect(decodeTaskConfig(encode(task)).image).toBe("/image");
  expect(decodePluginConfig(encode(plugin)).enabled).toBe(true);
});

test("any task or plugin config is accepted, or rejected with a sentence", () => {
  const json = jsonLike(task, plugin).map((text) => {
    try {
      return encode(JSON.parse(text));
    } catch {
      return new Uint8Array();
    }
  });
  const options = decodePluginConfig(new Uint8Array());
  fuzz(
    fc.oneof(json, bytesLike(encode(task), encode(plugin))),
    (bytes) => checkPolicy(decodeTaskConfig(bytes), options),
    [ConfigError],
    3_000,
  );
  fuzz(fc.oneof(json, bytesLike(encode(task), encode(plugin))), decodePluginConfig, [ConfigError], 3_000);
});
