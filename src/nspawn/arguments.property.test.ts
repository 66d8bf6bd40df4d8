import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { ConfigError } from "../config/config-error";
import { splitBindTarget } from "../config/mounts";
import { type TaskOptions, taskOptions } from "../config/options";
import { decodeTaskConfig } from "../config/task-config";
import { splitColons } from "../config/validators";
import { nspawnArguments } from "./arguments";
import { featuresOf } from "./features";

/** Text that tries to be something else: switches, separators, escapes, quotes, specifiers, line ends. */
const hostile = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        "--boot",
        "--",
        "-",
        "/",
        ":",
        "\\",
        ",",
        "=",
        "'",
        '"',
        " ",
        "\n",
        "%h",
        "$X",
        "..",
        "+",
        "a",
        "idmap",
        "~",
        "@",
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join("")),
);
const hostilePath = hostile.map((text) => `/${text}`);
const maybePath = fc.oneof(hostile, hostilePath);
const map = fc.dictionary(maybePath, maybePath, { maxKeys: 3 });

/** A value, right or wrong, for each option that takes text. */
const config = fc.record(
  {
    image: hostile,
    command: fc.array(hostile, { maxLength: 4 }),
    hostname: hostile,
    user: hostile,
    working_directory: maybePath,
    pivot_root: maybePath,
    private_users: hostile,
    network_bridge: hostile,
    network_zone: hostile,
    bind: map,
    bind_read_only: map,
    tmpfs: fc.array(maybePath, { maxLength: 2 }),
    overlay: fc.array(
      fc.tuple(hostilePath, maybePath, hostilePath).map((parts) => parts.join(":")),
      { maxLength: 2 },
    ),
    inaccessible: fc.array(maybePath, { maxLength: 2 }),
    devices: fc.array(maybePath, { maxLength: 2 }),
    capability: fc.array(hostile, { maxLength: 1 }),
    drop_capability: fc.array(hostile, { maxLength: 1 }),
    system_call_filter: fc.array(hostile, { maxLength: 1 }),
    environment: fc.dictionary(hostile, hostile, { maxKeys: 1 }),
    properties: fc.dictionary(hostile, hostile, { maxKeys: 1 }),
    rlimits: fc.dictionary(hostile, hostile, { maxKeys: 1 }),
    volatile: hostile,
    console: hostile,
    resolv_conf: hostile,
    private_users_ownership: hostile,
  },
  { requiredKeys: [] },
);

const FLAGS = ["--quiet", "--keep-unit", "--boot", "--as-pid2", "--ephemeral", "--read-only", "--network-veth"];

/** Reads an argument vector as getopt_long() with "+" does: switches up to "--" or the first word that is none. */
function parse(args: readonly string[]) {
  const switches: [name: string, value: string][] = [];
  for (const [index, argument] of args.entries()) {
    if (argument === "--") return { switches, command: args.slice(index + 1) };
    if (!argument.startsWith("--")) return { switches, command: args.slice(index) };
    const equals = argument.indexOf("=");
    if (equals < 0) expect(FLAGS).toContain(argument);
    switches.push(equals < 0 ? [argument, ""] : [argument.slice(0, equals), argument.slice(equals + 1)]);
  }
  return { switches, command: [] };
}

function values(switches: readonly [string, string][], name: string): string[] {
  return switches.flatMap(([key, value]) => (key === name ? [value] : []));
}

/** What systemd-nspawn takes a bind for: bind_mount_parse(). */
function bound(value: string): [source: string, path: string, options: string] {
  const [source = "", path = "", options = ""] = splitColons(value, 3);
  return [source, path, options];
}

function wanted(bind: TaskOptions["bind"]): [string, string, string][] {
  return Object.entries(bind).map(([source, target]) => {
    const { path, options } = splitBindTarget(target);
    return [source, path, options.join(",")];
  });
}

