/** A virtual machine for tests: a Debian whose systemd has pure cgroup v2 with every controller, on any Linux, without KVM. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { projectRoot } from "../build/project";
import { type VmImage, vmImage, vmPort, vmWork } from "../images/vm";
import { inScope } from "../scope";
import { PROCESSOR_SCALE_VARIABLE, TIMEOUT_SCALE_VARIABLE } from "../timeout-scale";
import type { TestMachine } from "./test-machine";
import { forEachMessage, toLine, vmReply } from "./vm-channel";
import { type Commands, openCommands } from "./vm-commands";
import { makeWorkDisk } from "./vm-disk";

/** Seconds a boot may take before the start counts as failed; it takes about twenty on two quiet cores. */
const bootSeconds = 480;

/**
 * A kernel panic ends QEMU, so that no test waits for a machine that is stuck. On a busy host udev can take more than the 90 seconds that
 * systemd gives a device by default.
 */
const kernelCommand =
  "root=/dev/nvme0n1 rw console=ttyS0 quiet mitigations=off oops=panic panic=-1 systemd.default_device_timeout_sec=400";

/** How many times slower the machine is than this one, roughly: all its instructions are translated. */
const pace = 10;

/** For every command. Tests finish before bun's optimizing compiler pays off, whose code QEMU would have to translate again. */
const environment = {
  [TIMEOUT_SCALE_VARIABLE]: String(pace),
  [PROCESSOR_SCALE_VARIABLE]: String(pace),
  BUN_JSC_useDFGJIT: "0",
};

/** A booted virtual machine. */
export interface TestVm extends TestMachine {
  /** PID of QEMU. */
  readonly pid: number;
}

/**
 * Boots a machine. It contains the repository, with the build, at the same path, read-only, the test images in their cache,
 * and `bun` on the PATH. It has no network, and changes inside are discarded. It dies with this process.
 *
 * @throws Error with the end of the console output if the boot fails
 */
export async function startVm(say: (line: string) => void = () => {}): Promise<TestVm> {
  const image = await vmImage(say);
  await using made = new AsyncDisposableStack();
  const directory = await mkdtemp("/var/tmp/nspawn-test-vm-");
  made.defer(() => rm(directory, { recursive: true, force: true }));
  const work = await makeWorkDisk(directory);
  const console = join(directory, "console");
  const qemu = Bun.spawn(
    ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuArguments(image, work, console)],
    // QEMU keeps what is written to the first disk in an unlinked file here.
    { env: { ...process.env, TMPDIR: directory }, stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  made.defer(async () => {
    qemu.kill("SIGKILL");
    await qemu.exited;
  });
  const commands = openCommands((request) => {
    qemu.stdin.write(toLine(request));
    qemu.stdin.flush();
  });
  const { promise: ready, resolve: gotReady } = Promise.withResolvers<string>();
  const talk = forEachMessage(qemu.stdout, (message) => {
    const reply = v.parse(vmReply, message);
    if (reply.kind === "ready") gotReady(reply.state);
    else commands.take(reply);
  });
  const complaints = new Response(qemu.stderr).text();
  // Never resolves, but rejects when the machine no longer exists.
  const gone = Promise.all([talk, qemu.exited]).then(async ([, code]): Promise<never> => {
    const error = new Error(
      `The virtual machine ended with exit code ${code}:\n${await complaints}${await tail(console)}`,
    );
    commands.abandon(error);
    throw error;
  });
  gone.catch(() => {});
  const timer = setTimeout(() => gotReady(""), bootSeconds * 1000);
  const state = await Promise.race([ready, gone]).finally(() => clearTimeout(timer));
  if (state === "") throw new Error(`The virtual machine was not up after ${bootSeconds} s:\n${await tail(console)}`);
  const share = { inside: "/run/test-vm" } as const;
  await prepare(commands, share.inside);
  const kept = made.move();
  const stop = () => kept.disposeAsync();
  return {
    pid: qemu.pid,
    share,
    state,
    exec: (argv, options = {}) => commands.run(inScope(argv, { ...environment, ...options.env }), options),
    read: async (path) => {
      const { code, stdout } = await commands.run(["cat", path]);
      return code === 0 ? stdout : undefined;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function qemuArguments({ disk, kernel }: VmImage, work: string, console: string): string[] {
  return [
    ...["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-net", "none"],
    // Five-level page tables and virtual machines within this one only cost time.
    // One thread for both CPUs: with one for each, QEMU 7.2 may run an instruction that the kernel has patched on the other
    // CPU a moment ago, and the kernel dies (seen as "Oops: int3" where a first CPU quota switches code on).
    ...["-accel", "tcg,thread=single", "-cpu", "max,la57=off,svm=off", "-smp", "2", "-m", "2048"],
    ...["-kernel", kernel, "-append", kernelCommand],
    ...["-drive", `file=${escapeValue(disk)},if=none,id=root,format=raw,snapshot=on`],
    ...["-device", "nvme,drive=root,serial=root"],
    ...["-drive", `file=${escapeValue(work)},if=none,id=work,format=raw,readonly=on`],
    ...["-device", "virtio-blk-pci,drive=work"],
    ...["-device", "virtio-serial-pci", "-chardev", "stdio,id=agent,signal=off"],
    ...["-device", `virtserialport,chardev=agent,name=${vmPort}`],
    ...["-chardev", `file,id=console,path=${escapeValue(console)}`, "-serial", "chardev:console"],
  ];
}

/** A comma separates the parts of QEMU's arguments. */
function escapeValue(path: string): string {
  return path.replaceAll(",", ",,");
}

async function prepare(commands: Commands, share: string): Promise<void> {
  for (const argv of [
    ["mkdir", "--parents", share, projectRoot],
    ["mount", "--bind", `${vmWork.mountPoint}/repository`, projectRoot],
  ]) {
    const { code, stderr } = await commands.run(argv);
    if (code !== 0) throw new Error(`'${argv.join(" ")}' in the virtual machine ended with ${code}:\n${stderr}`);
  }
}

async function tail(file: string): Promise<string> {
  return (await readFile(file, "utf8").catch(() => "")).trim().slice(-4000);
}
