import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import { TaskConfigSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { decodeTaskConfig } from "../config/task/decode";
import { networkPlan } from "./network-plan";

function plan(
  options: Readonly<Record<string, unknown>>,
  isolation?: MessageInitShape<typeof TaskConfigSchema>["networkIsolationSpec"],
) {
  const config = create(TaskConfigSchema, {
    resources: { ports: [{ label: "http", value: 20_001, to: 80, hostIp: "192.0.2.1" }] },
    ...(isolation === undefined ? {} : { networkIsolationSpec: isolation }),
  });
  return networkPlan(config, decodeTaskConfig(encode({ image: "/srv/image", ...options })));
}

const namespace = { path: "/var/run/netns/alloc" };

describe("networkPlan", () => {
  test.each([
    [{}, { kind: "private", link: "veth", ports: [] }],
    [{ network_veth: false }, { kind: "host" }],
    [{ network: "host", network_veth: true }, { kind: "host" }],
    [{ network: "none" }, { kind: "none" }],
    [{ network: "private" }, { kind: "private", link: "veth", ports: [] }],
    [{ network: "zone:web" }, { kind: "private", link: "zone", bridge: "vz-web", ports: [] }],
    [{ network: "bridge:br0" }, { kind: "private", link: "bridge", bridge: "br0", ports: [] }],
    [{ network_zone: "web" }, { kind: "private", link: "zone", bridge: "vz-web", ports: [] }],
    [
      { network_bridge: "br0", network_veth: false },
      { kind: "private", link: "bridge", bridge: "br0", ports: [] },
    ],
  ])("%j", (options, expected) => expect(JSON.stringify(plan(options))).toBe(JSON.stringify(expected)));

  test("with ports", () => {
    expect(plan({ ports: ["http"] })).toEqual({
      kind: "private",
      link: "veth",
      ports: [{ label: "http", hostAddress: "192.0.2.1", hostPort: 20_001, containerPort: 80 }],
    });
    expect(() => plan({ ports: ["http"], network_veth: false })).toThrow(
      /network_veth = false uses the host's network/,
    );
  });

  test("a group's network is joined; Nomad forwards its ports", () => {
    expect(plan({ ports: ["http"] }, namespace)).toEqual({ kind: "joined", path: namespace.path });
    expect(plan({}, { ...namespace, hostsConfig: { hostname: "web", address: "172.26.64.2" } })).toEqual({
      kind: "joined",
      path: namespace.path,
      hosts: { hostname: "web", address: "172.26.64.2" },
    });
    expect(() => plan({ ports: ["nope"] }, namespace)).toThrow(/its ports are "http"/);
  });

  test("no ports can be forwarded to a container without a network", () => {
    expect(() => plan({ ports: ["http"], network: "none" })).toThrow(/network = "none" leaves it without any/);
    expect(() => plan({ ports: ["http"], network: "host" })).toThrow(/network = "host" uses the host's network/);
  });

  test.each(["host", "none", "zone:a"])("a group's network and network = %j exclude each other", (network) => {
    expect(() => plan({ network }, namespace)).toThrow(`network = "${network}" needs a separate network for the task`);
  });

  test.each(["network_zone", "network_bridge"])("a group's network and %s exclude each other", (option) => {
    expect(() => plan({ [option]: "web" }, namespace)).toThrow(
      new RegExp(`${option} = "web" needs a separate network for the task`),
    );
  });
});
