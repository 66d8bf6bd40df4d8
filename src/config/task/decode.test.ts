import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { ConfigError } from "../../lib/errors";
import { decodeTaskConfig } from "./decode";
import { taskOptions } from "./options";

const IMAGE = { image: "/srv/image" };

function decode(config: unknown) {
  return decodeTaskConfig(encode(config, { useBigInt64: true }));
}

/** The error message for an invalid config. */
function refusal(config: unknown): string {
  try {
    decode(config);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("the config was accepted");
}

describe("a config with only an image", () => {
  test("has every option, with the Go driver's defaults", () => {
    const { image, boot, network_veth, user_namespacing, ...rest } = decode(IMAGE);
    expect({ image, boot, network_veth, user_namespacing }).toEqual({
      image: "/srv/image",
      boot: true,
      network_veth: true,
      user_namespacing: true,
    });
    expect(Object.entries(rest).filter(([, value]) => value === true)).toEqual([]);
    expect(rest.bind).toEqual({});
    expect(rest.command).toEqual([]);
    expect(rest.volatile).toBeUndefined();
  });

  test("is the same when Nomad sends null for every other option", () => {
    const nulls = Object.fromEntries(Object.keys(taskOptions).map((name) => [name, null]));
    expect(decode({ ...nulls, ...IMAGE })).toEqual(decode(IMAGE));
  });
});

test("an empty string is the same as an absent option, as in the Go driver", () => {
  expect(decode({ ...IMAGE, user: "", volatile: "", console: "", private_users: "" })).toEqual(decode(IMAGE));
});

describe("accepted", () => {
  const cases: readonly [string, object, object][] = [
    ["an attribute map", { bind: { "/a": "/b" } }, { bind: { "/a": "/b" } }],
    ["a block as a list of maps", { bind: [{ "/a": "/b" }] }, { bind: { "/a": "/b" } }],
    [
      "repeated blocks, the last one winning",
      { bind: [{ a: "/b", c: "/d" }, { a: "/x" }] },
      { bind: { a: "/x", c: "/d" } },
    ],
    [
      "numbers in a map of strings",
      { environment: { N: 5, F: 1.5, T: true } },
      { environment: { N: "5", F: "1.5", T: "true" } },
    ],
    [
      "64-bit numbers in a map of strings",
      { environment: { N: 2n ** 62n } },
      { environment: { N: "4611686018427387904" } },
    ],
    ["null in a map as absent", { environment: { A: null, B: "" } }, { environment: { B: "" } }],
    [
      "names of Object.prototype",
      { environment: { constructor: "a", toString: "b" } },
      { environment: { constructor: "a", toString: "b" } },
    ],
    [
      "capabilities in any case",
      { capability: ["cap_net_admin", "12", "net_admin", "all"] },
      { capability: ["CAP_NET_ADMIN", "CAP_NET_ADMIN", "CAP_NET_ADMIN", "all"] },
    ],
    ["a UID range", { private_users: "524288:65536" }, { private_users: "524288:65536" }],
    ["a command as one string", { boot: false, command: "/bin/x" }, { command: ["/bin/x"] }],
    ["numbers among arguments", { boot: false, command: ["sleep", 5] }, { command: ["sleep", "5"] }],
    ["arguments after the command", { boot: false, command: "/x", args: ["a"] }, { command: ["/x", "a"], args: [] }],
    ["arguments of the init", { args: ["a"] }, { command: ["a"], args: [] }],
    ["bind options", { bind: { "/a": "/b:rbind,idmap" } }, { bind: { "/a": "/b:rbind,idmap" } }],
    ["a relative bind source", { bind: { "local/x": "/b" } }, { bind: { "local/x": "/b" } }],
    ["pivot_root in one form", { pivot_root: "/new" }, { pivot_root: { newRoot: "/new", oldRoot: undefined } }],
    ["pivot_root in the other", { pivot_root: "/new:/old" }, { pivot_root: { newRoot: "/new", oldRoot: "/old" } }],
    [
      "tmpfs",
      { tmpfs: ["/a", "/b:size=1M,mode=1777"] },
      {
        tmpfs: [
          { target: "/a", options: "" },
          { target: "/b", options: "size=1M,mode=1777" },
        ],
      },
    ],
    [
      "overlay with two parts",
      { overlay: ["/low:/up"] },
      { overlay: [{ lower: ["/low"], upper: "/up", target: "/up" }] },
    ],
    [
      "overlay with a throw-away upper",
      { overlay: ["a:b::/t"] },
      { overlay: [{ lower: ["a", "b"], upper: undefined, target: "/t" }] },
    ],
    [
      "overlay with an escaped colon",
      { overlay: ["/a:/u:/t\\:1"] },
      { overlay: [{ lower: ["/a"], upper: "/u", target: "/t:1" }] },
    ],
    [
      "devices",
      { devices: ["/dev/fuse", "/dev/a:/dev/b", "/dev/c::r"] },
      {
        devices: [
          { host: "/dev/fuse", container: "/dev/fuse", permissions: "rwm" },
          { host: "/dev/a", container: "/dev/b", permissions: "rwm" },
          { host: "/dev/c", container: "/dev/c", permissions: "r" },
        ],
      },
    ],
    [
      "limits",
      { rlimits: { NOFILE: "1024:infinity", RLIMIT_CORE: "64M", LimitNICE: "-5", CPU: "1min" } },
      { rlimits: { NOFILE: "1024:infinity", RLIMIT_CORE: "64M", LimitNICE: "-5", CPU: "1min" } },
    ],
    ["the host's root when ephemeral", { image: "/", ephemeral: true }, { image: "/" }],
    ["the host's root when volatile", { image: "/", volatile: "state" }, { image: "/" }],
    ["volatile = no with chown", { volatile: "no", private_users_ownership: "chown" }, { volatile: "no" }],
    ["process_two without boot", { boot: false, process_two: true }, { process_two: true }],
    ["init, which is process_two", { boot: false, init: true }, { process_two: true }],
    [
      "private_users = no without user namespaces",
      { user_namespacing: false, private_users: "no" },
      { private_users: "no" },
    ],
    [
      "a replaced root without user namespaces",
      { user_namespacing: false, bind: { "/a": "/" } },
      { bind: { "/a": "/" } },
    ],
    ["text of numbers for a number", { oom_score_adjust: "-5" }, { oom_score_adjust: -5 }],
  ];

  test.each(cases)("%s", (_, config, expected) => {
    expect(decode({ ...IMAGE, ...config })).toMatchObject(expected);
  });
});

describe("rejected with one sentence", () => {
  const cases: readonly [object, string][] = [
    [
      { image: undefined },
      "Option image is missing: it must be a directory, a disk image, a block device, the name of an image known to machinectl, or the reference of a container (OCI) image.",
    ],
    [
      { image: "" },
      "Option image is missing: it must be a directory, a disk image, a block device, the name of an image known to machinectl, or the reference of a container (OCI) image.",
    ],
    [{ image: "a\0b" }, 'Option image = "a\\u0000b" is not valid: it must not contain a NUL character.'],
    [
      { image: ["x"] },
      "Option image = a list is not valid: it must be a directory, a disk image, a block device, the name of an image known to machinectl, or the reference of a container (OCI) image.",
    ],
    [{ imagee: "x" }, "Option imagee is unknown: did you mean image?"],
    [{ processTwo: true }, "Option processTwo is unknown: did you mean process_two?"],
    [{ bnid: {} }, "Option bnid is unknown: did you mean bind?"],
    [{ boot: "maybe" }, 'Option boot = "maybe" is not valid: it must be true or false.'],
    [
      { private_users: "managed" },
      'Option private_users = "managed" is not valid: "managed" is a range of systemd-nsresourced, which this driver does not use: it picks an unused range itself ("pick"), and "ID:COUNT" is for more IDs than 65536.',
    ],
    [
      { template: "debian", ephemeral: true },
      "Options template and ephemeral = true exclude each other: a copy that keeps no changes needs no template; name it as the image.",
    ],
    [
      { bind_user: ["root"] },
      'Option bind_user[0] = "root" is not valid: systemd-nspawn binds neither root nor nobody.',
    ],
    [
      { bind_user: ["alice"], user_namespacing: false },
      "Option bind_user needs user namespaces: remove user_namespacing = false or private_users.",
    ],
    [
      { labels: { "a b": "c" } },
      'Option labels["a b"] = "c" is not valid: its name must consist of letters, digits, ".", "_", "/" and "-", and begin with a letter or digit.',
    ],
    [{ boot: 1 }, "Option boot = 1 is not valid: it must be true or false."],
    [
      { boot: true, process_two: true },
      "Options boot = true and process_two = true exclude each other: set boot = false to run the command as PID 2.",
    ],
    [
      { boot: true, init: true },
      "Options boot = true and init = true exclude each other: set boot = false to run the command as PID 2.",
    ],
    [
      { boot: false, process_two: true, notify_ready: true },
      "Options notify_ready = true and process_two = true exclude each other: systemd-nspawn accepts READY=1 only from PID 1 of the container.",
    ],
    [
      { ready_timeout: "soon" },
      'Option ready_timeout = "soon" is not valid: it must be a duration such as "90s", "3m" or "1h", at least 1s.',
    ],
    [{ command: { a: "sh" } }, "Option command = a map is not valid: it must be a string or a list of strings."],
    [{ command: ["a", ["b"]] }, "Option command[1] = a list is not valid: it must be a string."],
    [{ command: ["a\0"] }, 'Option command[0] = "a\\u0000" is not valid: it must not contain a NUL character.'],
    [
      { command: ["x".repeat(131_072)] },
      `Option command[0] = "${"x".repeat(119)}… is not valid: it must not be longer than 131071 bytes.`,
    ],
    [{ boot: false, command: [""] }, 'Option command[0] = "" is not valid: it must name a program.'],
    [{ volatile: "maybe" }, 'Option volatile = "maybe" is not valid: it must be "yes", "state", "overlay" or "no".'],
    [
      { console: "loud" },
      'Option console = "loud" is not valid: it must be "interactive", "read-only", "passive" or "pipe".',
    ],
    [
      { resolv_conf: "host" },
      'Option resolv_conf = "host" is not valid: it must be "off", "copy-host", "copy-static", "copy-uplink", "copy-stub", "replace-host", "replace-static", "replace-uplink", "replace-stub", "bind-host", "bind-static", "bind-uplink", "bind-stub", "delete" or "auto".',
    ],
    [
      { image: "/" },
      'Option image = "/" is the host\'s own root: it needs ephemeral = true, or volatile = "yes" or "state".',
    ],
    [
      { image: "//", volatile: "overlay" },
      'Option image = "/" is the host\'s own root: it needs ephemeral = true, or volatile = "yes" or "state".',
    ],
    [
      { storage_limit: "0" },
      'Option storage_limit = "0" is not valid: it must be a size such as "500MB" or "2GiB", at least 1MB.',
    ],
    [
      { volatile: "state", storage_limit: "1GB" },
      'Options storage_limit and volatile = "state" exclude each other: changes go to a tmpfs of systemd-nspawn, which has a limit of its own; use volatile = "overlay".',
    ],
    [
      { volatile: "yes", private_users_ownership: "chown" },
      'Options private_users_ownership = "chown" and volatile = "yes" exclude each other: the image\'s files could not be changed; use "auto" or "map".',
    ],
    [
      { volatile: "overlay", private_users_ownership: "chown" },
      'Options private_users_ownership = "chown" and volatile = "overlay" exclude each other: the image\'s files could not be changed; use "auto" or "map".',
    ],
    [
      { read_only: true, private_users_ownership: "chown" },
      'Options private_users_ownership = "chown" and read_only = true exclude each other: the image\'s files could not be changed; use "auto" or "map".',
    ],
    [
      { user_namespacing: false, private_users: "pick" },
      'Option private_users = "pick" needs user_namespacing = true: remove it, or set it to "no".',
    ],
    [
      { user_namespacing: false, private_users_ownership: "map" },
      'Option private_users_ownership = "map" needs user namespaces: set user_namespacing = true and private_users to other than "no".',
    ],
    [
      { private_users: "many" },
      'Option private_users = "many" is not valid: it must be "yes", "no", "pick", "identity", a user ID or "ID:COUNT".',
    ],
    [
      { private_users: "-5" },
      'Option private_users = "-5" is not valid: it must be "yes", "no", "pick", "identity", a user ID or "ID:COUNT".',
    ],
    [
      { private_users: "4294967295" },
      'Option private_users = "4294967295" is not valid: the user IDs must lie between 0 and 4294967294, and 65535 cannot be the first.',
    ],
    [
      { private_users_ownership: "yes" },
      'Option private_users_ownership = "yes" is not valid: it must be "auto", "map", "chown" or "off".',
    ],
    [{ working_directory: "srv" }, 'Option working_directory = "srv" is not valid: it must be an absolute path.'],
    [{ working_directory: "/a/../b" }, 'Option working_directory = "/a/../b" is not valid: it must not contain "..".'],
    [
      { working_directory: "/proc/1" },
      'Option working_directory = "/proc/1" is not valid: it must not be in /proc, /sys or /dev.',
    ],
    [
      { pivot_root: "new" },
      'Option pivot_root = "new" is not valid: it must be an absolute path, or two separated by a colon.',
    ],
    [
      { pivot_root: "/new:old" },
      'Option pivot_root = "/new:old" is not valid: it must be an absolute path, or two separated by a colon.',
    ],
    ...["a:b:c", "-x", ":7", "a: b", "a:/"].map((user): [object, string] => [
      { user },
      `Option user = ${JSON.stringify(user)} is not valid: it must be a user of the container, USER or USER:GROUP, each a name or a number.`,
    ]),
    [
      { hostname: "a_b" },
      'Option hostname = "a_b" is not valid: it must consist of letters, digits, inner hyphens and single dots.',
    ],
    [
      { hostname: "a".repeat(65) },
      `Option hostname = "${"a".repeat(65)}" is not valid: it must not be longer than 64 characters.`,
    ],
    [
      { bind: { "/a": "b" } },
      'Option bind["/a"] = "b" is not valid: the target in the container is wrong, it must be an absolute path.',
    ],
    [
      { bind: { "+/a": "/b" } },
      'Option bind["+/a"] = "/b" is not valid: the source must be on the host, not in the image (+).',
    ],
    [{ bind: "x" }, 'Option bind = "x" is not valid: it must be a map of host path to absolute path in the container.'],
    [
      { bind: { "/a": "/x" }, bind_read_only: { "/b": "/x/" } },
      'Options bind and bind_read_only both mount something at "/x": one path can be mounted once.',
    ],
    [
      { bind: { "/a": "/" } },
      'Option bind replaces the container\'s root "/": this needs user_namespacing = false, or private_users with a fixed ID and private_users_ownership = "off".',
    ],
    [
      { environment: { "A=B": "hidden" } },
      'Option environment["A=B"] is not valid: its name must not contain "=" or a NUL character.',
    ],
    [{ environment: { A: "hidden\0" } }, 'Option environment["A"] is not valid: it must not contain a NUL character.'],
    [{ environment: { A: ["hidden"] } }, 'Option environment["A"] is not valid: it must be a string.'],
    [{ environment: "hidden" }, "Option environment is not valid: it must be a map of strings."],
    [
      { capability: ["CAP_X,CAP_SYS_ADMIN"] },
      'Option capability[0] = "CAP_X,CAP_SYS_ADMIN" is not valid: it must be the name of a capability such as "CAP_NET_ADMIN", or "all".',
    ],
    [
      { capability: ["41"] },
      'Option capability[0] = "41" is not valid: it must be the name of a capability such as "CAP_NET_ADMIN", or "all".',
    ],
    [
      { capability: ["CAP_KILL"], drop_capability: ["cap_kill"] },
      'Options capability and drop_capability both name "CAP_KILL": keep it in one of them.',
    ],
    [
      { network_bridge: "br0", network_zone: "z" },
      'Options network_bridge = "br0" and network_zone = "z" exclude each other: a container has one network interface.',
    ],
    [
      { network_bridge: "a-bridge-too-far" },
      'Option network_bridge = "a-bridge-too-far" is not valid: it must not be longer than 15 characters.',
    ],
    [
      { network_zone: "thirteenchars" },
      'Option network_zone = "thirteenchars" is not valid: it must not be longer than 12 characters.',
    ],
    [
      { network_bridge: "a/b" },
      'Option network_bridge = "a/b" is not valid: it must consist of printable ASCII characters other than ":", "/" and "%".',
    ],
    [{ network_bridge: "all" }, 'Option network_bridge = "all" is not valid: this name is reserved.'],
    [
      { tmp: "disk", read_only: true },
      'Options tmp = "disk" and read_only = true exclude each other: the image\'s /tmp could not be written; use tmp = "tmpfs".',
    ],
    [
      { tmp: "disk", volatile: "state" },
      'Options tmp = "disk" and volatile = "state" exclude each other: the image\'s /tmp could not be written; use tmp = "tmpfs".',
    ],
    [
      { pull: "always", image_download: { url: "https://x/y" } },
      'Options pull = "always" and image_download exclude each other: image_download has its own option force.',
    ],
    [
      { root_hash: "abc" },
      'Option root_hash = "abc" is not valid: it must be a root hash of dm-verity: an even number of hexadecimal digits, at least 32.',
    ],
    [
      { root_hash_signature: "x.p7s" },
      'Option root_hash_signature = "x.p7s" is not valid: it must be an absolute path, or "base64:" and the signature in Base64.',
    ],
    [{ verity_data: "x" }, 'Option verity_data = "x" is not valid: it must be an absolute path.'],
    [
      { image_policy: "root=a b" },
      'Option image_policy = "root=a b" is not valid: it must be a policy such as "root=verity+signed:usr=verity+signed".',
    ],
    [{ ports: ["a"], port_map: { a: 1 } }, "Options ports and port_map exclude each other: use ports."],
    [
      { port_map: { http: 70_000 } },
      'Option port_map["http"] = 70000 is not valid: it must be a port from 1 to 65535.',
    ],
    [{ port_map: { http: "x" } }, 'Option port_map["http"] = "x" is not valid: it must be a number.'],
    [
      { image_download: {} },
      "Option image_download.url is missing: it must be an http:// or https:// URL, the absolute path of a file, or the reference of an image in a registry.",
    ],
    [
      { image_download: { url: "a.tar" } },
      'Option image_download.url = "a.tar" is not valid: it must be an http:// or https:// URL or the absolute path of a file for an image of type tar or raw, and an image reference for one of type docker or oci.',
    ],
    [
      { image_download: { url: "https://x/y", type: "docker" } },
      'Option image_download.url = "https://x/y" is not valid: it must be an http:// or https:// URL or the absolute path of a file for an image of type tar or raw, and an image reference for one of type docker or oci.',
    ],
    [
      { image_download: [{ url: "https://x/y", type: "zip" }] },
      'Option image_download.type = "zip" is not valid: it must be "tar", "raw", "docker" or "oci".',
    ],
    [
      { image_download: { url: "https://x/y", verify: "md5" } },
      'Option image_download.verify = "md5" is not valid: it must be "no", "checksum" or "signature".',
    ],
    [
      { image_download: { url: "https://x/y", kind: "tar" } },
      "Option image_download.kind is unknown: the options are url, type, verify, force.",
    ],
    [{ auth: { username: "hidden" } }, "Option auth.password is missing: it must be a string."],
    [{ auth: { username: "hidden", password: ["hidden"] } }, "Option auth.password is not valid: it must be a string."],
    [{ devices: ["dev/fuse"] }, 'Option devices[0] = "dev/fuse" is not valid: it must be an absolute path.'],
    [
      { devices: ["/dev/a:/dev/b:rwx"] },
      'Option devices[0] = "/dev/a:/dev/b:rwx" is not valid: it must be "HOST", "HOST:CONTAINER" or "HOST:CONTAINER:PERMISSIONS" with permissions of r, w and m.',
    ],
    [{ tmpfs: ["tmp"] }, 'Option tmpfs[0] = "tmp" is not valid: it must be an absolute path.'],
    [
      { tmpfs: ["/tmp:size=1M,bogus"] },
      'Option tmpfs[0] = "/tmp:size=1M,bogus" is not valid: "bogus" is not a mount option of tmpfs.',
    ],
    [{ overlay: ["/a"] }, 'Option overlay[0] = "/a" is not valid: it must be "LOWER:UPPER" or "LOWER:UPPER:TARGET".'],
    [{ overlay: ["/a:/b:c"] }, 'Option overlay[0] = "/a:/b:c" is not valid: it must be an absolute path.'],
    [
      { overlay: ["/a\\:b:/u:/t"] },
      'Option overlay[0] = "/a\\\\:b:/u:/t" is not valid: a directory of the host must not contain a colon, comma, backslash or quote.',
    ],
    [{ inaccessible: ["proc"] }, 'Option inaccessible[0] = "proc" is not valid: it must be an absolute path.'],
    [
      { system_call_filter: ["@everything"] },
      'Option system_call_filter[0] = "@everything" is not valid: systemd knows no system call group "@everything".',
    ],
    [
      { system_call_filter: ["open read"] },
      'Option system_call_filter[0] = "open read" is not valid: it must be the name of a system call or group such as "@keyring", with "~" before it to deny it.',
    ],
    [
      { rlimits: { NOFILE: "2:1" } },
      'Option rlimits["NOFILE"] = "2:1" is not valid: the soft limit must not be above the hard limit.',
    ],
    [
      { rlimits: { NOFILE: "1M" } },
      'Option rlimits["NOFILE"] = "1M" is not valid: it must be SOFT or SOFT:HARD, each a whole number or "infinity".',
    ],
    [
      { rlimits: { FILES: "1" } },
      'Option rlimits["FILES"] = "1" is not valid: a limit must be "AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING" or "STACK".',
    ],
    [
      { oom_score_adjust: 1001 },
      "Option oom_score_adjust = 1001 is not valid: it must be a whole number from -1000 to 1000.",
    ],
    [
      { oom_score_adjust: 0.5 },
      "Option oom_score_adjust = 0.5 is not valid: it must be a whole number from -1000 to 1000.",
    ],
    [
      { properties: { "CPU Weight": "1" } },
      'Option properties["CPU Weight"] = "1" is not valid: its name must be that of a unit property such as "CPUWeight".',
    ],
    [
      { properties: { CPUWeight: "1\nExecStart=x" } },
      'Option properties["CPUWeight"] = "1\\nExecStart=x" is not valid: it must be one line.',
    ],
  ];

  test.each(cases)("%j", (config, sentence) => {
    expect(refusal({ ...IMAGE, ...config })).toBe(sentence);
  });

  test("no error message shows values of an environment or auth block", () => {
    for (const [config] of cases) {
      expect(refusal({ ...IMAGE, ...config })).not.toContain("hidden");
    }
  });

  test.each([
    ["invalid msgpack", Uint8Array.of(0xc1), "The config block cannot be read: it is not valid msgpack."],
    [
      "a name that is special in JavaScript",
      encode({ bind: Object.fromEntries([["__proto__", "/x"]]) }),
      'The config block cannot be read: the name "__proto__" cannot be used in it.',
    ],
    ["half a map", Uint8Array.of(0x82, 0xa1), "The config block cannot be read: it is not valid msgpack."],
    ["a list", encode([1]), "The config block cannot be read: it is not a map of options."],
  ])("%s", (_, bytes, sentence) => {
    expect(() => decodeTaskConfig(bytes)).toThrow(sentence);
  });
});

test.each([
  [{ boot: false, args: ["a"] }, "Option args needs command"],
  [{ boot: true, entrypoint: "/x" }, "Options boot = true and entrypoint exclude each other"],
  [{ boot: false, entrypoint: ["", "a"] }, 'Option entrypoint[0] = "" is not valid'],
  [{ boot: false, command: { a: 1 } }, "it must be a string or a list of strings"],
  [{ boot: false, command: ["a", ["b"]] }, "it must be a string"],
])("%j is refused", (config, message) => expect(refusal({ ...IMAGE, ...config })).toContain(message));

test.each([
  [{ network: "zone:a", network_veth: false }, 'network = "zone:a" and network_veth = false exclude each other'],
  [{ network: "none", network_zone: "a" }, 'network = "none" and network_zone = "a" exclude each other'],
  [{ network: "bridge:a", network_bridge: "b" }, 'network = "bridge:a" and network_bridge = "b" exclude each other'],
  [
    { network: "lan" },
    'it must be "host", "none", "private", "zone:NAME", "bridge:NAME", "macvlan:INTERFACE" or "ipvlan:INTERFACE"',
  ],
  [{ network: "macvlan:../x" }, "of the name, it must consist of"],
  [{ ipv4_gateway: "192.0.2.1" }, "Option ipv4_gateway needs ipv4_address."],
  [
    { ipv4_address: "192.0.2.9/24", ipv4_gateway: "198.51.100.1" },
    "is not another address in the network of ipv4_address",
  ],
  [{ mac_address: "01:00:5e:00:00:01" }, "it must be the address of one interface"],
  [{ network_interface: ["eth0; x"] }, "Option network_interface[0]"],
  [{ hostname: "a.example", domainname: "b.example" }, "the host name has a domain already"],
  [{ resolv_conf: "off", dns_options: ["ndots:2"] }, 'Options resolv_conf = "off" and dns_options exclude each other'],
  [{ dns_servers: ["dns.example"] }, "it must be an IPv4 or IPv6 address"],
  [{ dns_search_domains: ["a b"] }, "it must consist of letters"],
  [{ network: "zone:" }, "it must not be empty"],
])("%j is refused", (config, message) => expect(refusal({ ...IMAGE, ...config })).toContain(message));
