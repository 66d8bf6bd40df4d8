import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { ConfigError } from "../../lib/errors";
import { bridgeNameProblem } from "../../values/names";
import { checkPolicy } from "../policy";
import { decodeTaskConfig } from "../task/decode";
import { decodePluginConfig } from "./decode";

test("an empty config has the defaults", () => {
  expect(decodePluginConfig(new Uint8Array())).toEqual({
    enabled: true,
    volumes: true,
    image_paths: [],
    allow_task_images: true,
    log_driver: "nomad",
    allow_bind_users: [],
    allow_caps: ["all"],
    allow_properties: [],
    allow_sysctls: ["*"],
    allow_negative_oom_score_adjust: false,
    allow_privileged: false,
    allow_boot: true,
    allow_privileged_binds: true,
    allow_host_network: true,
    require_user_namespacing: false,
    image_store: "/var/lib/nomad-driver-nspawn",
    gc: { image: true, image_delay: 180_000, image_min_free: 500_000_000, container: true, container_delay: 300_000 },
    network: { bridges: [], interfaces: [], dns_servers: [], address_wait: 5000 },
    slice: "machine.slice",
    pull_timeout: 600_000,
    stop_timeout: 30_000,
    stats_interval: 1000,
    auth: {},
    registry: { default: "docker.io", mirrors: {}, plain_http: [] },
    telemetry: { traces_max_size: 10_000_000 },
  });
});

describe("rejected with one sentence", () => {
  test.each([
    [{ enabled: "yes" }, 'Option enabled = "yes" is not valid: it must be true or false.'],
    [
      { gc: { image_delay: "soon" } },
      'Option gc.image_delay = "soon" is not valid: it must be a duration such as "90s", "3m" or "1h".',
    ],
    [
      { gc: { image_min_free: "5%" } },
      'Option gc.image_min_free = "5%" is not valid: it must be a size such as "500MB", "2GiB" or "0".',
    ],
    [{ gc: { images: true } }, "Option gc.images is unknown: did you mean gc.image?"],
    ...[
      "machine",
      "-.slice",
      "a--b.slice",
      "-a.slice",
      "a-.slice",
      "a/b.slice",
      "a b.slice",
      "a%n.slice",
      ".slice",
    ].map(
      (slice) =>
        [
          { slice },
          `Option slice = ${JSON.stringify(slice)} is not valid: it must be the name of a slice such as "machine.slice" or "batch-nomad.slice".`,
        ] as const,
    ),
    [
      { pull_timeout: "0" },
      'Option pull_timeout = "0" is not valid: it must be a duration such as "90s", "3m" or "1h", at least 1s.',
    ],
    [
      { pull_timeout: "-5m" },
      'Option pull_timeout = "-5m" is not valid: it must be a duration such as "90s", "3m" or "1h", at least 1s.',
    ],
    [
      { network: { ipv4_pool: "10.0.0.0/31" } },
      'Option network.ipv4_pool = "10.0.0.0/31" is not valid: it must be an IPv4 network of at least /30, or "none".',
    ],
    [
      { network: { ipv6_pool: "10.0.0.0/8" } },
      'Option network.ipv6_pool = "10.0.0.0/8" is not valid: it must be an IPv6 network of at least /64, or "none".',
    ],
    ...['lo"drop;#', "a b", "-x", "br0\n", "br0;", "brücke", "$x", "a{b"].map(
      (name) =>
        [
          { network: { bridges: [name] } },
          `Option network.bridges[0] = ${JSON.stringify(name)} is not valid: ${bridgeNameProblem(name)}.`,
        ] as const,
    ),
    [{ image_paths: ["images"] }, 'Option image_paths[0] = "images" is not valid: it must be an absolute path.'],
    [
      { allow_caps: ["ADMIN"] },
      'Option allow_caps[0] = "ADMIN" is not valid: it must be the name of a capability such as "CAP_NET_ADMIN", or "all".',
    ],
    [{ auth: { config: "auth.json" } }, 'Option auth.config = "auth.json" is not valid: it must be an absolute path.'],
    [
      { auth: { helper: "/bin/sh" } },
      'Option auth.helper = "/bin/sh" is not valid: it must be the part after "docker-credential-" in the helper\'s file name, such as "ecr-login".',
    ],
    [
      { registry: { plain_http: ["http://registry.lan"] } },
      'Option registry.plain_http[0] = "http://registry.lan" is not valid: it must be a host name with or without a port, such as "registry.lan:5000".',
    ],
    [
      { registry: { default: "a/b" } },
      'Option registry.default = "a/b" is not valid: it must be a host name with or without a port, such as "registry.lan:5000".',
    ],
    [
      { telemetry: { address: "0.0.0.0:9273" } },
      'Option telemetry.address = "0.0.0.0:9273" is not valid: only this machine may read it: it must be "unix:" and an absolute path, or a loopback address with a port such as "127.0.0.1:9273".',
    ],
    [
      { telemetry: { traces: "traces.jsonl" } },
      'Option telemetry.traces = "traces.jsonl" is not valid: it must be an absolute path.',
    ],
    [{ auth: "/etc/auth.json" }, 'Option auth = "/etc/auth.json" is not valid: it must be a block.'],
  ])("%j", (config, sentence) => {
    expect(() => decodePluginConfig(encode(config))).toThrow(new ConfigError(sentence));
  });
});

