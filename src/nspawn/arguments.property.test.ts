import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { hostileConfig, hostileText, hostileValues } from "../../test/support/hostile-config";
import { plannedMounts } from "../../test/support/planned-mounts";
import { splitBindTarget } from "../config/mounts";
import { decodeTaskConfig } from "../config/task/decode";
import { type TaskOptions, taskOptions } from "../config/task/options";
import { splitColons } from "../config/validators";
import { refuseUnsupported } from "../launch/supported";
import { ConfigError } from "../lib/errors";
import { nspawnArguments } from "./arguments";
import { taskEnvironment } from "./environment";
import { featuresOf } from "./features";

const FLAGS = [
  "--quiet",
  "--keep-unit",
  "--boot",
  "--as-pid2",
  "--ephemeral",
  "--read-only",
  "--network-veth",
  "--private-network",
];

/** Reads an argument vector as getopt_long() with "+" does: switches up to "--" or the first argument that is not one. */
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

/** How systemd-nspawn parses a bind: bind_mount_parse(). */
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

/** The options with absolute sources, as after the driver resolved them. */
function resolved(options: TaskOptions): TaskOptions {
  const absolute = (path: string) => (path.startsWith("/") ? path : `/task/${path}`);
  const map = (binds: TaskOptions["bind"]) =>
    Object.fromEntries(Object.entries(binds).map(([source, target]) => [absolute(source), target]));
  return {
    ...options,
    bind: map(options.bind),
    bind_read_only: map(options.bind_read_only),
    overlay: options.overlay.map(({ lower, upper, target }) => ({
      lower: lower.map(absolute),
      upper: upper === undefined ? undefined : absolute(upper),
      target,
    })),
  };
}

/** @throws ConfigError if only this step rejects it */
function check(given: TaskOptions): void {
  const options = resolved(given);
  const features = featuresOf(258);
  const environment = taskEnvironment(options.environment, { boot: options.boot, features });
  const mounts = plannedMounts(options);
  refuseUnsupported({ options, job: { user: "" }, mounts }, features);
  const argv = nspawnArguments({
    options,
    features,
    machine: "m",
    image: { kind: "directory", path: options.image },
    mounts,
    register: false,
    network: "config",
    environment: environment.arguments,
  });
  const { switches, command } = parse(argv);
  for (const argument of argv) expect(argument).not.toContain("\0");
  const variables = values(switches, "--setenv").map((value) => value.split("=")[0]);
  for (const name of variables) expect(Object.keys(options.environment)).toContain(name ?? "");
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
  one("--capability", options.capability.length === 0 ? undefined : options.capability.join(","));
  one("--drop-capability", options.drop_capability.length === 0 ? undefined : options.drop_capability.join(","));
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

/** A valid config, or undefined; the error must be a sentence of one line that names one of the options. */
function accepted(whole: Readonly<Record<string, unknown>>): TaskOptions | undefined {
  try {
    return decodeTaskConfig(encode({ image: "i", ...whole }));
  } catch (error) {
    refused(error, Object.keys(whole));
    return undefined;
  }
}

function refused(error: unknown, names: readonly string[]): void {
  if (!(error instanceof ConfigError)) throw error;
  expect(error.message).toMatch(/^[^\r\n\0]*[.?]$/);
  if (error.message === 'The config block cannot be read: the name "__proto__" cannot be used in it.') return;
  expect(names.some((name) => error.message.toLowerCase().includes(name))).toBe(true);
}

/** Checks a valid config; false if a later step rejects it. */
function checked(options: TaskOptions, names: readonly string[]): boolean {
  try {
    check(options);
    return true;
  } catch (error) {
    refused(error, names);
    return false;
  }
}

const RUNS = 400;

/** Options for which the random values are never valid. */
const NEVER = ["auth", "image_download", "ports", "port_map"];

test("every option with text values is tested", () => {
  const withText = Object.entries(taskOptions).filter(([, { type }]) => type.kind !== "bool" && type.kind !== "number");
  expect(Object.keys(hostileValues).sort()).toEqual(withText.map(([name]) => name).sort());
});

test.each(Object.entries(hostileValues))("no value of %s adds an argument or changes another option", (name, value) => {
  let taken = 0;
  fc.assert(
    fc.property(value, (text) => {
      const options = accepted({ [name]: text });
      if (options !== undefined && checked(options, [name])) taken++;
    }),
    { numRuns: RUNS },
  );
  if (!NEVER.includes(name)) expect(taken).toBeGreaterThan(0);
});

test("no combination of option values does so", () => {
  let taken = 0;
  fc.assert(
    fc.property(hostileConfig, (given) => {
      const base = { user_namespacing: false };
      const fitting = Object.entries(given).filter(
        ([name, value]) => accepted({ ...base, [name]: value }) !== undefined,
      );
      const options = accepted({ ...base, ...Object.fromEntries(fitting) });
      if (options !== undefined && checked(options, Object.keys(given))) taken++;
    }),
    // Each run decodes a block for every option.
    { numRuns: 2000 },
  );
  expect(taken).toBeGreaterThan(700);
}, 120_000);

test("bytes that are not valid text are converted or rejected", () => {
  const strings = Object.entries(taskOptions).flatMap(([name, { type }]) => (type.kind === "string" ? [name] : []));
  fc.assert(
    fc.property(fc.constantFrom(...strings), fc.uint8Array({ minLength: 1, maxLength: 24 }), (name, bytes) => {
      try {
        checked(decodeTaskConfig(blockOf(name, bytes)), [name]);
      } catch (error) {
        refused(error, [name, "image"]);
      }
    }),
    { numRuns: 3000 },
  );
});

/** A config block in msgpack whose option is a string of arbitrary bytes, which Go's strings may contain. */
function blockOf(name: string, bytes: Uint8Array): Uint8Array {
  const map = encode({ image: "i" });
  const value = Uint8Array.of(0xd9, bytes.length, ...bytes);
  return Uint8Array.of(0x82, ...map.subarray(1), ...encode(name), ...value);
}

test("an error message contains no secret", () => {
  const secret = fc.tuple(fc.constant("s3cret-"), hostileText).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.constantFrom("username", "password", "other"), secret, hostileText, (field, value, name) => {
      for (const config of [
        { auth: { [field]: value } },
        { auth: value },
        { auth: [{ username: "u", password: "p", [field]: [value] }] },
        { environment: { [name]: value, "B-": value } },
        { environment: [value] },
      ]) {
        try {
          const options = decodeTaskConfig(encode({ image: "i", ...config }));
          taskEnvironment(options.environment, { boot: true, features: featuresOf(249) });
        } catch (error) {
          expect(String(error)).not.toContain("s3cret-");
        }
      }
    }),
    { numRuns: 1000 },
  );
});
