import * as v from "valibot";
import { parseAddress } from "../values/ip";
import { strings } from "./row-types";
import { checked, text } from "./validators";

/** A list of name servers, of a task or of a client. An address with a zone belongs to one of the host's links. */
export const dnsServers = {
  ...strings(
    v.pipe(
      text,
      checked((server: string) =>
        parseAddress(server) === undefined ? "it must be an IPv4 or IPv6 address" : undefined,
      ),
    ),
  ),
  allowed: "a list of IPv4 or IPv6 addresses",
} as const;
