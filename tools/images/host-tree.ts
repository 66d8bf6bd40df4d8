/** The Debian trees that test hosts boot, one for each tested systemd. */

import { bootFiles, type DebianTree, idleUnits } from "./debian";

/** Debian suites of test hosts, with their systemd: bookworm 252, trixie 257, sid the newest. */
export const hostSuites = ["bookworm", "trixie", "sid"] as const;

/** One of hostSuites. */
export type HostSuite = (typeof hostSuites)[number];

/** Whether a text names a suite of test hosts. */
export function isHostSuite(text: string): text is HostSuite {
  return hostSuites.some((suite) => suite === text);
}

/** udevd does not start in a container, where /sys is read-only; systemd-nspawn needs it for image files. */
const udevAnyway = Object.fromEntries(
  ["systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"].map((unit) => [
    `etc/systemd/system/${unit}.d/test-host.conf`,
    "[Unit]\nConditionPathIsReadWrite=\n",
  ]),
);

const packages = [
  "systemd",
  "systemd-sysv",
  "systemd-container",
  "busybox-static",
  "containernetworking-plugins",
  "dbus",
  "iproute2",
  "iptables",
  "nftables",
  "procps",
  "udev",
  "e2fsprogs",
  "fdisk",
] as const;

/** The registry, and the tools that build images, for tests with registry images and downloads. */
const imagePackages = ["docker-registry", "skopeo", "umoci", "gnupg", "openssl", "xz-utils", "bzip2", "zstd"] as const;

/** Reports the end and the result of the boot through a FIFO that the test harness reads. */
const reportsBoot = {
  files: {
    "etc/systemd/system/test-host-ready.service": [
      "[Unit]",
      "Description=Tell the test harness that this host is up",
      "ConditionPathExists=/run/test-host/ready",
      "[Service]",
      "Type=exec",
      "ExecStart=/bin/sh -c 'systemctl is-system-running --wait > /run/test-host/ready || :'",
      "",
    ].join("\n"),
  },
  links: {
    "etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target",
    "etc/systemd/system/multi-user.target.wants/test-host-ready.service": "/etc/systemd/system/test-host-ready.service",
  },
} as const;

/** Release files of sid expire after a week; this keeps a mirror usable that is no longer updated. */
const mirrorOf = (suite: HostSuite) => (suite === "sid" ? { anyAge: true } : {});

/** The tree of a suite's test host. */
export function testHostTree(suite: HostSuite): DebianTree {
  return {
    suite,
    variant: "minbase",
    packages: [...packages, ...imagePackages],
    // The devices belong to the machine around it, and must not be set up again.
    masked: [
      ...idleUnits,
      "systemd-modules-load.service",
      "systemd-udev-trigger.service",
      // Tests start registries of their own; this one needs a network.
      "docker-registry.service",
    ],
    files: { ...bootFiles, ...udevAnyway, ...reportsBoot.files },
    links: reportsBoot.links,
    ...mirrorOf(suite),
  };
}

/**
 * The tree of a host on which nothing is installed: Debian's smallest system with systemd, and the packages that docs/install.md asks for
 * ready to be installed without a network.
 *
 * @param atHand what the page installs
 */
export function bareHostTree(suite: HostSuite, atHand: readonly string[]): DebianTree {
  return {
    suite,
    variant: "minbase",
    packages: ["systemd", "systemd-sysv"],
    masked: [...idleUnits, "systemd-modules-load.service", "systemd-udev-trigger.service"],
    files: { ...bootFiles, ...reportsBoot.files },
    links: reportsBoot.links,
    atHand,
    ...mirrorOf(suite),
  };
}

/** The name of a suite's image in the cache: trixie's is plain "host". */
export function hostImageName(suite: HostSuite): string {
  return suite === "trixie" ? "host" : `host-${suite}`;
}
