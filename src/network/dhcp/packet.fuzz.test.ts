import { expect, test } from "bun:test";
import { bytesLike, fuzz } from "../../../test/support/fuzz";
import { parseAddress, parseSubnet } from "../../values/ip";
import { begin, clientMessage, parseReply, received } from "./client-state";
import { CLIENT_PORT, datagram, datagramsTo, decodeDhcp, encodeDhcp, SERVER_PORT } from "./packet";
import { answer, parseRequest } from "./server";

const address = parseSubnet("10.213.0.2/30");
const router = parseAddress("10.213.0.1");
if (address === undefined || router === undefined) throw new Error("invalid addresses");
const client = { mac: "02:00:00:00:00:07", transaction: 0xdeadbeef };
const lease = { address, router, resolvers: [router] };
const asks = [begin(undefined).send, begin(address).send].filter((ask) => ask !== undefined);
const requests = asks.map((ask) => clientMessage(client, ask));
const replies = requests.flatMap((bytes) => {
  const request = parseRequest(bytes);
  return request === undefined ? [] : [answer(request, lease)];
});
const good = [...requests, ...replies.filter((bytes) => bytes !== undefined)];

test("the fuzzer's seeds are valid", () => {
  expect(requests).toHaveLength(2);
  expect(good.length).toBeGreaterThan(2);
  expect(good.every((bytes) => decodeDhcp(bytes) !== undefined)).toBe(true);
});

test("DHCP messages are parsed or ignored, by server and client", () => {
  fuzz(
    bytesLike(...good),
    (bytes) => {
      const message = decodeDhcp(bytes);
      if (message !== undefined) encodeDhcp(message);
      const request = parseRequest(bytes);
      if (request !== undefined) answer(request, lease);
      const reply = parseReply(client, bytes);
      if (reply !== undefined) received(begin(undefined).state, reply);
    },
    [],
    5_000,
  );
});

test("IP packets are parsed or ignored", () => {
  const packets = good.flatMap((bytes) => [
    datagram(router, CLIENT_PORT, bytes),
    datagram(undefined, SERVER_PORT, bytes),
  ]);
  fuzz(
    bytesLike(...packets),
    (bytes) => datagramsTo(SERVER_PORT, bytes).concat(datagramsTo(CLIENT_PORT, bytes)),
    [],
    5_000,
  );
});
