import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ConfigError } from "../lib/errors";
import { nspawnVariables, settingsFile, settingsFilePath, taskEnvironment } from "./environment";
import { environmentFile, parseEnvironmentFile } from "./environment-file";
import { featuresOf } from "./features";

const COMMAND = { boot: false, features: featuresOf(257) };
const SYSTEM = { boot: true, features: featuresOf(257) };

describe("values of one line", () => {
  test.each([COMMAND, SYSTEM])("all go into the settings file", (how) => {
    expect(taskEnvironment({ A: "1", PATH: "/bin", LD_PRELOAD: "/x.so" }, how)).toEqual({
      settingsFile: '[Exec]\nEnvironment="A=1"\nEnvironment="PATH=/bin"\nEnvironment="LD_PRELOAD=/x.so"\n',
      arguments: [],
      wrapped: [],
      count: 3,
      warnings: [],
    });
  });

  test("without variables a settings file is still written, so that systemd-nspawn reads none beside the image", () => {
    expect(taskEnvironment({}, COMMAND)).toMatchObject({ settingsFile: "[Exec]\n", arguments: [] });
  });

  test("need no feature of a later version", () => {
    expect(taskEnvironment({ A: "1" }, { boot: true, features: featuresOf(249) }).arguments).toEqual([]);
  });
});

test("what systemd would not take is passed to a command by a program of the driver, in every version", () => {
  const odd = {
    "discovery.type": "single-node",
    "1": "",
    "ä b": "x\ny",
    LINES: "a\nb\r",
    LD_PRELOAD: "c\nd",
    ODD: "\ufdd0",
  };
  expect(taskEnvironment({ A: "1", ...odd }, { boot: false, features: featuresOf(249) })).toEqual({
    settingsFile: '[Exec]\nEnvironment="A=1"\n',
    arguments: [],
    wrapped: ["1=", "discovery.type=single-node", "ä b=x\ny", "ODD=\ufdd0", "LINES=a\nb\r", "LD_PRELOAD=c\nd"],
    count: 1,
    warnings: [],
  });
});

test("an init system gets what systemd takes, and the event names the rest", () => {
  const { warnings, ...passed } = taskEnvironment({ A: "1", "a.b": "hidden", "c d": "hidden" }, SYSTEM);
  expect(passed).toEqual({ settingsFile: '[Exec]\nEnvironment="A=1"\n', arguments: [], wrapped: [], count: 1 });
  expect(warnings).toEqual([
    'The init system does not get the environment variables "a.b", "c d": systemd takes only names of letters, digits and underscores, and values of valid text.',
  ]);
});

describe("a value of several lines, for an init system", () => {
  test("has all variables passed by name, with no value in the arguments", () => {
    expect(taskEnvironment({ A: "1\n2", TOKEN: "it's" }, SYSTEM)).toMatchObject({
      settingsFile: "[Exec]\n",
      arguments: ["--setenv=A", "--setenv=TOKEN"],
      environmentFile: `A='1\n2'\nTOKEN='it'"'"'s'\n`,
    });
  });

  test.each([
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "MALLOC_TRACE",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "RES_OPTIONS",
    "HOSTALIASES",
    "OPENSSL_CONF",
    "SSL_CERT_FILE",
    "SYSTEMD_NSPAWN_LOCK",
    "SYSTEMD_SECCOMP",
    "LISTEN_FDS",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "CREDENTIALS_DIRECTORY",
    "PATH",
    "HOME",
    "container",
    "UNIFIED_CGROUP_HIERARCHY",
  ])("keeps %s out of systemd-nspawn's own environment", (name) => {
    const { environmentFile: file, arguments: args } = taskEnvironment({ A: "1\n2", [name]: "x" }, SYSTEM);
    expect(args).toEqual(["--setenv=A", `--setenv=${name}=x`]);
    expect(file).toBe("A='1\n2'\n");
  });

  test.each([
    "TOKEN",
    "PASSWORD",
    "SSL_KEY_PASSWORD",
    "OPENSSL_PASSPHRASE",
    "VAULT_TOKEN",
    "NOMAD_TOKEN",
    "TLS_KEY",
    "RESPONSE",
  ])("keeps %s out of the arguments", (name) => {
    expect(taskEnvironment({ A: "1\n2", [name]: "x" }, SYSTEM).arguments).toEqual(["--setenv=A", `--setenv=${name}`]);
  });
});

