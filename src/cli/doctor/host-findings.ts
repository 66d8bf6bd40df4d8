import { MINIMUM_VERSION, NEWEST_VERSION, TESTED_VERSIONS } from "../../nspawn/features";
import type { HostFacts } from "./facts";
import type { Finding } from "./finding";
import { isAtLeast } from "./kernel";

/** Version of Linux whose mounts can map user IDs (mount_setattr(2)). */
const idmapSince = [5, 12] as const;
/** Version of Linux whose setns(2) takes a pidfd. */
const setnsByPidfdSince = [5, 8] as const;

/** Judges everything but the plugin_dir. */
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
    ? { check: "root", level: "ok", text: "This runs as root, as the Nomad agent has to." }
    : {
        check: "root",
        level: "error",
        text: "This does not run as root: containers cannot be started, and some checks see too little.",
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
      fix: "Look for a newer version of the driver if something behaves oddly.",
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
      text: 'systemd is not PID 1: supervisor "process", a small process of the driver stays beside each task. The option properties needs systemd as PID 1.',
    };
  }
  if (manager === "yes") {
    return { check, level: "ok", text: 'systemd is PID 1: supervisor "systemd", each task is a transient service.' };
  }
  return {
    check,
    level: "error",
    text: `systemd is PID 1, but its socket /run/systemd/private ${manager === "missing" ? "is missing" : "refuses connections"}: tasks cannot be started.`,
    fix: 'Run as root; then "systemctl daemon-reexec" makes the socket again.',
  };
}

/** What only a systemd host has. */
function services(facts: HostFacts): Finding[] {
  if (!facts.booted) return [];
  const { bus, machined, journald } = facts;
  return [
    bus === "yes"
      ? { check: "dbus", level: "ok", text: "The system bus answers." }
      : {
          check: "dbus",
          level: "warning",
          text: `The system bus (/run/dbus/system_bus_socket) ${bus === "missing" ? "is missing" : "refuses connections"}: containers cannot be registered with systemd-machined.`,
          fix: 'Install the package "dbus" (or "dbus-broker") and start it: systemctl enable --now dbus.socket',
        },
    machined
      ? { check: "machined", level: "ok", text: "systemd-machined is there: machinectl lists the tasks." }
      : {
          check: "machined",
          level: "warning",
          text: "systemd-machined is not there: machinectl does not list the tasks.",
          fix: 'Install the package "systemd-container"; the system bus has to answer too.',
        },
    journald === "yes"
      ? { check: "journald", level: "ok", text: "The journal takes systemd-nspawn's own messages." }
      : {
          check: "journald",
          level: "warning",
          text: "The journal does not answer: when a container does not start, systemd-nspawn's reason is lost.",
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
  return isAtLeast(kernel, idmapSince)
    ? { check, level: "ok", text: `Linux ${kernel} can map user IDs of a mount, where the file system can.` }
    : {
        check,
        level: "warning",
        text: `Linux ${kernel} cannot map user IDs of a mount: systemd-nspawn changes the owner of every file of an image instead.`,
        fix: "Use Linux 5.12 or later, or keep one image per task.",
      };
}

function overlayfs({ overlayfs: there }: HostFacts): Finding {
  const check = "overlayfs";
  return there
    ? { check, level: "ok", text: "The kernel has overlayfs." }
    : {
        check,
        level: "warning",
        text: 'The kernel has no overlayfs: the option overlay and volatile = "overlay" do not work.',
        fix: "Install the kernel's module overlay.",
      };
}

function pidfd({ pidfd: there }: HostFacts): Finding {
  const check = "pidfd";
  return there
    ? { check, level: "ok", text: "The kernel has pidfds: signals reach the right process." }
    : {
        check,
        level: "error",
        text: "The kernel has no pidfds (pidfd_open(2)): signals cannot be sent safely.",
        fix: "Use Linux 5.3 or later.",
      };
}

/** What entering a container needs beside its namespaces. */
function exec({ kernel, ownFilters }: HostFacts): Finding {
  const check = "exec";
  if (!isAtLeast(kernel, setnsByPidfdSince)) {
    return {
      check,
      level: "warning",
      text: `Linux ${kernel} cannot join a container by its process (setns(2) with a pidfd): nomad alloc exec does not work.`,
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
        text: "This process has system call filters of its own, so that the kernel does not tell it a task's: a command that is run in a task has the agent's instead.",
        fix: "Run the Nomad agent without SystemCallFilter= and the like.",
      };
}
