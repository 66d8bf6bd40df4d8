/** The Go programs of the tests: a Nomad agent, Nomad's own driver tests, and a client of the plugin's wire protocol. */

import { join } from "node:path";
import { projectRoot } from "../build/project";
import { goProgram } from "./go-program";

type Say = (line: string) => void;

/** The module of Nomad 1.6.1, the last version under an open-source licence. */
const nomadModule = join(projectRoot, "test/nomad/agent-module");

/** Path of a nomad executable; built on first use, which takes some minutes. */
export function nomadAgent(say?: Say): Promise<string> {
  // Needs cgo, because libcontainer's nsenter, which the exec driver uses, is written in C.
  return goProgram(
    { name: "nomad", module: nomadModule, package: "github.com/hashicorp/nomad", kind: "build", cgo: true },
    say,
  );
}

/** Path of the executable of Nomad's driver tests, applied to this driver (test/nomad/agent-module/conformance). */
export function conformanceTests(say?: Say): Promise<string> {
  return goProgram(
    { name: "conformance", module: nomadModule, package: "./conformance", kind: "test", cgo: true },
    say,
  );
}

/** Path of the client with go-plugin and grpc-go, in the versions of current agents (test/wire/client). */
export function wireClient(say?: Say): Promise<string> {
  const module = join(projectRoot, "test/wire/client");
  return goProgram({ name: "wireclient", module, package: "./", kind: "build", cgo: false }, say);
}
