import * as v from "valibot";
import { parseDuration } from "../../values/duration";
import { DOCKER_REGISTRY, isRegistryHost } from "../../values/image-reference";
import { networkSizes, parseSubnet } from "../../values/ip";
import { bridgeNameProblem, canonicalCapability, helperNameProblem, isUnitProperty } from "../../values/names";
import { parseSize } from "../../values/size";
import { option, schemasOf } from "../option";
import { flag, string, strings } from "../row-types";
import { absolutePath, checked, Problem, parsed, text } from "../validators";

const DURATION = 'a duration such as "90s", "3m" or "1h"';

/** A row for a duration with a default, both written as Go does; the value is in milliseconds. */
function duration(fallback: string, least: number) {
  const parse = (value: string) => {
    const milliseconds = parseDuration(value);
    return milliseconds === undefined || milliseconds < least
      ? new Problem(`it must be ${minimum(least)}`)
      : milliseconds;
  };
  return {
    type: { kind: "string" },
    schema: v.optional(v.pipe(text, parsed(parse)), fallback),
    allowed: minimum(least),
  } as const;
}

function minimum(least: number): string {
  return least === 0 ? DURATION : `${DURATION}, at least ${least / 1000}s`;
}

const SIZE = 'a size such as "500MB", "2GiB" or "0"';

function bytesOf(value: string): number | Problem {
  return parseSize(value) ?? new Problem(`it must be ${SIZE}`);
}

const gcOptions = {
  image: option({ ...flag(true), meaning: "Remove unused images that the driver downloaded." }),
  image_delay: option({ ...duration("3m", 0), meaning: "How long an unused image is kept." }),
  image_min_free: option({
    type: { kind: "string" },
    schema: v.optional(v.pipe(text, parsed(bytesOf)), "500MB"),
    allowed: SIZE,
    meaning:
      "Free space to keep on the disk of `image_store`: below it, unused images are removed before `image_delay`, and a pull that needs more space fails; the same applies to `image_download` and the disk of `/var/lib/machines`.",
  }),
  container: option({
    ...flag(true),
    meaning: "Remove dangling containers: those that this client's driver started and that no longer belong to a task.",
  }),
  container_delay: option({
    ...duration("5m", 0),
    meaning:
      "How long the driver waits after its start for the agent to recover its tasks before it looks for dangling containers.",
  }),
};

const networkOptions = {
  bridges: option({
    ...strings(
      v.pipe(
        text,
        checked((name: string) => bridgeNameProblem(name)),
      ),
    ),
    allowed: "a list of names of bridges",
    meaning: "Bridges that `network_bridge` may name; empty allows any bridge of the client.",
    example: 'bridges = ["br0"]',
  }),
  ipv4_pool: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => poolProblem(value, 4)),
      ),
    ),
    allowed: 'a network such as "10.213.0.0/16", or "none"',
    meaning:
      "IPv4 network from which containers get addresses, a /30 per `network_veth` and a /24 per zone; by default the first of `10.213.0.0/16`, `172.30.208.0/20` and `192.168.208.0/20` to which the client has no route.",
  }),
  ipv6_pool: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => poolProblem(value, 6)),
      ),
    ),
    allowed: 'a network such as "fd12:3456:789a::/48", or "none"',
    meaning:
      "The same for IPv6, with a /64 each; by default a unique local network derived from the client's machine ID.",
  }),
  address_wait: option({
    ...duration("5s", 0),
    meaning:
      "How long a task's start waits for an address that is assigned externally (DHCP on the bridge) before it continues without one.",
  }),
};

/** Rejects a network that is too small for one link with two hosts. */
function poolProblem(value: string, family: 4 | 6): string | undefined {
  if (value === "none") return undefined;
  const subnet = parseSubnet(value);
  const smallest = networkSizes.veth[family];
  return subnet?.family === family && subnet.prefix <= smallest
    ? undefined
    : `it must be an IPv${family} network of at least /${smallest}, or "none"`;
}

const authOptions = {
  config: option({
    ...string(absolutePath),
    allowed: "the absolute path of a file",
    meaning: "File with registry credentials in the format of Docker's `config.json`.",
  }),
  helper: option({
    ...string(v.pipe(text, checked(helperNameProblem))),
    allowed: 'what follows "docker-credential-" in the name of a credential helper',
    meaning:
      "Credential helper for registries that are not in `config`: the program `docker-credential-NAME` in the agent's `PATH`.",
    example: 'helper = "ecr-login"',
  }),
};

const registryHostText = v.pipe(
  text,
  checked((host: string) =>
    isRegistryHost(host) ? undefined : 'it must be a host name with or without a port, such as "registry.lan:5000"',
  ),
);

const registryOptions = {
  default: option({
    type: { kind: "string" },
    schema: v.optional(registryHostText, DOCKER_REGISTRY),
    allowed: "a registry's host, with or without a port",
    meaning: "Default registry, for image names without a host.",
  }),
  ca: option({
    ...string(absolutePath),
    allowed: "the absolute path of a file",
    meaning: "File with CA certificates (PEM) to trust for registries and `image_download`, in addition to the host's.",
    example: 'ca = "/etc/nomad.d/registry-ca.pem"',
  }),
  plain_http: option({
    ...strings(registryHostText),
    allowed: "a list of registries' hosts",
    meaning:
      "Plain-HTTP registries, by their host as written in image names. Registries on this machine (`localhost`, `127.…`) use plain HTTP automatically if they have no TLS.",
    example: 'plain_http = ["registry.lan:5000"]',
  }),
};

