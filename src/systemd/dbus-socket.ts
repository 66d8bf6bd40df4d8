import { ptr } from "bun:ffi";
import { Duplex } from "node:stream";
import type { Socket } from "bun";
import { gcThrottle } from "../lib/buffers";
import { SOL_SOCKET } from "../linux/constants";
import { callError, libc } from "../linux/ffi";
import { MessageFilter, type SignalHeader } from "./message-filter";

const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** struct msghdr and struct cmsghdr of Linux on 64-bit machines (cmsg(3)). */
const MSGHDR_SIZE = 56;
const CMSGHDR_SIZE = 16;

/** Builds the ancillary data that passes file descriptors (unix(7), SCM_RIGHTS). */
export function rightsMessage(fds: readonly number[]): Buffer {
  const length = CMSGHDR_SIZE + fds.length * 4;
  const control = Buffer.alloc((length + 7) & ~7);
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, CMSGHDR_SIZE + index * 4);
  return control;
}

/**
 * sendmsg(2) with file descriptors.
 *
 * @returns the number of bytes sent, or 0 if the socket's buffer is full
 * @throws Error with the name of the errno otherwise
 */
function sendWithFds(socket: number, data: Buffer, fds: readonly number[]): number {
  const control = rightsMessage(fds);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(BigInt(ptr(data)), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const header = Buffer.alloc(MSGHDR_SIZE);
  header.writeBigUInt64LE(BigInt(ptr(vector)), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(ptr(control)), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const sent = Number(libc().sendmsg(socket, ptr(header), MSG_DONTWAIT | MSG_NOSIGNAL));
  if (sent >= 0) return sent;
  const error = callError("sendmsg");
  if (error.code === "EAGAIN") return 0;
  throw new Error(`cannot send file descriptors over D-Bus: ${error.message}`, { cause: error });
}

/** The descriptor of Bun's socket; the property exists although the type does not declare it. */
function descriptorOf(socket: Socket<undefined>): number {
  if ("fd" in socket && typeof socket.fd === "number" && socket.fd >= 0) return socket.fd;
  throw new Error("cannot pass the log FIFOs to systemd: this runtime exposes no fd of a socket");
}

interface Chunk {
  data: Buffer;
  readonly fds: readonly number[];
  readonly done: (error?: Error | null) => void;
}

/**
 * MiB between two garbage collections; see gcThrottle(). PID 1 sends some twenty KiB about each start and each end of a unit, which become
 * many small values: without this, the plugin took 169 MiB when 300 tasks were removed at once, 147 with one collection every 2 MiB, and 127 to
 * 142 with one every half MiB, which took a sixth of the plugin's CPU time while forty tasks started and ended.
 */
const COLLECT_MIB = 1;

/**
 * A unix stream socket that can send file descriptors, which neither node:net nor Bun's sockets can, with the interface of the
 * D-Bus library: a Duplex with writeWithFds(). The library's own transport of this kind for Bun keeps a worker thread (another
 * JavaScript heap) only to receive descriptors; PID 1 never sends any.
 */
export class FdSocket extends Duplex {
  readonly #socket: Socket<undefined>;
  readonly #queue: Chunk[] = [];

  private constructor(socket: Socket<undefined>) {
    super();
    this.#socket = socket;
  }

  /**
   * Connects to a socket path.
   *
   * @param wanted whether a signal is to be received
   * @throws Error if no process listens there
   */
  static async connect(path: string, wanted: (signal: SignalHeader) => boolean): Promise<FdSocket> {
    const ready = Promise.withResolvers<FdSocket>();
    // If the connection fails, Bun.connect() throws as well; an unhandled rejection would end the process.
    ready.promise.catch(() => {});
    const filter = new MessageFilter(wanted);
    const passed = gcThrottle(COLLECT_MIB);
    await Bun.connect<undefined>({
      unix: path,
      socket: {
        open: (socket) => ready.resolve(new FdSocket(socket)),
        connectError: (_socket, error) => ready.reject(error),
        data: (_socket, data) => {
          passed(data.length);
          const kept = filter.push(data);
          if (kept !== undefined) void ready.promise.then((stream) => stream.push(kept));
        },
        drain: () => void ready.promise.then((stream) => stream.#pump()),
        close: () => void ready.promise.then((stream) => stream.#closed()),
        error: (_socket, error) => void ready.promise.then((stream) => stream.destroy(error)),
      },
    });
    return ready.promise;
  }

  /**
   * Sends a message and the descriptors with its first byte; the caller keeps its own copies open until the response
   * arrives.
   */
  writeWithFds(data: Buffer, fds: readonly number[]): boolean {
    this.#enqueue({ data, fds, done: (error) => error && this.destroy(error) });
    return true;
  }

  override _write(data: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#enqueue({ data, fds: [], done });
  }

  override _read(): void {}

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.terminate();
    for (const chunk of this.#queue.splice(0)) chunk.done(error ?? new Error("the D-Bus connection was closed"));
    done(error);
  }

  #enqueue(chunk: Chunk): void {
    this.#queue.push(chunk);
    if (this.#queue.length === 1) this.#pump();
  }

  #pump(): void {
    for (let chunk = this.#queue[0]; chunk !== undefined; chunk = this.#queue[0]) {
      try {
        const sent = this.#send(chunk);
        if (sent < chunk.data.length) {
          // The rest follows without the descriptors, which were sent with the first byte.
          this.#queue[0] = sent > 0 ? { ...chunk, data: chunk.data.subarray(sent), fds: [] } : chunk;
          // Bun reports a drain only after one of its own writes.
          if (chunk.fds.length > 0) setTimeout(() => this.#pump(), 1);
          return;
        }
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      this.#queue.shift();
      chunk.done();
    }
  }

  #send({ data, fds }: Chunk): number {
    return fds.length > 0 ? sendWithFds(descriptorOf(this.#socket), data, fds) : this.#socket.write(data);
  }

  #closed(): void {
    this.push(null);
    this.destroy();
  }
}
