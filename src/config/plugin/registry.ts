import * as v from "valibot";
import { DOCKER_REGISTRY, isRegistryHost, mirrorProblem } from "../../values/image-reference";
import { helperNameProblem } from "../../values/names";
import { option } from "../option";
import { string, strings, stringsMap } from "../row-types";
import { absolutePath, checked, text } from "../validators";

/** Options of the block `auth`. */
export const authOptions = {
  config: option({
    ...string(absolutePath),
    allowed: "the absolute path of a file",
    meaning: "File with registry credentials in the format of Docker's `config.json`.",
  }),
  helper: option({
    ...string(v.pipe(text, checked(helperNameProblem))),
    allowed: 'what follows "docker-credential-" in the name of a credential helper',
    meaning:
      "Credential helper for registries that are not in `config`: the program `docker-credential-NAME` in the agent's `PATH`.",
    example: 'helper = "ecr-login"',
  }),
};

const hostProblem = (host: string) =>
  isRegistryHost(host) ? undefined : 'it must be a host name with or without a port, such as "registry.lan:5000"';
const registryHostText = v.pipe(text, checked(hostProblem));

/** Options of the block `registry`. */
export const registryOptions = {
  default: option({
    type: { kind: "string" },
    schema: v.optional(registryHostText, DOCKER_REGISTRY),
    allowed: "a registry's host, with or without a port",
    meaning: "Default registry, for image names without a host.",
  }),
  ca: option({
    ...string(absolutePath),
    allowed: "the absolute path of a file",
    meaning: "File with CA certificates (PEM) to trust for registries and `image_download`, in addition to the host's.",
    example: 'ca = "/etc/nomad.d/registry-ca.pem"',
  }),
  mirrors: option({
    ...stringsMap({ name: hostProblem, element: mirrorProblem }),
    allowed: "a map of registries' hosts to lists of their mirrors",
    meaning:
      "Mirrors and proxy caches of registries, each a host with a port or a path if needed. They are tried in order before the registry itself, without the job's credentials (docs/images.md).",
    example: 'mirrors = { "docker.io" = ["cache.lan:5000/hub"] }',
  }),
  plain_http: option({
    ...strings(registryHostText),
    allowed: "a list of registries' hosts",
    meaning:
      "Plain-HTTP registries, by their host as written in image names. Registries on this machine (`localhost`, `127.…`) use plain HTTP automatically if they have no TLS.",
    example: 'plain_http = ["registry.lan:5000"]',
  }),
};
