/** The demo's container: started by the binary's `run` command, which speaks the plugin protocol to a second process of the binary. */

import { dim } from "./progress";

/** The container's command: prints where it runs, then counts until it is stopped. */
const script = `
. /etc/os-release
echo "host name   $(hostname)"
echo "system      $PRETTY_NAME on Linux $(uname -r)"
echo "user        $(id -un), who is user $(awk '{ print $2; exit }' /proc/self/uid_map) outside"
ps -o pid,user,comm
trap 'echo "SIGTERM came: good bye"; exit 0' TERM
n=0
while :; do
  n=$((n + 1))
  echo "counting    $n  ($(date +%T))"
  sleep 1
done
`;

/** How long the container is watched. */
const counts = 5;

/** The result of a container. */
export interface ContainerRun {
  /** Exit code of the task. */
  readonly code: number;
  /** Name of the machine. */
  readonly machine: string;
  /** Milliseconds from starting the command until the container's first line. */
  readonly firstLine: number;
  /** Milliseconds from SIGTERM until the command exits. */
  readonly stop: number;
}

/**
 * Starts the container, shows its output, and stops it after some seconds.
 *
 * @param whileRunning is called once, when the container counts
 * @throws Error if it exits before it is stopped
 */
export async function runContainer(
  binary: string,
  image: string,
  whileRunning: (machine: string) => Promise<void>,
): Promise<ContainerRun> {
  const start = performance.now();
  const child = Bun.spawn(
    [binary, "run", image, "--set", "ephemeral=true", "--memory", "64", "--", "/bin/sh", "-c", script],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  // Ctrl-C also reaches the child, which stops its container; this process waits for it.
  const wait = (): void => {};
  process.on("SIGINT", wait);
  let firstLine = 0;
  let stopped = 0;
  let machine = "";
  try {
    for await (const line of lines(child.stdout)) {
      if (firstLine === 0) firstLine = performance.now() - start;
      console.log(`  ${dim("│")} ${line}`);
      machine = /^host name +(\S+)/.exec(line)?.[1] ?? machine;
      const count = /^counting +(\d+)/.exec(line)?.[1];
      if (count === "1") await whileRunning(machine);
      if (count === String(counts)) {
        stopped = performance.now();
        child.kill("SIGTERM");
      }
    }
    const code = await child.exited;
    if (stopped === 0) throw new Error(`The container ended with code ${code} before it was stopped.`);
    return { code, machine, firstLine, stop: performance.now() - stopped };
  } finally {
    child.kill("SIGTERM");
    await child.exited;
    process.off("SIGINT", wait);
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const split = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = split.pop() ?? "";
    yield* split;
  }
  if (rest !== "") yield rest;
}
