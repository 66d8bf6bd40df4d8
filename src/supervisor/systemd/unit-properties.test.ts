import { describe, expect, test } from "bun:test";
import { rightsMessage } from "../../systemd/dbus-socket";
import { unitPath } from "../../systemd/manager";
import type { LaunchSpec } from "../supervisor";
import { commandLine, cpuMask, dropInText, serviceOf, unitName, unitProperties } from "./unit-properties";

describe("drop-in", () => {
  const { raw } = String;

  describe("a command line", () => {
    test.each([
      ["a word", ["/bin/true"], raw`:"/bin/true"`],
      ["no word at all", ["/bin/true", ""], raw`:"/bin/true" ""`],
      ["blanks", ["/x", "a b", "\t"], raw`:"/x" "a b" "\x09"`],
      ["quotes and backslashes", ["/x", `"'\\`, "\\\\n"], raw`:"/x" "\"'\\" "\\\\n"`],
      ["variables, which are not expanded", ["/x", "$HOME", "$$"], `:"/x" "$HOME" "$$"`],
      ["specifiers", ["/x", "%n", "%%", "100%"], `:"/x" "%%n" "%%%%" "100%%"`],
      ["several lines", ["/x", "a\nExecStartPre=/bin/y\r"], raw`:"/x" "a\x0aExecStartPre=/bin/y\x0d"`],
      ["what separates commands", ["/x", ";", "\\;"], raw`:"/x" ";" "\\;"`],
      ["control characters", ["/x", "\u0001\u007f\u0085"], raw`:"/x" "\x01\x7f\xc2\x85"`],
      ["characters beyond ASCII", ["/x", "ü\u2028😀"], `:"/x" "ü\u2028😀"`],
      ["noncharacters", ["/x", "\ufffe\u{1ffff}"], raw`:"/x" "\xef\xbf\xbe\xf0\x9f\xbf\xbf"`],
    ])("with %s", (_name, command, text) => {
      expect(commandLine(command)).toBe(text);
    });
  });

  test("a drop-in has the command and the properties, without expansion of their values", () => {
    expect(dropInText({ command: ["/x"], properties: { IOWeight: "50", Description: "100%n" } })).toBe(
      '[Service]\nExecStart=:"/x"\nIOWeight=50\nDescription=100%%n\n',
    );
  });
});

test.each([
  ["0::/system.slice/nomad.service\n", "nomad.service"],
  ["0::/system.slice/nomad.service/plugins\n", "nomad.service"],
  ["12:pids:/system.slice/x.service\n1:name=systemd:/system.slice/nomad.service\n0::/\n", "nomad.service"],
  ["0::/system.slice/system-nomad.slice/nomad@one.service\n", "nomad@one.service"],
  ["0::/user.slice/user-0.slice/session-3.scope\n", undefined],
  ["0::/user.slice/user-1000.slice/user@1000.service/app.slice/nomad.service\n", undefined],
  ["0::/\n", undefined],
  ["", undefined],
])("the service of a process in %j", (membership, service) => expect(serviceOf(membership)).toBe(service));

