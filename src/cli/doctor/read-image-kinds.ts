import { existsSync } from "node:fs";
import { release } from "node:os";
import type { PluginOptions } from "../../config/plugin/options";
import { findDissect } from "../../image/disk/dissect";
import { PolicyError } from "../../image/signature/policy-file";
import { storedBytes } from "../../image/store/size-limit";
import { storePaths } from "../../image/store/store-format";
import { readIfThere } from "../../lib/files";
import { readPolicy, ready } from "../../rootfs/image-approval";
import { emulatedArchitectures } from "../../rootfs/program-platform";
import type { ImageKindFacts, PolicyFact } from "./image-kind-checks";

/** The library that systemd loads when it needs it, and the directories of the distributions' linkers. */
const LIBRARY = "libcryptsetup.so.12";
const LIBRARY_DIRECTORIES = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/** Inspects what kinds of images need; changes nothing. @param store the image store */
export async function readImageKinds(options: PluginOptions | undefined, store: string): Promise<ImageKindFacts> {
  const file = options?.signature_policy;
  const most = options?.gc.image_max_size;
  const paths = storePaths(store);
  return {
    disks: { program: findDissect() !== undefined, loops: existsSync("/dev/loop-control") || hasModule("loop") },
    verity: {
      kernel: existsSync("/sys/module/dm_verity") || hasModule("dm-verity"),
      library: LIBRARY_DIRECTORIES.some((directory) => existsSync(`${directory}/${LIBRARY}`)),
    },
    emulated: emulatedArchitectures(),
    ...(file === undefined ? {} : { policy: await policyFact(file) }),
    ...(most === undefined ? {} : { size: { most, stored: existsSync(paths.layers) ? await storedBytes(paths) : 0 } }),
  };
}

/** Whether a module is built in, or a file that the kernel loads when it is needed. */
function hasModule(name: string): boolean {
  const lists = ["modules.builtin", "modules.dep"].map((list) => `/lib/modules/${release()}/${list}`);
  return lists.some((list) => readIfThere(list)?.includes(`/${name}.ko`) === true);
}

async function policyFact(file: string): Promise<PolicyFact> {
  try {
    const policy = await readPolicy(file);
    const scopes = [
      { name: "the default", requirements: policy.default },
      ...[...policy.transports].flatMap(([transport, each]) =>
        [...each].map(([scope, requirements]) => ({ name: `${transport}:${scope}`, requirements })),
      ),
    ];
    // Reads the keys too.
    for (const { requirements } of scopes) await Promise.all(requirements.map(ready));
    const unsupported = scopes.flatMap(({ name, requirements }) =>
      requirements.flatMap((each) => (each.type === "unsupported" ? [`${name} requires ${each.what}`] : [])),
    );
    return { file, unsupported, scopes: scopes.length };
  } catch (error) {
    if (error instanceof PolicyError) return { file, problem: error.message };
    throw error;
  }
}
