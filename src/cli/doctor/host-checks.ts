import { MINIMUM_VERSION, NEWEST_VERSION, TESTED_VERSIONS } from "../../nspawn/features";
import { about, type Finding } from "./finding";
import { type HostFacts, isAtLeast } from "./host-facts";

/** First version of Linux with ID-mapped mounts (mount_setattr(2)). */
const IDMAP_SINCE = [5, 12] as const;
/** First version of Linux whose setns(2) accepts a pidfd. */
const SETNS_BY_PIDFD_SINCE = [5, 8] as const;

/** Evaluates everything but control groups, image store, downloads, network and plugin_dir. */
export function hostFindings(facts: HostFacts): Finding[] {
  return [
    root(facts),
    nspawn(facts),
    supervisor(facts),
    ...services(facts),
    userNamespaces(facts),
    idmappedMounts(facts),
    overlayfs(facts),
    pidfd(facts),
    exec(facts),
    labels(facts),
    ...cdi(facts),
  ];
}

function root(facts: HostFacts): Finding {
  return facts.root
    ? about("root").ok("Running as root, as the Nomad agent must.")
    : about("root").error(
        "Not running as root: containers cannot be started, and some checks are incomplete.",
        "Run the Nomad agent, and this command, as root.",
      );
}

function nspawn({ nspawn: found }: HostFacts): Finding {
  const report = about("systemd-nspawn");
  switch (found.kind) {
    case "missing":
      return report.error(
        "systemd-nspawn is not installed.",
        'Install it: package "systemd-container" (Debian, Ubuntu, Fedora, RHEL); part of "systemd" on Arch Linux.',
      );
    case "broken":
      return report.error(found.reason, "Reinstall systemd-nspawn.");
    case "found":
      break;
  }
  const named = `${found.path} is version ${found.version}`;
  if (found.version < MINIMUM_VERSION) {
    return report.error(
      `${named}; the driver needs ${MINIMUM_VERSION} or later.`,
      "Update systemd, or the distribution.",
    );
  }
  const range = `${MINIMUM_VERSION} to ${NEWEST_VERSION}, and tested with ${TESTED_VERSIONS.join(", ")}`;
  if (found.version > NEWEST_VERSION) {
    return report.warning(
      `${named}; the driver was made for ${range}.`,
      "Check for a newer version of the driver if containers misbehave.",
    );
  }
  return report.ok(`${named}; the driver is made for ${range}.`);
}

function supervisor({ booted, manager }: HostFacts): Finding {
  const report = about("supervisor");
  if (!booted) {
    return report.ok(
      'systemd is not PID 1: supervisor "process", each task has a shim process. The option properties needs systemd as PID 1.',
    );
  }
  if (manager === "yes") return report.ok('systemd is PID 1: supervisor "systemd", each task is a transient service.');
  return report.error(
    `systemd is PID 1, but its socket /run/systemd/private ${manager === "missing" ? "is missing" : "refuses connections"}: tasks cannot be started.`,
    'Run as root; "systemctl daemon-reexec" creates the socket again.',
  );
}

/** Services that only a host with systemd has. */
function services(facts: HostFacts): Finding[] {
  if (!facts.booted) return [];
  const { bus, machined, journald } = facts;
  return [
    bus === "yes"
      ? about("dbus").ok("The system bus responds.")
      : about("dbus").warning(
          `The system bus (/run/dbus/system_bus_socket) ${bus === "missing" ? "is missing" : "refuses connections"}: containers cannot be registered with systemd-machined.`,
          'Start it; without it, install the package "dbus" (or "dbus-broker") first.',
          ["systemctl enable --now dbus.socket"],
        ),
    machined
      ? about("machined").ok("systemd-machined is available: machinectl lists the tasks.")
      : about("machined").warning(
          "systemd-machined is not available: machinectl does not list the tasks.",
          'Install the package "systemd-container"; the system bus has to respond too.',
        ),
    journald === "yes"
      ? about("journald").ok("The journal receives systemd-nspawn's own messages.")
      : about("journald").warning(
          "The journal does not respond: if a container fails to start, systemd-nspawn's error message is lost.",
          "Start it again.",
          ["systemctl restart systemd-journald.socket systemd-journald.service"],
        ),
  ];
}

