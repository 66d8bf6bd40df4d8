import { readFd } from "../../exec/fd-streams";
import { datagramsToServer, datagramToClient } from "./frame";
import { answer, type Lease, parseRequest } from "./message";
import { openPacketSocket, sendPacket } from "./packet-socket";

/**
 * Answers a container that asks for its address by DHCP, with the one that the driver has given it: images have their own ways to set
 * a network up, and all of them can do that. The lease is for ever, since a plugin may not be there when it ends. Nobody else
 * on the link gets an answer.
 *
 * @param index of the host's end of the link, or of the bridge
 * @param mac of the container's end
 * @returns stops answering
 */
export function serveLease(index: number, mac: string, lease: Lease): () => void {
  const fd = openPacketSocket(index);
  if (fd === undefined) return () => {};
  const reader = readFd(fd);
  let stopped = false;
  const serve = async () => {
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || stopped) return;
      for (const datagram of datagramsToServer(bytes)) {
        const request = parseRequest(datagram);
        const reply = request?.mac === mac ? answer(request, lease) : undefined;
        if (reply !== undefined) sendPacket(fd, index, mac, datagramToClient(lease.router, reply));
      }
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
