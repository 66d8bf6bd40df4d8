import * as v from "valibot";
import { parseCdiName } from "../../cdi/spec";
import { variableNameProblem } from "../../values/names";
import { credentialFileProblem, credentialNameProblem, credentialProblem } from "../credentials";
import { bindSourceProblem, bindTargetProblem, parseDevice, parseOverlay, parseTmpfs } from "../mounts";
import { option } from "../option";
import { choice, stringMap, strings } from "../row-types";
import { absolutePath, checked, parsed, text } from "../validators";

const bindChecks = { name: bindSourceProblem, value: bindTargetProblem };
const BIND_ALLOWED = "a map of host path to absolute path in the container";

/** Files, mounts, devices and environment that the container gets besides its image. */
export const fileOptions = {
  bind: option({
    ...stringMap(bindChecks),
    allowed: BIND_ALLOWED,
    meaning:
      "Files and directories of the host to mount into the container. A relative source is resolved in the task directory. Mount options may follow the target after a colon: `norbind`, `idmap`, `noidmap`, `rootidmap`, `owneridmap`. With user namespaces, owners are mapped to the container's user IDs for relative sources, and for host paths only with `idmap`.",
    nspawn: "--bind=",
    example: 'bind = {\n  "/var/lib/postgresql" = "/postgres"\n}',
  }),
  bind_read_only: option({
    ...stringMap(bindChecks),
    allowed: BIND_ALLOWED,
    meaning: "As `bind`, but read-only.",
    nspawn: "--bind-ro=",
    example: 'bind_read_only = {\n  "/etc/ssl/certs" = "/etc/ssl/certs"\n}',
  }),
  tmpfs: option({
    ...strings(v.pipe(text, parsed(parseTmpfs))),
    allowed: 'a list of "TARGET" or "TARGET:OPTIONS"',
    meaning: "tmpfs file systems to mount; write a colon in the path as `\\:`.",
    nspawn: "--tmpfs=",
    example: 'tmpfs = ["/scratch:size=64M,mode=1777"]',
  }),
  overlay: option({
    ...strings(v.pipe(text, parsed(parseOverlay))),
    allowed: 'a list of "LOWER:UPPER" or "LOWER:UPPER:TARGET"',
    meaning:
      "Overlay mounts of host directories: read-only lower directories, the writable upper directory, the target. If the upper directory is empty (`LOWER::TARGET`), changes are discarded when the task ends. Relative directories are resolved in the task directory; a lower directory with `+` before its path is in the image (`+/var::/var` makes `/var` of a read-only image writable, with `user_namespacing = false`).",
    nspawn: "--overlay=",
    example: 'overlay = ["/srv/base::/srv"]',
  }),
  inaccessible: option({
    ...strings(absolutePath),
    allowed: "a list of absolute paths in the container",
    meaning: "Paths in the container that are made inaccessible.",
    nspawn: "--inaccessible=",
    example: 'inaccessible = ["/proc/kallsyms"]',
    switches: (paths) => paths.map((path) => `--inaccessible=${path}`),
  }),
  environment: option({
    ...stringMap({ name: variableNameProblem }),
    secret: true,
    meaning: "Environment variables of the container's first process; they override those that Nomad sets.",
    nspawn: "--setenv=",
    example: 'environment = {\n  FOO = "bar"\n}',
  }),
  credentials: option({
    ...stringMap({ name: credentialNameProblem, value: credentialProblem }),
    secret: true,
    meaning:
      "Credentials of systemd (`systemd.system-credentials(7)`), as texts: files that a booted system reads at its start, and a command in `$CREDENTIALS_DIRECTORY`, readable by the container's root (docs/configuration.md).",
    nspawn: "--load-credential=",
    example: 'credentials = {\n  "ssh.authorized_keys.root" = "ssh-ed25519 AAAA… ops"\n}',
  }),
  credential_files: option({
    ...stringMap({ name: credentialNameProblem, value: credentialFileProblem }),
    allowed: "a map of name to a path in the task directory",
    meaning: "As `credentials`, with the content of files in the task directory, such as those of a `template` block.",
    nspawn: "--load-credential=",
    example: 'credential_files = {\n  "passwd.hashed-password.root" = "secrets/root.hash"\n}',
  }),
  resolv_conf: option({
    ...choice([
      "off",
      "copy-host",
      "copy-static",
      "copy-uplink",
      "copy-stub",
      "replace-host",
      "replace-static",
      "replace-uplink",
      "replace-stub",
      "bind-host",
      "bind-static",
      "bind-uplink",
      "bind-stub",
      "delete",
      "auto",
    ]),
    meaning: "How the container's `/etc/resolv.conf` is created. Nomad's `dns` block overrides it.",
    nspawn: "--resolv-conf=",
  }),
  devices: option({
    ...strings(v.pipe(text, parsed(parseDevice))),
    allowed: 'a list of "HOST", "HOST:CONTAINER" or "HOST:CONTAINER:PERMISSIONS"',
    meaning:
      "Device nodes of the host to make available, with permissions of `r`, `w` and `m` (all by default). With user namespaces, the node must be accessible to all users.",
    nspawn: "--bind=",
    example: 'devices = ["/dev/fuse", "/dev/net/tun:/dev/net/tun:rw"]',
  }),
  cdi_devices: option({
    ...strings(v.pipe(text, checked(cdiNameProblem))),
    allowed: 'a list of names of CDI devices, "VENDOR/CLASS=NAME"',
    meaning:
      "Devices of the Container Device Interface, with what containers need of them: device nodes, mounts, variables and groups from the specifications in `/etc/cdi` and `/var/run/cdi` of the client (docs/configuration.md).",
    example: 'cdi_devices = ["nvidia.com/gpu=0"]',
  }),
};

function cdiNameProblem(name: string): string | undefined {
  return parseCdiName(name) === undefined
    ? 'it must be the name of a CDI device, such as "nvidia.com/gpu=0"'
    : undefined;
}