describe("rejected, without the value in the message", () => {
  const cases: readonly [string, Record<string, string>, number, string][] = [
    [
      'a name with "="',
      { "A=B": "hidden" },
      257,
      'Environment variable "A=B" cannot be passed: its name must not contain "=" or a NUL character.',
    ],
    ["no name", { "": "hidden" }, 257, 'Environment variable "" cannot be passed: its name must not be empty.'],
    [
      "a NUL",
      { A: "hidden\0" },
      257,
      'Environment variable "A" cannot be passed: its value must not contain a NUL character.',
    ],
    [
      "a value too long for a process",
      { A: "h".repeat(131_070) },
      257,
      'Environment variable "A" cannot be passed: name and value must not be longer than 131071 bytes.',
    ],
    [
      "more than a process accepts",
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`A${i}`, "h".repeat(100_000)])),
      257,
      "The task's environment variables take 2000250 bytes together: no more than 1835008 can be passed to a process.",
    ],
    [
      "several lines with an old version",
      { A: "hidden\n" },
      249,
      'Environment variable "A" has a value of several lines: this needs systemd-nspawn 250, and this client has 249.',
    ],
    [
      "several lines in a name that affects systemd-nspawn",
      { LD_PRELOAD: "hidden\n" },
      257,
      'Environment variable "LD_PRELOAD" has a value of several lines: this is not possible for a name that also affects systemd-nspawn on the host.',
    ],
  ];

  test.each(cases)("%s", (_, environment, version, sentence) => {
    expect(() => taskEnvironment(environment, { boot: true, features: featuresOf(version) })).toThrow(
      new ConfigError(sentence),
    );
  });
});

test("the largest value is passed", () => {
  expect(taskEnvironment({ A: "x".repeat(131_069) }, SYSTEM).arguments).toEqual([]);
});

test("the settings file is in a directory that systemd-nspawn trusts", () => {
  expect(settingsFilePath("web-1")).toBe("/run/systemd/nspawn/web-1.nspawn");
});

test.each([
  ['say "hi"', `Environment="A=say "'"'"hi"'"'`],
  ["it's", `Environment="A=it's"`],
  ["\\", `Environment="A=\\"`],
  ['"', `Environment="A="'"'`],
])("quotes %s for the settings file", (value, line) => {
  expect(settingsFile({ A: value })).toBe(`[Exec]\n${line}\n`);
});

test("an environment file is read back unchanged", () => {
  const names = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/);
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.constantFrom("'", '"', "\n", "\\", "=", "A=")).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(fc.dictionary(names, text), (environment) => {
      expect(parseEnvironmentFile(environmentFile(environment))).toEqual({ ...environment });
    }),
  );
});

test.each(["A", "A=b\n", "A='b'", "A='b\n", "=''\n", "A='b'c\n"])(
  "an environment file of another format is rejected: %j",
  (text) => {
    expect(() => parseEnvironmentFile(text)).toThrow(
      "Cannot parse the environment file: no assignment at character 0.",
    );
  },
);

test.each([
  [undefined, "tmpfs", undefined],
  ["A='x'\n", "tmpfs", "A='x'\n"],
  [undefined, "disk", "SYSTEMD_NSPAWN_TMPFS_TMP='0'\n"],
  ["A='x'\n", "disk", "A='x'\nSYSTEMD_NSPAWN_TMPFS_TMP='0'\n"],
  [undefined, "privileged", "SYSTEMD_NSPAWN_API_VFS_WRITABLE='1'\n"],
] as const)("systemd-nspawn's own variables beside %j: %s", (text, how, expected) => {
  const privileged = how === "privileged";
  expect(nspawnVariables(text, { tmp: privileged ? "tmpfs" : how, privileged })).toBe(expected);
});