describe("the operator's policy", () => {
  const task = (config: object) => decodeTaskConfig(encode({ image: "i", ...config }));
  const plugin = (config: object) => decodePluginConfig(encode(config));

  test.each([
    ["any capability by default", { capability: ["CAP_SYS_ADMIN"] }, {}],
    ["a capability that is listed", { capability: ["cap_kill"] }, { allow_caps: ["CAP_KILL"] }],
    ["everything if all is listed", { capability: ["all"] }, { allow_caps: ["CAP_KILL", "all"] }],
    ["the host's user IDs by default", { user_namespacing: false }, {}],
    ["picked user IDs", {}, { require_user_namespacing: true }],
    ["a container's user IDs", { private_users: "524288:65536" }, { require_user_namespacing: true }],
    ["a smaller storage_limit", { storage_limit: "1GiB" }, { storage_limit: "1GiB" }],
    ["a property that is listed", { properties: { IOWeight: "5" } }, { allow_properties: ["IOWeight"] }],
  ])("allows %s", (_, config, policy) => {
    expect(() => checkPolicy(task(config), plugin(policy))).not.toThrow();
  });

  test.each([
    [
      { capability: ["CAP_SYS_ADMIN"] },
      { allow_caps: ["CAP_KILL"] },
      'Option capability asks for "CAP_SYS_ADMIN", which this client does not allow: allow_caps of the plugin\'s config allows "CAP_KILL".',
    ],
    [
      { capability: ["all"] },
      { allow_caps: ["CAP_KILL"] },
      'Option capability asks for "all", which this client does not allow: allow_caps of the plugin\'s config allows "CAP_KILL".',
    ],
    [
      { capability: ["CAP_KILL"] },
      { allow_caps: [] },
      'Option capability asks for "CAP_KILL", which this client does not allow: allow_caps of the plugin\'s config allows nothing.',
    ],
    [
      { boot: true },
      { allow_boot: false },
      "Option boot = true is not allowed on this client (allow_boot = false): set boot = false, and run a single command.",
    ],
    [
      { properties: { IOWeight: "5" } },
      {},
      'Option properties asks for "IOWeight", which this client does not allow: allow_properties of the plugin\'s config allows nothing.',
    ],
    [
      { storage_limit: "1.5GiB" },
      { storage_limit: "500MB" },
      "Option storage_limit asks for 1.5 GiB, and this client allows at most 476.8 MiB (storage_limit of the plugin's config).",
    ],
  ])("rejects %j with %j", (config, policy, sentence) => {
    expect(() => checkPolicy(task(config), plugin(policy))).toThrow(new ConfigError(sentence));
  });

  test.each(["no", "yes", "identity", "0", "1000:65536", "524287", "1879048000:65536"])(
    "requires separate user IDs for the container: rejects %s",
    (users) => {
      expect(() => checkPolicy(task({ private_users: users }), plugin({ require_user_namespacing: true }))).toThrow(
        new ConfigError(
          `Option private_users = "${users}" can give the container user IDs of the host, which this client does not allow (require_user_namespacing = true): use private_users = "pick", or IDs from 524288 to 1879048191.`,
        ),
      );
    },
  );
  test("and rejects a task without them", () => {
    const without = task({ user_namespacing: false });
    expect(() => checkPolicy(without, plugin({ require_user_namespacing: true }))).toThrow("user_namespacing = false");
  });
});
