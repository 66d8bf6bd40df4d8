import { ptr } from "bun:ffi";
import { chmodSync, closeSync } from "node:fs";
import { AF, SOCK } from "./constants";
import { callError, cString, libc } from "./ffi";

/** More than one message of sd_notify(3) has. */
const MESSAGE_SIZE = 4096;

/**
 * A Unix socket that receives datagrams at a path, which only its owner can send to. It does not block; its creator removes the path.
 * Node's API has no such sockets.
 */
export class DatagramSocket implements Disposable {
  readonly #fd: number;

  /** @throws CallError if the path exists or is too long (unix(7)) */
  constructor(path: string) {
    this.#fd = libc().socket(AF.unix, SOCK.dgram | SOCK.cloexec | SOCK.nonblock, 0);
    if (this.#fd < 0) throw callError("socket");
    const address = Buffer.concat([Buffer.alloc(2), cString(path)]);
    address.writeUInt16LE(AF.unix, 0);
    if (libc().bind(this.#fd, ptr(address), address.length) < 0) {
      const error = callError(`bind to ${path}`);
      closeSync(this.#fd);
      throw error;
    }
    chmodSync(path, 0o600);
  }

  /** The next message that has arrived; undefined if none has. */
  receive(): string | undefined {
    const buffer = Buffer.alloc(MESSAGE_SIZE);
    const length = Number(libc().recv(this.#fd, ptr(buffer), buffer.length, 0));
    return length < 0 ? undefined : buffer.subarray(0, length).toString("utf8");
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