function userNamespaces({ userNamespaces: most }: HostFacts): Finding {
  const report = about("user namespaces");
  if (most === undefined) {
    return report.error(
      "The kernel has no user namespaces (CONFIG_USER_NS).",
      "Use another kernel, or user_namespacing = false in every task.",
    );
  }
  if (most > 0) return report.ok("The kernel allows user namespaces.");
  return report.error(
    "user.max_user_namespaces is 0: containers with user namespaces, the default, cannot start.",
    "Set a limit, also in /etc/sysctl.d; or user_namespacing = false in every task.",
    ["sysctl -w user.max_user_namespaces=10000"],
  );
}

function idmappedMounts({ kernel }: HostFacts): Finding {
  const report = about("idmapped mounts");
  return isAtLeast(kernel, IDMAP_SINCE)
    ? report.ok(`Linux ${kernel} supports ID-mapped mounts, on file systems that support them.`)
    : report.warning(
        `Linux ${kernel} has no ID-mapped mounts: systemd-nspawn changes the owner of every file of an image instead.`,
        "Use Linux 5.12 or later, or keep one image per task.",
      );
}

function overlayfs({ overlayfs: available }: HostFacts): Finding {
  const report = about("overlayfs");
  return available
    ? report.ok("The kernel has overlayfs.")
    : report.warning(
        'The kernel has no overlayfs: the option overlay and volatile = "overlay" do not work, and ephemeral = true copies a directory.',
        "Install the kernel module overlay.",
      );
}

function pidfd({ pidfd: available }: HostFacts): Finding {
  const report = about("pidfd");
  return available
    ? report.ok("The kernel has pidfds: signals are sent safely.")
    : report.error(
        "The kernel has no pidfds (pidfd_open(2)): signals cannot be sent safely.",
        "Use Linux 5.3 or later.",
      );
}

/** What is needed to run a command in a container. */
function exec({ kernel, ownFilters }: HostFacts): Finding {
  const report = about("exec");
  if (!isAtLeast(kernel, SETNS_BY_PIDFD_SINCE)) {
    return report.warning(
      `Linux ${kernel} cannot enter a container's namespaces (setns(2) with a pidfd): nomad alloc exec does not work.`,
      "Use Linux 5.8 or later.",
    );
  }
  return ownFilters === 0
    ? report.ok("Commands can be run in tasks (nomad alloc exec), with the task's system call filters.")
    : report.warning(
        "This process runs under a seccomp filter, so the kernel does not let it read a task's filters: commands in tasks run with the agent's filters instead.",
        "Run the Nomad agent without SystemCallFilter= and similar settings.",
      );
}

function labels({ labels: { selinux, apparmor } }: HostFacts): Finding {
  const report = about("security modules");
  const used = [
    ...(selinux ? ["SELinux (selinux_context)"] : []),
    ...(apparmor ? ["AppArmor (apparmor_profile)"] : []),
  ];
  return report.ok(
    used.length === 0
      ? "The kernel uses neither SELinux nor AppArmor: tasks with selinux_context or apparmor_profile are refused."
      : `The kernel uses ${used.join(" and ")}.`,
  );
}

function cdi({ cdi: files }: HostFacts): Finding[] {
  const report = about("cdi");
  const kinds = files.flatMap(({ spec }) =>
    typeof spec === "string" ? [] : [`${spec.kind} (${spec.devices.length})`],
  );
  const broken = files.flatMap(({ path, spec }) => (typeof spec === "string" ? [{ path, spec }] : []));
  return [
    report.ok(
      kinds.length === 0
        ? "No CDI devices: /etc/cdi and /var/run/cdi have no specification, which cdi_devices and GPUs of Nomad's nvidia plugin need."
        : `CDI devices, by kind: ${kinds.join(", ")}.`,
    ),
    ...broken.map(({ path, spec }) =>
      report.warning(
        `The CDI specification ${path} cannot be used: ${spec}.`,
        "Write it again with the program of the devices' vendor, as root, with mode 0644.",
      ),
    ),
  ];
}
