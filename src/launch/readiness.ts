import { pollUntil } from "../lib/deadline";
import { errorText } from "../lib/errors";
import { DatagramSocket } from "../linux/datagram-socket";
import type { PayloadMode } from "../nspawn/payload";
import type { Rootfs } from "../rootfs/rootfs";
import { type Container, LaunchError } from "../supervisor/supervisor";
import { namespaced } from "../values/private-users";
import { unfinishedUnits, unitNames } from "./system-state";

/** Bun has no event for a datagram; a receive that finds none takes microseconds. */
const PACE = { firstMs: 4, longestMs: 20 };
/** After this time an event says what the start waits for. */
const SLOW_MS = 10_000;

/** Whether a message of sd_notify(3) says that the sender is ready. */
export function saysReady(message: string): boolean {
  return message.split("\n").includes("READY=1");
}

/** Why a container is not ready in time. `units`: what its systemd still starts; undefined if it did not say. */
export function notReadyNote(
  mode: PayloadMode,
  machine: string,
  timeoutMs: number,
  units: readonly string[] | undefined,
): string {
  const limit = `within ${timeoutMs / 1000} s (option ready_timeout)`;
  if (mode !== "boot") {
    return `The program of container ${machine} did not report ${limit} that it is ready: with notify_ready = true it has to send READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3)).`;
  }
  const why =
    units === undefined || units.length === 0
      ? "with notify_ready = true its init has to send READY=1 to the socket in NOTIFY_SOCKET, as systemd does"
      : `its systemd was still starting ${unitNames(units)}`;
  return `The system in container ${machine} was not up ${limit}: ${why}.`;
}

/** How to wait for a container. */
interface ReadyWait {
  /** Milliseconds. */
  readonly timeout: number;
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal;
  /** Gets a sentence about a long wait. */
  readonly onSlow: (sentence: string) => void;
}

/**
 * Receives what systemd-nspawn reports of a container's start: with --notify-ready=yes it passes READY=1 on from PID 1 of the container to
 * its own NOTIFY_SOCKET (nspawn.c, nspawn_dispatch_notify_fd()). The unit has no such socket of PID 1's, because on STOPPING=1 systemd
 * would drop the unit with the exit status.
 */
export class ReadySocket implements Disposable {
  readonly #socket: DatagramSocket;

  /** @param path of the socket, which is removed with the machine's files. @throws LaunchError */
  constructor(readonly path: string) {
    try {
      this.#socket = new DatagramSocket(path);
    } catch (error) {
      throw new LaunchError(`Cannot make the socket ${path} for notify_ready: ${errorText(error)}.`, {
        recoverable: true,
        cause: error,
      });
    }
  }

  /** Waits until the container is ready or has exited. @throws LaunchError after the timeout; the signal's reason */
  async wait(container: Container, { timeout, signal, onSlow }: ReadyWait): Promise<void> {
    const { machine, mode } = container.ref;
    let exited = false;
    container.exit.then(() => {
      exited = true;
    });
    const what = mode === "boot" ? "the system in the container to be up" : "the program to report that it is ready";
    const slow = setTimeout(
      () => onSlow(`The start waits for ${what} (notify_ready), at most ${timeout / 1000} s (ready_timeout)`),
      SLOW_MS,
    );
    try {
      const over = () => exited || this.#received() || undefined;
      if ((await pollUntil(over, { ...PACE, signal, timeoutMs: timeout })) !== undefined) return;
    } finally {
      clearTimeout(slow);
    }
    const units = mode === "boot" ? await unfinishedUnits(container) : undefined;
    throw new LaunchError(notReadyNote(mode, machine, timeout, units), { recoverable: true });
  }

  #received(): boolean {
    for (let message = this.#socket.receive(); message !== undefined; message = this.#socket.receive()) {
      if (saysReady(message)) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/**
 * What may keep systemd-nspawn busy before it starts a container's program, as the end of a sentence: only what takes longer with a larger
 * image, or waits for another host (run() and outer_child() of nspawn.c).
 */
export function preparationNote({ image, options }: Pick<Rootfs, "image" | "options">): string {
  const { ephemeral, private_users_ownership: ownership = "auto" } = options;
  const works = [
    ...(ephemeral ? ["copying the image (ephemeral = true)"] : []),
    ...(namespaced(options) && (ownership === "chown" || ownership === "auto")
      ? ["changing the owners of the image's files (user_namespacing, private_users_ownership)"]
      : []),
    ...(image.kind !== "directory" ? ["checking and mounting the disk image"] : []),
  ];
  return works.length === 0 ? "making its mounts" : works.join(", or ");
}
