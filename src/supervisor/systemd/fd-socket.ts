import { dlopen, FFIType, ptr } from "bun:ffi";
import { Duplex } from "node:stream";
import type { Socket } from "bun";
import { errnoSymbol, lastErrno } from "../../host/last-errno";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;
/** struct msghdr and struct cmsghdr of Linux on 64-bit machines (cmsg(3)). */
const MSGHDR_SIZE = 56;
const CMSGHDR_SIZE = 16;

type Libc = ReturnType<typeof openLibc>;
let libc: Libc | undefined;

function openLibc() {
  return dlopen("libc.so.6", {
    sendmsg: { args: [FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i64 },
    ...errnoSymbol,
  }).symbols;
}

/** Builds the ancillary data that hands over file descriptors (unix(7), SCM_RIGHTS). */
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
 * @returns the bytes that were taken, or 0 when the socket's buffer is full
 * @throws Error with the errno otherwise
 */
function sendWithFds(socket: number, data: Buffer, fds: readonly number[]): number {
  libc ??= openLibc();
  const control = rightsMessage(fds);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(BigInt(ptr(data)), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const header = Buffer.alloc(MSGHDR_SIZE);
  header.writeBigUInt64LE(BigInt(ptr(vector)), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(ptr(control)), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const sent = Number(libc.sendmsg(socket, ptr(header), MSG_DONTWAIT | MSG_NOSIGNAL));
  if (sent >= 0) return sent;
  const errno = lastErrno(libc);
  if (errno === EAGAIN) return 0;
  throw new Error(`file descriptors could not be sent over D-Bus: sendmsg failed with errno ${errno}`);
}

/** The descriptor of Bun's socket, which has the property although its types do not tell. */
function descriptorOf(socket: Socket<undefined>): number {
  if ("fd" in socket && typeof socket.fd === "number" && socket.fd >= 0) return socket.fd;
  throw new Error("this runtime does not tell the file descriptor of a socket, so that no log FIFO can be passed on");
}

interface Chunk {
  data: Buffer;
  readonly fds: readonly number[];
  readonly done: (error?: Error | null) => void;
}

/**
 * A unix stream socket that can send file descriptors, which neither node:net nor Bun's sockets do, as the D-Bus library
 * wants it: a Duplex with writeWithFds(). The library's own such transport for Bun keeps a worker thread (another
 * JavaScript heap) only to receive descriptors; PID 1 never sends us any.
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
   * @throws Error when nobody listens there
   */
  static async connect(path: string): Promise<FdSocket> {
    const ready = Promise.withResolvers<FdSocket>();
    await Bun.connect<undefined>({
      unix: path,
      socket: {
        open: (socket) => ready.resolve(new FdSocket(socket)),
        connectError: (_socket, error) => ready.reject(error),
        data: (_socket, data) => void ready.promise.then((stream) => stream.push(Buffer.from(data))),
        drain: () => void ready.promise.then((stream) => stream.#pump()),
        close: () => void ready.promise.then((stream) => stream.#closed()),
        error: (_socket, error) => void ready.promise.then((stream) => stream.destroy(error)),
      },
    });
    return ready.promise;
  }

  /**
   * Sends a message and the descriptors with its first byte; the caller keeps its own copies open until the message is
   * answered.
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
          // What is left follows without the descriptors, which went with the first byte.
          this.#queue[0] = sent > 0 ? { ...chunk, data: chunk.data.subarray(sent), fds: [] } : chunk;
          // Bun tells of a drain only after a write of its own.
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