function check(options: TaskOptions): void {
  const { switches, command } = parse(
    nspawnArguments({
      options,
      features: featuresOf(258),
      machine: "m",
      image: { kind: "directory", path: options.image },
      mounts: [],
      register: false,
      network: "config",
      environment: [],
    }),
  );
  const one = (name: string, value: string | undefined) => {
    expect(values(switches, name)).toEqual(value === undefined ? [] : [value]);
  };
  expect(command).toEqual(options.command);
  one("--directory", options.image);
  one("--machine", "m");
  one("--hostname", options.hostname);
  one("--user", options.user);
  one("--chdir", options.working_directory);
  one("--network-bridge", options.network_bridge);
  one("--network-zone", options.network_zone);
  one("--volatile", options.volatile);
  one("--resolv-conf", options.resolv_conf);
  one("--capability", options.capability[0]);
  one("--drop-capability", options.drop_capability[0]);
  expect(values(switches, "--system-call-filter")).toEqual(options.system_call_filter);
  expect(values(switches, "--inaccessible")).toEqual(options.inaccessible);
  expect(values(switches, "--bind-ro").map(bound)).toEqual(wanted(options.bind_read_only));
  expect(values(switches, "--bind").map(bound)).toEqual([
    ...wanted(options.bind),
    ...options.devices.map(({ host, container }): [string, string, string] => [host, container, ""]),
  ]);
  expect(values(switches, "--tmpfs").map((value) => splitColons(value, 2))).toEqual(
    options.tmpfs.map((mount) => (mount.options === "" ? [mount.target] : [mount.target, mount.options])),
  );
  expect(values(switches, "--overlay").map((value) => splitColons(value))).toEqual(
    options.overlay.map(({ lower, upper, target }) => [...lower, upper ?? "", target]),
  );
  const pivot = options.pivot_root;
  expect(values(switches, "--pivot-root").map((value) => splitColons(value, 2))).toEqual(
    pivot === undefined ? [] : [pivot.oldRoot === undefined ? [pivot.newRoot] : [pivot.newRoot, pivot.oldRoot]],
  );
  for (const [name] of switches) expect(ALL_SWITCHES).toContain(name);
}

const ALL_SWITCHES = [
  ...FLAGS,
  "--register",
  "--machine",
  "--private-users",
  ...Object.values(taskOptions).flatMap((row) => (row.nspawn ?? "").replaceAll("=", "").split(", ")),
];

/** Every option by itself with a value that was valid for it alone, so that runs with many options are not all refused. */
function accepted(whole: object): TaskOptions | undefined {
  try {
    return decodeTaskConfig(encode({ image: "i", user_namespacing: false, ...whole }));
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

test("no value of any option adds an argument, changes a switch or ends up in another option", () => {
  let checked = 0;
  fc.assert(
    fc.property(config, (given) => {
      const fitting = Object.entries(given).filter(([name, value]) => accepted({ [name]: value }) !== undefined);
      const together = accepted(Object.fromEntries(fitting));
      for (const options of together === undefined
        ? fitting.map(([name, value]) => accepted({ [name]: value }))
        : [together]) {
        if (
          options === undefined ||
          [...Object.keys(options.bind), ...Object.keys(options.bind_read_only)].some((path) => !path.startsWith("/"))
        )
          continue;
        if (options.overlay.some(({ lower, upper }) => [...lower, upper ?? "/"].some((path) => !path.startsWith("/"))))
          continue;
        check(options);
        checked++;
      }
    }),
    { numRuns: 3000 },
  );
  expect(checked).toBeGreaterThan(2000);
});

test("a refusal is one sentence of one line, whatever the value", () => {
  fc.assert(
    fc.property(config, (given) => {
      try {
        decodeTaskConfig(encode(given));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        const message = error instanceof Error ? error.message : "";
        expect(message).toMatch(/^[^\r\n\0]*[.?]$/);
      }
    }),
    { numRuns: 2000 },
  );
});
