import { DatagramSocket } from "../linux/datagram-socket";

/**
 * systemd-nspawn's own message that its container runs: it sends "STATUS=Container running." to its NOTIFY_SOCKET (sd_notify(3)) when the
 * container's PID 1 is about to execute its program (run_container() of nspawn.c, all supported versions). It is a hint of when to look at
 * the processes, which costs far more than to ask this socket.
 */
export class StartNotice implements Disposable {
  #socket: DatagramSocket | undefined;

  private constructor(
    readonly path: string,
    socket: DatagramSocket,
  ) {
    this.#socket = socket;
  }

  /** @param path of the socket, which the caller removes. @returns undefined if it cannot be made: then nothing announces the start */
  static open(path: string): StartNotice | undefined {
    try {
      return new StartNotice(path, new DatagramSocket(path));
    } catch {
      return undefined;
    }
  }

  /** Whether systemd-nspawn has sent something, or cannot any more because the socket is closed. It is closed then, as no other message is read. */
  arrived(): boolean {
    if (this.#socket?.receive() !== undefined) this[Symbol.dispose]();
    return this.#socket === undefined;
  }

  /** Closes the socket; further messages are refused, which systemd-nspawn ignores. */
  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }
}
