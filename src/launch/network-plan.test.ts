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

  const own = { addresses: ["192.0.2.9/24"], gateways: ["192.0.2.1"] };
  const address = { ipv4_address: "192.0.2.9/24", ipv4_gateway: "192.0.2.1" };
  const mac = { mac_address: "02:00:00:00:00:01" };
  test.each([
    [
      { network: "bridge:br0", ...address },
      { kind: "private", link: "bridge", bridge: "br0", ports: [], own },
    ],
    [
      { network: "macvlan:eth0", ...address },
      { kind: "lan", via: "macvlan", interfaces: ["eth0"], own },
    ],
    [{ network: "ipvlan:eth0" }, { kind: "lan", via: "ipvlan", interfaces: ["eth0"] }],
    [
      { network: "none", network_interface: ["a", "b"] },
      { kind: "lan", via: "interface", interfaces: ["a", "b"] },
    ],
    [{ network_interface: ["a"] }, { kind: "private", link: "veth", ports: [] }],
    [mac, { kind: "private", link: "veth", ports: [], own: { addresses: [], gateways: [], mac: "02:00:00:00:00:01" } }],
  ])("%j", (options, expected) => expect(JSON.stringify(plan(options))).toBe(JSON.stringify(expected)));

  test.each([
    [
      { ipv4_address: "192.0.2.9/24" },
      /ipv4_address = "192\.0\.2\.9\/24" cannot be used here: it needs a network in which/,
    ],
    [{ network: "none", ipv6_address: "2001:db8::9/64" }, /ipv6_address .* it needs a network in which/],
    [
      { network: "zone:a", ...address },
      /ipv4_gateway = "192\.0\.2\.1" cannot be used here: the router of a zone is the client/,
    ],
    [{ network: "host", network_interface: ["eth1"] }, /network_interface = "eth1" .* write network = "none"/],
    [{ network: "ipvlan:eth0", ...mac }, /mac_address .* needs a private network, a zone, a bridge or macvlan/],
    [{ network: "macvlan:eth0", ports: ["http"] }, /ports forwards .* other hosts reach it at its own address/],
  ])("%j is refused", (options, sentence) => expect(() => plan(options)).toThrow(sentence));

  test.each([{ network_interface: ["eth1"] }, { ipv4_address: "192.0.2.9/24" }, mac])(
    "%j in a group's network is refused",
    (options) => expect(() => plan(options, namespace)).toThrow("needs a separate network for the task"),
  );

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
