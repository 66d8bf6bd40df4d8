import { MINIMUM_VERSION, NEWEST_VERSION, TESTED_VERSIONS } from "../../nspawn/features";
import type { Finding } from "./finding";
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
  ];
}

function root(facts: HostFacts): Finding {
  return facts.root
    ? { check: "root", level: "ok", text: "Running as root, as the Nomad agent must." }
    : {
        check: "root",
        level: "error",
        text: "Not running as root: containers cannot be started, and some checks are incomplete.",
        fix: "Run the Nomad agent, and this command, as root.",
      };
}

function nspawn({ nspawn: found }: HostFacts): Finding {
  const check = "systemd-nspawn";
  switch (found.kind) {
    case "missing":
      return {
        check,
        level: "error",
        text: "systemd-nspawn is not installed.",
        fix: 'Install it: package "systemd-container" (Debian, Ubuntu, Fedora, RHEL); part of "systemd" on Arch Linux.',
      };
    case "broken":
      return { check, level: "error", text: found.reason, fix: "Reinstall systemd-nspawn." };
    case "found":
      break;
  }
  const named = `${found.path} is version ${found.version}`;
  if (found.version < MINIMUM_VERSION) {
    return {
      check,
      level: "error",
      text: `${named}; the driver needs ${MINIMUM_VERSION} or later.`,
      fix: "Update systemd, or the distribution.",
    };
  }
  const range = `${MINIMUM_VERSION} to ${NEWEST_VERSION}, and tested with ${TESTED_VERSIONS.join(", ")}`;
  if (found.version > NEWEST_VERSION) {
    return {
      check,
      level: "warning",
      text: `${named}; the driver was made for ${range}.`,
      fix: "Check for a newer version of the driver if containers misbehave.",
    };
  }
  return { check, level: "ok", text: `${named}; the driver is made for ${range}.` };
}

function supervisor({ booted, manager }: HostFacts): Finding {
  const check = "supervisor";
  if (!booted) {
    return {
      check,
      level: "ok",
      text: 'systemd is not PID 1: supervisor "process", each task has a shim process. The option properties needs systemd as PID 1.',
    };
  }
  if (manager === "yes") {
    return { check, level: "ok", text: 'systemd is PID 1: supervisor "systemd", each task is a transient service.' };
  }
  return {
    check,
    level: "error",
    text: `systemd is PID 1, but its socket /run/systemd/private ${manager === "missing" ? "is missing" : "refuses connections"}: tasks cannot be started.`,
    fix: 'Run as root; "systemctl daemon-reexec" creates the socket again.',
  };
}

/** Services that only a host with systemd has. */
function services(facts: HostFacts): Finding[] {
  if (!facts.booted) return [];
  const { bus, machined, journald } = facts;
  return [
    bus === "yes"
      ? { check: "dbus", level: "ok", text: "The system bus responds." }
      : {
          check: "dbus",
          level: "warning",
          text: `The system bus (/run/dbus/system_bus_socket) ${bus === "missing" ? "is missing" : "refuses connections"}: containers cannot be registered with systemd-machined.`,
          fix: 'Install the package "dbus" (or "dbus-broker") and start it: systemctl enable --now dbus.socket',
        },
    machined
      ? { check: "machined", level: "ok", text: "systemd-machined is available: machinectl lists the tasks." }
      : {
          check: "machined",
          level: "warning",
          text: "systemd-machined is not available: machinectl does not list the tasks.",
          fix: 'Install the package "systemd-container"; the system bus has to respond too.',
        },
    journald === "yes"
      ? { check: "journald", level: "ok", text: "The journal receives systemd-nspawn's own messages." }
      : {
          check: "journald",
          level: "warning",
          text: "The journal does not respond: if a container fails to start, systemd-nspawn's error message is lost.",
          fix: "systemctl restart systemd-journald",
        },
  ];
}

function userNamespaces({ userNamespaces: most }: HostFacts): Finding {
  const check = "user namespaces";
  if (most === undefined) {
    return {
      check,
      level: "error",
      text: "The kernel has no user namespaces (CONFIG_USER_NS).",
      fix: "Use another kernel, or user_namespacing = false in every task.",
    };
  }
  if (most > 0) return { check, level: "ok", text: "The kernel allows user namespaces." };
  return {
    check,
    level: "error",
    text: "user.max_user_namespaces is 0: containers with user namespaces, the default, cannot start.",
    fix: "sysctl -w user.max_user_namespaces=10000 (and in /etc/sysctl.d), or user_namespacing = false in every task.",
  };
}

function idmappedMounts({ kernel }: HostFacts): Finding {
  const check = "idmapped mounts";
  return isAtLeast(kernel, IDMAP_SINCE)
    ? { check, level: "ok", text: `Linux ${kernel} supports ID-mapped mounts, on file systems that support them.` }
    : {
        check,
        level: "warning",
        text: `Linux ${kernel} has no ID-mapped mounts: systemd-nspawn changes the owner of every file of an image instead.`,
        fix: "Use Linux 5.12 or later, or keep one image per task.",
      };
}

function overlayfs({ overlayfs: available }: HostFacts): Finding {
  const check = "overlayfs";
  return available
    ? { check, level: "ok", text: "The kernel has overlayfs." }
    : {
        check,
        level: "warning",
        text: 'The kernel has no overlayfs: the option overlay and volatile = "overlay" do not work.',
        fix: "Install the kernel module overlay.",
      };
}

function pidfd({ pidfd: available }: HostFacts): Finding {
  const check = "pidfd";
  return available
    ? { check, level: "ok", text: "The kernel has pidfds: signals are sent safely." }
    : {
        check,
        level: "error",
        text: "The kernel has no pidfds (pidfd_open(2)): signals cannot be sent safely.",
        fix: "Use Linux 5.3 or later.",
      };
}

/** What is needed to run a command in a container. */
function exec({ kernel, ownFilters }: HostFacts): Finding {
  const check = "exec";
  if (!isAtLeast(kernel, SETNS_BY_PIDFD_SINCE)) {
    return {
      check,
      level: "warning",
      text: `Linux ${kernel} cannot enter a container's namespaces (setns(2) with a pidfd): nomad alloc exec does not work.`,
      fix: "Use Linux 5.8 or later.",
    };
  }
  return ownFilters === 0
    ? {
        check,
        level: "ok",
        text: "Commands can be run in tasks (nomad alloc exec), with the task's system call filters.",
      }
    : {
        check,
        level: "warning",
        text: "This process runs under a seccomp filter, so the kernel does not let it read a task's filters: commands in tasks run with the agent's filters instead.",
        fix: "Run the Nomad agent without SystemCallFilter= and similar settings.",
      };
}