describe("unit-properties", () => {
  const spec: LaunchSpec = {
    machine: "web-1",
    mode: "pid1",
    argv: ["/usr/bin/systemd-nspawn", "--machine=web-1", "--directory=/x", "--", "/bin/sh", "-c", "echo $HOME %n"],
    stdoutPath: "/o",
    stderrPath: "/e",
    limits: {},
    devices: [],
    properties: {},
  };

  const propertiesOf = (change: Partial<LaunchSpec> = {}, systemd = 257) =>
    new Map(unitProperties({ ...spec, ...change }, { systemd }));

  describe("unitProperties", () => {
    test("limits appear only if set", () => {
      expect([...propertiesOf().keys()]).not.toContain("MemoryMax");
      const limited = propertiesOf({
        limits: { memoryMax: 5, memoryLow: 3, cpuWeight: 7, cpuQuota: 0.5, pids: 9, cpus: "0,2" },
      });
      expect(limited.get("MemoryMax")).toEqual(["t", 5n]);
      expect(limited.get("MemoryLow")).toEqual(["t", 3n]);
      expect(limited.get("MemorySwapMax")).toEqual(["t", 0n]);
      expect(limited.get("CPUWeight")).toEqual(["t", 7n]);
      expect(limited.get("CPUQuotaPerSecUSec")).toEqual(["t", 500_000n]);
      expect(limited.get("TasksMax")).toEqual(["t", 9n]);
      expect(propertiesOf().get("TasksMax")).toEqual(["t", 16_384n]);
      expect(limited.get("AllowedCPUs")).toEqual(["ay", Uint8Array.of(5)]);
    });

    test("a stop of the unit reaches the payload: through systemd-nspawn, or with all processes, because it cannot reach PID 2", () => {
      const stops = (mode: LaunchSpec["mode"]) => propertiesOf({ mode, stopTimeout: 1500 });
      expect(stops("pid1").get("KillMode")).toEqual(["s", "mixed"]);
      expect(stops("boot").get("KillMode")).toEqual(["s", "mixed"]);
      expect(stops("pid2").get("KillMode")).toEqual(["s", "control-group"]);
      expect(stops("pid1").get("TimeoutStopUSec")).toEqual(["t", 1_500_000n]);
      expect(propertiesOf().has("TimeoutStopUSec")).toBe(false);
    });

    test("the agent's unit stops first", () => {
      const withAgent = new Map(unitProperties(spec, { systemd: 257, agent: "nomad.service" }));
      expect(withAgent.get("Before")).toEqual(["as", ["nomad.service"]]);
      expect(propertiesOf().has("Before")).toBe(false);
    });

    test.each([
      [249, "SuccessExitStatus"],
      [252, "SuccessExitStatus"],
      [253, "SuccessExitStatus"],
      [254, "RestartForceExitStatus"],
      [262, "RestartForceExitStatus"],
    ])("only a booted container may be restarted when it reboots: systemd %d", (systemd, name) => {
      const statuses = ["SuccessExitStatus", "RestartForceExitStatus"];
      const set = [...propertiesOf({ mode: "boot" }, systemd)].filter(([property]) => statuses.includes(property));
      expect(set).toEqual([[name, ["(aiai)", [[133], []]]]]);
      const others = [...propertiesOf({ mode: "pid2" }, systemd).keys()];
      expect(others.filter((property) => statuses.includes(property))).toEqual([]);
    });

    test("any device node can be created, but not opened", () => {
      const devices = JSON.stringify(propertiesOf({}).get("DeviceAllow"));
      expect(devices).toContain('["char-*","m"]');
      expect(devices).toContain('["block-*","m"]');
    });

    test("loop devices are allowed for disk images, further devices on request", () => {
      const paths = (change: Partial<LaunchSpec>) => JSON.stringify(propertiesOf(change).get("DeviceAllow"));
      expect(paths({})).not.toContain("block-loop");
      expect(paths({ argv: ["n", "--image=/x.raw"] })).toContain("block-loop");
      expect(paths({ devices: [{ path: "/dev/kvm", permissions: "rw" }] })).toContain('["/dev/kvm","rw"]');
    });

    test("an environment file is passed by name, not by content", () => {
      expect(propertiesOf().has("EnvironmentFiles")).toBe(false);
      expect(propertiesOf({ environmentFile: "/run/e" }).get("EnvironmentFiles")).toEqual([
        "a(sb)",
        [["/run/e", false]],
      ]);
    });
  });

  describe("cpuMask", () => {
    test.each([
      ["0", [1]],
      ["0-3", [15]],
      ["7,8", [128, 1]],
      ["1-2,16", [6, 0, 1]],
    ])("%p", (list, bytes) => {
      expect([...cpuMask(list)]).toEqual(bytes);
    });
    test.each(["", "a", "1-", "-1"])("%p is rejected", (list) => {
      expect(() => cpuMask(list)).toThrow("not a list of CPUs");
    });
  });

  test("a machine's unit has its name", () => expect(unitName("web-1")).toBe("nomad-nspawn-web-1.service"));

  test.each([
    ["a.service", "/org/freedesktop/systemd1/unit/a_2eservice"],
    ["nomad-nspawn-1_x.service", "/org/freedesktop/systemd1/unit/nomad_2dnspawn_2d1_5fx_2eservice"],
    ["1a", "/org/freedesktop/systemd1/unit/_31a"],
  ])("the object path of %p", (unit, path) => {
    expect(unitPath(unit)).toBe(path);
  });

  test("descriptors are sent as SCM_RIGHTS", () => {
    const message = rightsMessage([5, 6]);
    expect(message.readBigUInt64LE(0)).toBe(24n);
    expect([message.readInt32LE(8), message.readInt32LE(12)]).toEqual([1, 1]);
    expect([message.readInt32LE(16), message.readInt32LE(20)]).toEqual([5, 6]);
    expect(rightsMessage([5]).length % 8).toBe(0);
  });
});
