import { readFd } from "../../exec/fd-streams";
import { Pace } from "../../host/pace";
import { clientPort, datagram, datagramsTo, serverPort } from "./frame";
import { openPacketSocket, sendPacket } from "./packet-socket";
import { answer, type Lease, parseRequest } from "./server-message";

/** The rate at which requests are read: those of a container that sends without end are lost. */
const limits = { burst: 50, perSecond: 10 } as const;

/**
 * Answers a container's DHCP requests with the address that the driver has assigned: images configure their network in different
 * ways, and all of them support DHCP. The lease is infinite, because the plugin may not be running when it expires. No other host
 * on the link gets an answer.
 *
 * @param index of the host's end of the link, or of the bridge
 * @param mac of the container's end
 * @returns stops answering
 */
export function serveLease(index: number, mac: string, lease: Lease): () => void {
  const fd = openPacketSocket(index, serverPort);
  if (fd === undefined) return () => {};
  const reader = readFd(fd);
  let stopped = false;
  const pace = new Pace(limits);
  const answerAll = (bytes: Uint8Array) => {
    for (const received of datagramsTo(serverPort, bytes)) {
      const request = parseRequest(received);
      const reply = request?.mac === mac ? answer(request, lease) : undefined;
      if (reply !== undefined) sendPacket(fd, index, mac, datagram(lease.router, clientPort, reply));
    }
  };
  const serve = async () => {
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || stopped) return;
      await pace.work(() => answerAll(bytes));
    }
  };
  void serve().catch(() => {
    // The link is gone (ENETDOWN).
  });
  return () => {
    stopped = true;
    void reader.close();
  };
}