/** Every option of `plugin "nspawn" { config {} }`, once. */
export const pluginOptions = {
  enabled: option({ ...flag(true), defaultInSpec: true, meaning: "Whether the driver runs tasks on this client." }),
  volumes: option({
    ...flag(true),
    defaultInSpec: true,
    meaning: "Whether tasks may mount host and CSI volumes (`volume_mount`).",
  }),
  image_paths: option({
    ...strings(absolutePath),
    allowed: "a list of absolute paths",
    meaning:
      "Directories that images may come from; empty allows any. Registry images come from `image_store`, and those of `image_download` from `/var/lib/machines`.",
    example: 'image_paths = ["/var/lib/machines"]',
  }),
  image_store: option({
    type: { kind: "string" },
    schema: v.optional(absolutePath, "/var/lib/nomad-driver-nspawn"),
    allowed: "an absolute path",
    meaning:
      "Directory for unpacked container (OCI) images and for the writable layers of their containers (docs/images.md). Agents on one host may share it.",
  }),
  allow_caps: option({
    type: { kind: "strings" },
    schema: v.optional(
      v.array(
        v.pipe(
          text,
          parsed(
            (name: string) =>
              canonicalCapability(name) ??
              new Problem('it must be the name of a capability such as "CAP_NET_ADMIN", or "all"'),
          ),
        ),
      ),
      ["all"],
    ),
    allowed: "a list of capabilities",
    meaning: 'Capabilities that a task may request with `capability`; `["all"]` allows any.',
    example: 'allow_caps = ["CAP_NET_ADMIN"]',
  }),
  allow_properties: option({
    ...strings(
      v.pipe(
        text,
        checked((name: string) =>
          isUnitProperty(name) ? undefined : 'it must be the name of a unit property such as "IOWeight"',
        ),
      ),
    ),
    meaning: "Unit properties that a task may set with `properties`; none by default.",
    example: 'allow_properties = ["IOWeight"]',
  }),
  allow_negative_oom_score_adjust: option({
    ...flag(false),
    meaning:
      "Whether tasks may set `oom_score_adjust` below 0: when memory runs out, the kernel then kills other processes first, and with -1000 never the task.",
  }),
  allow_privileged_binds: option({
    ...flag(true),
    meaning:
      "Whether tasks may mount host paths outside their task directory (`bind`, `bind_read_only`, `overlay`, `devices`).",
  }),
  allow_host_network: option({
    ...flag(true),
    meaning:
      "Whether tasks may use the client's own network (`network_veth = false` without a group network): in it a container reaches services on the client's loopback addresses and abstract sockets. In a group with `network { mode = \"bridge\" }` such a task uses the group's network and is allowed.",
  }),
  require_user_namespacing: option({
    ...flag(false),
    meaning:
      "Whether every task must have user IDs separate from the host's: rejects `user_namespacing = false`, and any `private_users` except `pick` and IDs that systemd reserves for containers (524288 to 1879048191). Without it, a job's author may get the equivalent of root on the client.",
  }),
  gc: option({
    type: { kind: "block", options: gcOptions },
    schema: v.optional(v.strictObject(schemasOf(gcOptions)), {}),
    meaning: "Garbage collection: what is removed, and when.",
    example: 'gc {\n  image       = true\n  image_delay = "1h"\n}',
  }),
  network: option({
    type: { kind: "block", options: networkOptions },
    schema: v.optional(v.strictObject(schemasOf(networkOptions)), {}),
    meaning: "Container networks: which bridges may be used, and the address pools of private networks.",
    example: 'network {\n  bridges      = ["br0"]\n  ipv4_pool    = "10.99.0.0/16"\n  address_wait = "10s"\n}',
  }),
  pull_timeout: option({ ...duration("10m", 1000), meaning: "How long the download of an image may take." }),
  stats_interval: option({
    ...duration("1s", 100),
    meaning: "Shortest interval at which a task's resource usage is measured.",
  }),
  auth: option({
    type: { kind: "block", options: authOptions },
    schema: v.optional(v.strictObject(schemasOf(authOptions)), {}),
    meaning: "Registry credentials.",
    example: 'auth {\n  config = "/etc/nomad.d/registry-auth.json"\n}',
  }),
  registry: option({
    type: { kind: "block", options: registryOptions },
    schema: v.optional(v.strictObject(schemasOf(registryOptions)), {}),
    meaning: "Default registry, and how registries are reached.",
    example: 'registry {\n  default    = "registry.lan:5000"\n  plain_http = ["registry.lan:5000"]\n}',
  }),
};

/** Validates a whole plugin config. */
export const pluginSchema = v.strictObject(schemasOf(pluginOptions));

/** The operator's config after validation; durations are in milliseconds. */
export type PluginOptions = Readonly<v.InferOutput<typeof pluginSchema>>;
