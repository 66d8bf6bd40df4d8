import { existsSync } from "node:fs";
import { basename } from "node:path";
import type { DownloadedImages } from "../image/machine/downloaded";
import { ContentVerifier } from "../image/store/content-verify";
import { ImageStore } from "../image/store/image-store";
import { checkIntegrity, listImages, totalBytes } from "../image/store/inventory";
import { verifyLayer } from "../image/store/layer-verify";
import { digestOfName, storePaths } from "../image/store/store-format";
import { fileLock } from "../linux/flock";
import { isRegistered } from "../machine/registry";
import { createLogger } from "../plugin/logger";
import { downloadedImages } from "../rootfs/machine-images";
import { readPluginConfig } from "./agent-config/plugin-config";
import { type Command, parseArguments, type Terminal, UsageError } from "./command";
import { exportStored } from "./export-image";
import { downloadsText, listText, usage, usageText } from "./images-text";
import { pullImages } from "./pull-images";

const VERBS = ["list", "df", "pull", "export", "prune", "verify"] as const;
/** These take names of images. */
const WITH_NAMES: readonly string[] = ["pull", "export"];

/** Maximum number of problems printed per layer; a layer may have one per file. */
const SHOWN_PROBLEMS = 20;

/** `images`: lists, prunes and verifies the store of container (OCI) images. */
export const imagesCommand: Command = {
  name: "images",
  summary: "list, pull, export, prune or verify the images that the driver downloaded to this client",
  usage:
    "[list | df | pull IMAGE… | export IMAGE [-o FILE] | prune | verify] [--config PATH] [--store DIR] [--data] [--json]",
  completes: VERBS,
  help: [
    "list    list the images, the most recently used first: those of registries, then those of image_download",
    "df      the size of each container image: of layers of its own, and of layers that other images have too; and the time",
    "        since its name was last resolved",
    "pull    fetch images into the store, as a task would; unless a task uses one, it is removed after gc.image_delay",
    "export  write a container image as an oci-archive to FILE, or to standard output; its digests are not those of the registry",
    "prune   remove the images that no container uses, without waiting for gc.image_delay; an image of image_download that",
    "        a task could write into is kept",
    "verify  compare the unpacked files of registry images with the records of their unpacking; exit code 1 if anything differs",
    "",
    '  --config PATH  the configuration of the Nomad agent, a file or a directory: the options of its block plugin "nspawn" apply,',
    "                 such as registry { mirrors, ca } and auth for pull, and image_store",
    "  --store DIR    the image store, if the plugin option image_store is set and --config is not",
    "  -o FILE        where export writes to",
    "  --data         with verify: read also the files that fs-verity protects",
    "  --json         print JSON (list, df, pull)",
    "",
    "verify detects bit rot and manual changes: names, owners, modes, times, sizes and checksums of files. It does not detect",
    "changes by an attacker who also rewrote the records, and does not check extended attributes. Files that fs-verity protects",
    "are not read, because the kernel compares them when a task reads them: --data finds damage on the disk before that.",
  ].join("\n"),
  async run(args, terminal) {
    const { values, positionals } = parseArguments(
      args,
      {
        config: { type: "string" },
        store: { type: "string" },
        output: { type: "string", short: "o" },
        data: { type: "boolean" },
        json: { type: "boolean" },
      },
      true,
    );
    const [word = "list", ...more] = positionals;
    const verb = VERBS.find((known) => known === word);
    if (verb === undefined || (more.length > 0 && !WITH_NAMES.includes(verb)))
      throw new UsageError(`Expected one of: ${VERBS.join(", ")}.`);
    const config = readPluginConfig(values.config);
    const directory = values.store ?? config.image_store;
    const options = { ...config, image_store: directory };
    const asJson = values.json === true;
    if (verb === "pull") return await pullImages(more, options, { terminal, asJson });
    const machines = downloadedImages(directory, (path) => openStore(directory, terminal).usesHostImage(path));
    const downloads = await machines.list();
    const exists = existsSync(storePaths(directory).format);
    if (!exists && (downloads.length === 0 || verb === "verify" || verb === "df" || verb === "export")) {
      terminal.err(
        `No image store exists in ${directory}: no image was pulled yet, or the plugin option image_store names another directory.\n`,
      );
      return verb === "list" || verb === "df" ? 0 : 1;
    }
    if (verb === "export") return await exportStored({ names: more, output: values.output }, options, terminal);
    if (verb === "verify") return await verify(directory, values.data === true, terminal);
    if (verb === "prune") return await prune(directory, terminal, machines);
    const images = exists ? await listImages(storePaths(directory)) : [];
    if (verb === "list") {
      const all = { images, machine_images: downloads };
      const text = `${listText(images, Date.now())}${downloadsText(downloads)}`;
      terminal.out(asJson ? json(all) : text === "" ? "No images.\n" : text);
    } else {
      const size = { total: await totalBytes(storePaths(directory)), limit: options.gc.image_max_size };
      terminal.out(asJson ? json(usage(images, size)) : usageText(images, size, Date.now()));
    }
    return 0;
  },
};

function openStore(directory: string, terminal: Terminal): ImageStore {
  const log = createLogger("images", (line) => terminal.err(line));
  return new ImageStore({ directory, log, isOwned: isRegistered });
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

async function prune(directory: string, terminal: Terminal, machines: DownloadedImages): Promise<number> {
  const { removed } = await machines.collect(Date.now());
  if (removed.length > 0) terminal.out(`Removed ${removed.length} images of image_download: ${removed.join(", ")}.\n`);
  if (!existsSync(storePaths(directory).format)) return 0;
  const store = openStore(directory, terminal);
  const before = store.freeBytes();
  const collected = await store.collect(Date.now(), 0);
  if (collected === undefined) {
    terminal.err(
      "An image of this store is being pulled, verified or prepared for a task: nothing was removed. Try again.\n",
    );
    return 1;
  }
  const freed = Math.max(0, store.freeBytes() - before);
  terminal.out(
    `Removed ${collected.images.length} images and ${collected.layers.length} layers; freed ${(freed / 1e6).toFixed(1)} MB.\n`,
  );
  return 0;
}

async function verify(directory: string, readAll: boolean, terminal: Terminal): Promise<number> {
  // The lock keeps the layers from being removed while they are verified.
  using _lock = await fileLock(storePaths(directory).lock, "shared");
  const { problems, layers } = await checkIntegrity(storePaths(directory));
  for (const problem of problems) terminal.out(`${problem}\n`);
  let wrong = problems.length;
  const content = new ContentVerifier(readAll);
  for (const layer of layers) {
    let inLayer = 0;
    for (const problem of verifyLayer(layer, content)) {
      inLayer += 1;
      if (inLayer <= SHOWN_PROBLEMS) {
        terminal.out(`Layer ${digestOfName(basename(layer)) ?? layer}: ${JSON.stringify(problem).slice(1, -1)}.\n`);
      }
    }
    if (inLayer > SHOWN_PROBLEMS) terminal.out(`    and ${inLayer - SHOWN_PROBLEMS} more.\n`);
    wrong += inLayer;
  }
  if (wrong === 0) {
    const unread =
      content.unread === 0 ? "" : ` fs-verity protects ${content.unread} of their files; these were not read (--data).`;
    terminal.out(`All ${layers.length} layers are intact.${unread}\n`);
    return 0;
  }
  terminal.err('To pull damaged images again, stop the tasks that use them and run "images prune".\n');
  return 1;
}
