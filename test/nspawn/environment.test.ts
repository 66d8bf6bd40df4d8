import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { taskEnvironment } from "../../src/nspawn/environment";
import { environmentFile } from "../../src/nspawn/environment-file";
import { type TinyContainer, tinyContainer } from "./tiny-container";

const ONE_LINE: Readonly<Record<string, string>> = {
  EMPTY: "",
  SPACES: "  around  ",
  TABS: "\ta\tb\t",
  SINGLE: "it's",
  DOUBLE: 'say "hi"',
  BOTH: `'"'"'' "" "'`,
  QUOTES_ALONE: `"`,
  BACKSLASH: "a\\nb\\\\c\\",
  BACKSLASH_QUOTE: "\\\"\\'\\",
  DOLLAR: `$HOME $\{PATH} $$`,
  PERCENT: "%h %% %i",
  HASH: "# no comment ; nor this",
  EQUALS: "=a=b=",
  BRACKETS: "[Files]",
  UNICODE: "grüße 🚢 \u{10fffd} \u00a0\u2028\u2029",
  CONTROL: "\u0001\u0007\u000b\u000c\u001b[31m\u007f\u0085",
  COLON: "a:b,c",
  DASH: "--private-network",
  LARGE: "x".repeat(100_000),
  LARGE_QUOTES: `"'`.repeat(50_000),
  _underscore9: "lower",
  constructor: "not lost",
  // systemd-nspawn would read it itself if it were in its environment.
  SYSTEMD_LOG_LEVEL: "debug",
  SYSTEMD_NSPAWN_USE_CGNS: "nonsense",
};

const MULTI_LINE: Readonly<Record<string, string>> = {
  NEWLINE: "a\nb",
  NEWLINES: "\n\n",
  RETURN: "a\rb",
  BOTH_ENDS: "\r\n",
  CERTIFICATE: "-----BEGIN-----\nabc'\"\\$\n-----END-----\n",
  ASSIGNMENT: "x\nLD_PRELOAD=/nope.so\n",
};

let container: TinyContainer;

beforeAll(async () => {
  container = await tinyContainer("environment-test");
});

afterAll(() => container.remove());

/** The environment of a process in the container, by name. */
async function arrived(environment: Readonly<Record<string, string>>): Promise<Map<string, string>> {
  const given = taskEnvironment(environment, { boot: true, features: container.features });
  const text = Buffer.from(await container.cat(["/proc/self/environ"], { environment: given })).toString("utf8");
  return new Map(
    text.split("\0").flatMap((entry) => {
      const equals = entry.indexOf("=");
      return equals < 0 ? [] : [[entry.slice(0, equals), entry.slice(equals + 1)] as const];
    }),
  );
}

function among(all: ReadonlyMap<string, string>, wanted: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.keys(wanted).map((name) => [name, all.get(name)]));
}

describe("the task's environment in a real container", () => {
  test("every single-line value arrives unchanged, through the settings file only", async () => {
    const given = taskEnvironment(ONE_LINE, { boot: false, features: container.features });
    expect(given.arguments).toEqual([]);
    expect(given.environmentFile).toBeUndefined();
    expect(among(await arrived(ONE_LINE), ONE_LINE)).toEqual(ONE_LINE);
  });

  test("with multi-line values all arrive unchanged, and none is in the arguments", async () => {
    const { SYSTEMD_NSPAWN_USE_CGNS: _, ...rest } = ONE_LINE;
    const all = { ...rest, ...MULTI_LINE, PATH: "/nowhere:/bin", TZ: "Mars/Base" };
    const given = taskEnvironment(all, { boot: true, features: container.features });
    expect(given.arguments.filter((argument) => argument.split("=").length > 2)).toEqual([
      "--setenv=SYSTEMD_LOG_LEVEL=debug",
      "--setenv=PATH=/nowhere:/bin",
      "--setenv=TZ=Mars/Base",
    ]);
    expect(among(await arrived(all), all)).toEqual(all);
  });

  test("without variables only systemd-nspawn's own are set", async () => {
    const all = await arrived({});
    expect(all.get("container")).toBe("systemd-nspawn");
  });
});

describe("systemd's parser of environment files", () => {
  // The same parser reads os-release, whose ID systemd-nspawn passes on as container_host_id.
  const values = Object.values({ ...ONE_LINE, ...MULTI_LINE }).filter((value) => value !== "");

  test.each(values.map((value) => [JSON.stringify(value).slice(0, 40), value]))("reads back %s", async (_, value) => {
    const directory = await mkdtemp(join(tmpdir(), "environment-file-test-"));
    try {
      const file = join(directory, "os-release");
      await writeFile(file, environmentFile({ ID: value, VERSION_ID: "after" }));
      const environ = await container.cat(["/proc/self/environ"], { variables: { SYSTEMD_OS_RELEASE: file } });
      const entries = Buffer.from(environ).toString("utf8").split("\0");
      expect(entries).toContain(`container_host_id=${value}`);
      expect(entries).toContain("container_host_version_id=after");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
