/** The plugin, tested with the agents' own libraries: hashicorp/go-plugin and grpc-go, which are stricter than grpc-js. */

import { expect, test } from "bun:test";
import * as v from "valibot";
import { driverBinary } from "../../tools/build/project";
import { run } from "../../tools/command";
import { wireClient } from "../../tools/setup/nomad";

const driver = "/hashicorp.nomad.plugins.drivers.proto.Driver";
const base = "/hashicorp.nomad.plugins.base.proto.BasePlugin";

test("go-plugin and grpc-go receive what a current agent needs", async () => {
  const { stdout } = await run([await wireClient(), driverBinary()]);
  const results = v.parse(v.record(v.string(), v.string()), JSON.parse(stdout));
  expect(results).toEqual({
    "first handshake": "ok",
    "first ping": "ok",
    "first dispense": "ok",
    // Includes fields that this driver does not know.
    [`${base}/PluginInfo`]: "OK",
    [`${base}/SetConfig`]: "OK",
    [`${driver}/Capabilities`]: "OK",
    // Agents from 2.0.4 on call these two.
    [`${driver}/Init`]: "OK",
    [`${driver}/Shutdown`]: "OK",
    // Methods that this driver does not implement; an agent treats this status as "not supported" and continues.
    [`${driver}/NoSuchMethod`]: "Unimplemented",
    [`${driver}/CreateNetwork`]: "Unimplemented",
    [`stream ${driver}/NoSuchStream`]: "Unimplemented",
    "/hashicorp.nomad.plugins.Nothing/Method": "Unimplemented",
    "/ä%25/Method": "Unimplemented",
    "stream /no.Service/Stream": "Unimplemented",
    // A restarted agent reattaches to its plugin process; its own client ends the process.
    "reattached handshake": "ok",
    "reattached ping": "ok",
    "reattached dispense": "ok",
    exited: "ok",
  });
});
