import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { ConfigError } from "../../lib/errors";
import { inJobsWords } from "./aliases";
import { decodeTaskConfig } from "./decode";

const decode = (config: object) => decodeTaskConfig(encode({ image: "/i", network_veth: true, ...config }));

function refusal(config: object): string {
  try {
    decode(config);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("the config was accepted");
}

test.each([
  [{ work_dir: "/a" }, { working_directory: "/a" }],
  [{ cwd: "/a" }, { working_directory: "/a" }],
  [{ readonly_rootfs: true }, { read_only: true }],
  [{ cap_add: ["net_admin", "CAP_SYS_TIME"] }, { capability: ["CAP_NET_ADMIN", "CAP_SYS_TIME"] }],
  [{ cap_drop: ["ALL"] }, { drop_capability: ["all"] }],
  [{ oom_score_adj: 5 }, { oom_score_adjust: 5 }],
  [{ ulimit: [{ nofile: "1024:-1", core: 0 }] }, { rlimits: { NOFILE: "1024:infinity", CORE: "0" } }],
  [{ image: "a", force_pull: true }, { pull: "always" }],
  [{ image: "a", force_pull: false }, { image: "a" }],
  [{ network_mode: "host" }, { network_veth: false }],
  [{ network_mode: "bridge" }, { network_veth: true }],
  [{ shm_size: 67_108_864 }, { tmpfs: [{ target: "/dev/shm", options: "size=67108864,mode=1777" }] }],
  [{ shm_size: "64MiB", tmpfs: ["/a"] }, { tmpfs: [{ target: "/a" }, { target: "/dev/shm" }] }],
  [{ volumes: ["a:/b", "/c:/d:ro"] }, { bind: { a: "/b" }, bind_read_only: { "/c": "/d" } }],
  [{ volumes: ["a:/b"], bind: { c: "/d" } }, { bind: { a: "/b", c: "/d" } }],
  [
    {
      mount: [
        { type: "bind", target: "/t", source: "s", readonly: true },
        { type: "tmpfs", target: "/x:y", tmpfs_options: [{ size: 1000, mode: 511 }] },
      ],
    },
    { bind_read_only: { s: "/t" }, tmpfs: [{ target: "/x:y", options: "size=1000,mode=777" }] },
  ],
  [
    {
      mount: [
        { type: "bind", source: "a", target: "/t", bind_options: [{ propagation: "rslave" }], volume_options: [] },
      ],
    },
    { bind: { a: "/t" } },
  ],
  [{ mounts: { type: "tmpfs", target: "/t" } }, { tmpfs: [{ target: "/t", options: "" }] }],
])("%j", (config, expected) => expect(decode(config)).toMatchObject(expected));

test("all capabilities but those that the job adds are dropped", () => {
  const { capability, drop_capability: dropped } = decode({ cap_drop: ["all"], cap_add: ["net_bind_service"] });
  expect(capability).toEqual(["CAP_NET_BIND_SERVICE"]);
  expect(dropped).toContain("CAP_SYS_ADMIN");
  expect(dropped).not.toContain("CAP_NET_BIND_SERVICE");
  expect(dropped).not.toContain("all");
});

test.each([
  [{ work_dir: "/a", cwd: "/b" }, "Options work_dir and cwd set the same thing (working_directory)"],
  [{ work_dir: "/a", working_directory: "/b" }, "Options working_directory and work_dir set the same thing"],
  [{ cap_add: ["chown"], capability: ["CAP_KILL"] }, "Options capability and cap_add set the same thing"],
  [{ volumes: ["a:/b"], bind: { a: "/d" } }, "Options bind and volumes set the same thing (bind)"],
  [{ network_mode: "none", network: "private" }, "Options network and network_mode set the same thing"],
  [{ network_mode: "container:x" }, 'containers share a network by network { mode = "bridge" } of their group'],
  [{ network_mode: "br0" }, 'write network = "bridge:NAME"'],
  [{ volumes: ["a"] }, 'each must be "SOURCE:TARGET"'],
  [{ volumes: ["a:/b:z"] }, 'only the modes "ro" and "rw" are known'],
  [{ volumes: ["a:/b", "a:/c"] }, '"a" can be mounted at one path of the container only'],
  [{ mount: [{ type: "volume", source: "v", target: "/t" }] }, "use volume_mount with a host or CSI volume"],
  [{ mount: [{ type: "bind", target: "/t" }] }, "its source must be a path"],
  [{ mount: [{ type: "tmpfs", target: "/t", tmpfs_options: { size: "1,exec" } }] }, "must be whole numbers"],
  [{ mount: [{ type: "bind", source: "a", target: "/t", what: 1 }] }, '"what" is unknown in it'],
  [
    { mount: [{ type: "bind", source: "a", target: "/t", bind_options: [{ propagation: "rshared" }] }] },
    'the propagation "rshared" of its bind_options is not possible',
  ],
  [
    { mount: [{ type: "bind", source: "a", target: "/t", volume_options: { no_copy: true } }] },
    "volume_options is only for",
  ],
  [{ mount: [{ type: "tmpfs", target: "/t", readonly: "maybe" }] }, "its readonly must be true or false"],
  [{ mount: "x" }, "it must be a block, or a list of maps"],
  [{ shm_size: "a lot" }, 'it must be a size in bytes, or such as "64MB"'],
  [{ ulimit: { files: "1" } }, "a limit must be"],
  [{ work_dir: "relative" }, "it must be an absolute path"],
])("%j is refused", (config, message) => expect(refusal(config)).toContain(message));

describe("errors name options as the job has written them", () => {
  test.each([
    [{ cap_add: ["NOPE"] }, 'Option cap_add[0] = "NOPE" is not valid: it must be the name of a capability such as'],
    [{ cap_add: ["KILL"], cap_drop: ["KILL"] }, 'Options cap_add and cap_drop both name "CAP_KILL"'],
    [{ capability: ["KILL"], cap_drop: ["KILL"] }, 'Options capability and cap_drop both name "CAP_KILL"'],
    [{ work_dir: "x" }, "Option work_dir = "],
    [{ oom_score_adj: 5000 }, "Option oom_score_adj = 5000 is not valid"],
    [{ ulimit: { nofile: "x" } }, 'Option ulimit["NOFILE"] = "x" is not valid'],
    [
      { network_mode: "none", network_zone: "a" },
      'Options network (of network_mode) = "none" and network_zone = "a" exclude each other',
    ],
    [{ capability: ["NOPE"] }, 'Option capability[0] = "NOPE" is not valid'],
  ])("%j", (config, sentence) => expect(refusal(config)).toContain(sentence));

  test("also for what is checked later", () => {
    const raw = { cap_add: ["SYS_ADMIN"], volumes: ["/etc:/x"] };
    expect(inJobsWords('Option capability asks for "CAP_SYS_ADMIN", which', raw)).toBe(
      'Option cap_add asks for "CAP_SYS_ADMIN", which',
    );
    expect(inJobsWords('bind "/etc" is a path of the host', raw)).toBe(
      'bind (of volumes) "/etc" is a path of the host',
    );
  });
});
