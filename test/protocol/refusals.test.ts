/** A task that cannot run on this client is refused before anything is downloaded for it. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { PreparedTask, TaskSpec } from "../support/task";
import { type Fixture, useFixture } from "./fixture";
import { sentence } from "./inside";

/** A registry, and a web site, that has nothing and notes what it is asked for. */
const requests: string[] = [];
const site = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request) => {
    requests.push(new URL(request.url).pathname);
    return new Response(null, { status: 404 });
  },
});
const host = `127.0.0.1:${site.port}`;

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  {
    registry: { plain_http: [host] },
    volumes: false,
    allow_privileged_binds: false,
    allow_host_network: false,
    allow_caps: ["CAP_NET_ADMIN"],
    require_user_namespacing: true,
    network: { bridges: ["br-allowed"] },
  },
);
beforeAll(() => {
  requests.length = 0;
});
afterAll(() => site.stop(true));

/** Images that are not on this client, in each of the ways in which it fetches one. */
const images = [
  ["an image of a registry", { image: `${host}/x:1` }],
  ["a machine image", { image: "refusals-test", image_download: { url: `http://${host}/x.tar`, type: "tar" } }],
] as const;

const config = (image: object, more: object = {}): TaskSpec => ({
  config: { ...image, command: ["/bin/true"], boot: false, network_veth: true, ...more },
});

async function refusal(spec: TaskSpec): Promise<string> {
  const task: PreparedTask = await bench.task(spec);
  return sentence(bench.start(task));
}

describe.each(images)("%s", (_, image) => {
  test("is asked for by a task that this client allows", async () => {
    requests.length = 0;
    expect(await refusal(config(image))).not.toBe("");
    expect(requests.length).toBeGreaterThan(0);
  });

  test.each([
    ["a volume", {}, { mounts: [{ requestName: "data", hostPath: "/srv", taskPath: "/data" }] }, "volumes = false"],
    ["a privileged bind", { bind: { "/etc": "/host-etc" } }, {}, "allow_privileged_binds"],
    ["a bind that does not exist", { bind: { "local/missing": "/x" } }, {}, "does not exist"],
    ["a device", { devices: ["/dev/null"] }, {}, "allow_privileged_binds"],
    ["the host's network", { network_veth: false }, {}, "allow_host_network = false"],
    ["a capability", { capability: ["CAP_SYS_ADMIN"] }, {}, "allow_caps"],
    ["user IDs of the host", { user_namespacing: false }, {}, "require_user_namespacing = true"],
    ["a unit property", { properties: { IOWeight: "10" } }, {}, "allow_properties"],
    ["a bridge that is not allowed", { network_bridge: "br-other" }, {}, "network.bridges"],
    ["a bridge that does not exist", { network_bridge: "br-allowed" }, {}, "does not have"],
    ["a port without a label in the group", { ports: ["http"] }, {}, "http"],
    ["a variable that cannot be passed", { environment: { "A=B": "x" } }, {}, "A=B"],
    ["options that exclude each other", { boot: true, process_two: true }, {}, "process_two"],
  ] as const)("is not asked for by a task that is refused for %s", async (_name, more, spec, part) => {
    requests.length = 0;
    expect(await refusal({ ...config(image, more), ...spec })).toContain(part);
    expect(requests).toEqual([]);
  });
});
