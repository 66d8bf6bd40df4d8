import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ResourcesSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { containerPorts } from "../network/network";
import { portForwards } from "./ports";

const group = create(ResourcesSchema, {
  ports: [
    { label: "http", value: 20_001, to: 80, hostIp: "192.0.2.1" },
    { label: "admin", value: 20_002, to: -1, hostIp: "0.0.0.0" },
    { label: "v6", value: 20_003, to: 0, hostIp: "2001:db8::1" },
    { label: "any", value: 20_004, to: 0, hostIp: "" },
  ],
});
const task = create(ResourcesSchema, {
  allocatedResources: {
    networks: [
      {
        ip: "192.0.2.1",
        reservedPorts: [{ label: "http", value: 8080 }],
        dynamicPorts: [{ label: "rpc", value: 23_456 }],
      },
    ],
  },
});

describe("ports", () => {
  test("forward to the port of the group's network block, or to the same number", () => {
    expect(portForwards({ ports: ["http", "admin", "v6", "any", "http"], port_map: {} }, group)).toEqual([
      { label: "http", hostAddress: "192.0.2.1", hostPort: 20_001, containerPort: 80 },
      { label: "admin", hostPort: 20_002, containerPort: 20_002 },
      { label: "v6", hostAddress: "2001:db8::1", hostPort: 20_003, containerPort: 20_003 },
      { label: "any", hostPort: 20_004, containerPort: 20_004 },
    ]);
  });

  test("are none if none are named", () => {
    expect(portForwards({ ports: [], port_map: {} }, group)).toEqual([]);
    expect(portForwards({ ports: [], port_map: {} }, undefined)).toEqual([]);
  });

  test("must be defined by the job", () => {
    expect(() => portForwards({ ports: ["web"], port_map: {} }, group)).toThrow(
      /ports names the port "web", which the group's network block does not define: its ports are "http", "admin", "v6", "any"\./,
    );
    expect(() => portForwards({ ports: ["web"], port_map: {} }, undefined)).toThrow(/add a port block with that label/);
  });
});

describe("port_map", () => {
  test("maps the ports of a task's own network, and forwards its other ports unchanged", () => {
    expect(portForwards({ ports: [], port_map: { http: 80 } }, task)).toEqual([
      { label: "http", hostAddress: "192.0.2.1", hostPort: 8080, containerPort: 80 },
      { label: "rpc", hostAddress: "192.0.2.1", hostPort: 23_456, containerPort: 23_456 },
    ]);
  });

  test("forwards the group's ports that it names if the task has no network block", () => {
    const forwards = portForwards({ ports: [], port_map: { http: 8000, admin: 9000 } }, group);
    expect(containerPorts(forwards)).toEqual({ http: 8000, admin: 9000 });
  });

  test("must name ports of the job", () => {
    expect(() => portForwards({ ports: [], port_map: { web: 80 } }, task)).toThrow(/its ports are "http", "rpc"/);
  });
});
