/**
 * The options of the plugin itself, in `plugin "nspawn" { config {} }` of the agent's configuration. They belong to the operator of a
 * client, not to a job's author: which images, mounts, capabilities and networks jobs may use (applied by config/policy.ts and
 * launch/network-policy.ts), where images are stored and when they are removed, and how networks get addresses. The defaults are those of
 * the Go driver, or permissive where it had no such option; docs/security.md lists what to set where job authors are not trusted.
 */

import * as v from "valibot";
import { canonicalCapability, isUnitProperty, sliceProblem } from "../../values/names";
import { duration } from "../duration-row";
import { option, schemasOf } from "../option";
import { flag, string, strings } from "../row-types";
import { sizeLimit } from "../size-row";
import { LOG_DRIVERS } from "../task/logs";
import { absolutePath, checked, filledText, Problem, parsed, text } from "../validators";
import { gcOptions } from "./gc";
import { networkOptions } from "./network";
import { authOptions, registryOptions } from "./registry";
import { telemetryOptions } from "./telemetry";

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
  allow_task_images: option({
    ...flag(true),
    meaning:
      "Whether an image may be in the task's own directory, where Nomad's `artifact` blocks put it (`image = \"local/NAME\"`); `image_paths` does not apply there.",
  }),
  signature_policy: option({
    ...string(absolutePath),
    allowed: "the absolute path of a file",
    meaning:
      "File in the format of containers-policy.json(5) that decides by their signatures which container (OCI) images may run (docs/images.md). It does not apply to directories, disk images and other downloads of `image_download`.",
    example: 'signature_policy = "/etc/containers/policy.json"',
  }),
  image_store: option({
    type: { kind: "string" },
    schema: v.optional(absolutePath, "/var/lib/nomad-driver-nspawn"),
    allowed: "an absolute path",
    meaning:
      "Directory for unpacked container (OCI) images, and for the writable layers of roots that the driver makes, on these images and on directories (docs/images.md). Agents on one host may share it.",
  }),
  image_verity: option({
    type: { kind: "bool" },
    schema: v.optional(v.boolean()),
    meaning:
      "Whether each file of a container (OCI) image in `image_store` is protected by fs-verity, if that file system has it: no process can change its content, and damage on the disk is an error when it is read, instead of other content (docs/images.md). Without this option it is, except on Btrfs, which has checksums of its own.",
    example: "image_verity = false",
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
  allow_sysctls: option({
    type: { kind: "strings" },
    schema: v.optional(v.array(filledText), ["*"]),
    allowed: "a list of names with dots, in which `*` stands for any characters",
    meaning: "Kernel settings that a task may set with `sysctl`; any that a container can have of its own by default.",
    example: 'allow_sysctls = ["net.core.*", "net.ipv4.tcp_*"]',
  }),
  allow_bind_users: option({
    ...strings(text),
    meaning:
      "Users of this client whom tasks may have with `bind_user`; none by default: the container gets the home directory and the password's hash of such a user.",
    example: 'allow_bind_users = ["alice"]',
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
  allow_privileged: option({
    ...flag(false),
    meaning:
      "Whether tasks may be `privileged`: such a task can do anything on the client that its root can. `allow_caps` does not apply to them.",
  }),
  allow_devices: option({
    type: { kind: "strings" },
    schema: v.optional(v.array(v.pipe(text, checked(devicePatternProblem)))),
    allowed: "a list of paths, in which `*` stands for any characters, and of names of CDI devices",
    meaning:
      "Devices that tasks may name with `devices` and `cdi_devices`, also if `allow_privileged_binds` is `false`; by default any device if that is `true`, and none otherwise. Devices that Nomad assigned by a `device` block are always allowed.",
    example: 'allow_devices = ["/dev/fuse", "/dev/dri/*", "nvidia.com/gpu=*"]',
  }),
  allow_boot: option({
    ...flag(true),
    meaning: "Whether tasks may boot a system (`boot = true`), or only run single commands.",
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
  log_driver: option({
    type: { kind: "string", values: LOG_DRIVERS },
    schema: v.optional(v.picklist(LOG_DRIVERS), "nomad"),
    meaning:
      "Where the output of tasks goes that set no `log_driver`: to `nomad alloc logs` (`nomad`), to the client's journal instead (`journal`), or to both (`both`).",
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
  slice: option({
    type: { kind: "string" },
    schema: v.optional(v.pipe(text, checked(sliceProblem)), "machine.slice"),
    allowed: 'the name of a slice such as "machine.slice"',
    meaning:
      "The systemd slice that the units of tasks belong to: limits of the slice, set with `systemctl set-property`, apply to all tasks together. Tasks that run already stay in theirs. Without systemd as PID 1 it has no effect.",
    example: 'slice = "nomad-tasks.slice"',
  }),
  pull_timeout: option({ ...duration("10m", 1000), meaning: "How long the download of an image may take." }),
  stop_timeout: option({
    ...duration("30s", 1000),
    meaning:
      "How long a task may take to stop if systemd stops its unit: at a shutdown of the client, or by `systemctl stop`. It gets its stop signal first, and is killed after this time. If Nomad stops a task, its `kill_timeout` applies instead.",
  }),
  storage_limit: option({
    ...sizeLimit,
    meaning:
      'The largest `storage_limit` of tasks, which also applies to tasks without one, where the driver makes the root: for container (OCI) images, and directories and disk images with `ephemeral`, `read_only` or `volatile = "overlay"`. Unlimited by default.',
    example: 'storage_limit = "10GiB"',
  }),
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
  telemetry: option({
    type: { kind: "block", options: telemetryOptions },
    schema: v.optional(v.strictObject(schemasOf(telemetryOptions)), {}),
    meaning: "What the driver reports about itself: metrics, and traces of starts.",
    example: 'telemetry {\n  address = "unix:/run/nomad-nspawn-metrics.sock"\n}',
  }),
};

function devicePatternProblem(pattern: string): string | undefined {
  return pattern.startsWith("/") || pattern === "*" || /^[^/=]+\/[^/=]+=./.test(pattern)
    ? undefined
    : 'it must be an absolute path such as "/dev/dri/*", or a CDI device such as "vendor.com/class=*"';
}

/** Validates a whole plugin config. */
export const pluginSchema = v.strictObject(schemasOf(pluginOptions));

/** The operator's config after validation; durations are in milliseconds. */
export type PluginOptions = Readonly<v.InferOutput<typeof pluginSchema>>;
