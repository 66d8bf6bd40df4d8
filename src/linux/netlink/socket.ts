import { ptr } from "bun:ffi";
import { closeSync } from "node:fs";
import { AF, SOCK } from "../constants";
import { errnoEntry, lastErrno, libc } from "../ffi";
import { decodeMessages, encodeMessage, type Message } from "./message";

const ADDRESS_SIZE = 12;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** Flags of requests that change or add something. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_CREATE = 0x400;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
/** NLM_F_ROOT | NLM_F_MATCH. */
const NLM_F_DUMP = 0x300;
/** The kernel's answers are at most so long (libnetlink of iproute2). */
const DATAGRAM_SIZE = 32_768;

/** Protocols of netlink sockets (linux/netlink.h). */
export const NETLINK = { route: 0, netfilter: 12 } as const;

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** Such as "EEXIST". */
  readonly code: string;

  constructor(what: string, [code, meaning]: readonly [code: string, meaning: string]) {
    super(`${what}: ${code}: ${meaning}.`);
    this.code = code;
  }
}

/**
 * A netlink socket in the network namespace of the thread that opens it, even if the thread leaves that. The kernel completes
 * a request before send(2) returns, so nothing here blocks.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  /** @param protocol NETLINK_ROUTE and the like (linux/netlink.h) */
  constructor(protocol: number) {
    this.#fd = openSocket(protocol, 0, 0);
  }

  /** Sends a request. @throws NetlinkError, whose message begins with `what` */
  request(what: string, type: number, flags: number, ...body: readonly Uint8Array[]): void {
    this.#exchange(what, type, NLM_F_REQUEST | NLM_F_ACK | flags, body);
  }

  /** Requests a list. @throws NetlinkError, whose message begins with `what` */
  dump(what: string, type: number, ...body: readonly Uint8Array[]): Message[] {
    return this.#exchange(what, type, NLM_F_REQUEST | NLM_F_DUMP, body);
  }

  /**
   * Requests the beginning of a list; this socket cannot be used for another request afterwards.
   *
   * @param most maximum number of entries, except for those that arrive with the last of them
   * @throws NetlinkError, whose message begins with `what`
   */
  dumpSome(most: number, what: string, type: number, ...body: readonly Uint8Array[]): Message[] {
    return this.#exchange(what, type, NLM_F_REQUEST | NLM_F_DUMP, body, most);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #exchange(what: string, type: number, flags: number, body: readonly Uint8Array[], most = Infinity): Message[] {
    this.#sequence += 1;
    const message = encodeMessage({ type, flags, sequence: this.#sequence }, ...body);
    if (libc().send(this.#fd, ptr(message), message.length, 0) < 0) throw new NetlinkError(what, lastErrno());
    const messages: Message[] = [];
    while (messages.length < most) {
      const buffer = Buffer.alloc(DATAGRAM_SIZE);
      const length = Number(libc().recv(this.#fd, ptr(buffer), buffer.length, 0));
      if (length < 0) throw new NetlinkError(what, lastErrno());
      for (const answer of decodeMessages(buffer.subarray(0, length))) {
        if (answer.sequence !== this.#sequence) continue;
        if (answer.type === NLMSG_DONE) return messages;
        if (answer.type === NLMSG_ERROR) {
          const error = -new DataView(answer.body.buffer, answer.body.byteOffset).getInt32(0, true);
          if (error !== 0) throw new NetlinkError(what, errnoEntry(error));
          return messages;
        }
        messages.push(answer);
      }
    }
    return messages;
  }
}

/**
 * A descriptor that receives change notifications of the kernel, in the network namespace of this thread. It does not block, and is
 * owned by the caller.
 *
 * @param groups bits of RTMGRP_* (rtnetlink(7))
 */
export function openEvents(protocol: number, groups: number): number {
  return openSocket(protocol, groups, SOCK.nonblock);
}

function openSocket(protocol: number, groups: number, flags: number): number {
  const fd = libc().socket(AF.netlink, SOCK.raw | SOCK.cloexec | flags, protocol);
  if (fd < 0) throw new NetlinkError("Cannot open a netlink socket", lastErrno());
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF.netlink, 0);
  address.writeUInt32LE(groups, 8);
  if (libc().bind(fd, ptr(address), address.length) < 0) {
    const error = new NetlinkError("Cannot bind a netlink socket", lastErrno());
    closeSync(fd);
    throw error;
  }
  return fd;
}
