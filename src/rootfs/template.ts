import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { TaskOptions } from "../config/task/options";
import { refuseFullDisk } from "../image/machine/free-space";
import { MADE } from "../image/machine/pool";
import { type Fetch, provideMachineImage } from "../image/machine/provide";
import type { DownloadContext } from "../image/machine/request";
import { ConfigError, StoreError } from "../lib/errors";
import { findProgram } from "../linux/programs";
import { isMachineName, isOnHost, requireAllowed, resolveImage } from "./resolve-image";

/** Where a root that was made from a template is found, and where downloads have their locks. */
interface TemplateContext extends Pick<DownloadContext, "directory" | "locks" | "keepFree" | "signal"> {
  readonly pluginDir: string;
  readonly imagePaths: readonly string[];
}

/** @throws ConfigError if the image of a task with a template cannot be made in the directory of machine images */
export function refuseTemplatePlace({ image, template }: Pick<TaskOptions, "image" | "template">): void {
  if (template === undefined || isMachineName(image)) return;
  throw new ConfigError(
    `Option template needs an image that is a name, such as image = "web-1", and not ${JSON.stringify(image.slice(0, 120))}: it is made in /var/lib/machines under this name.`,
  );
}

/**
 * Makes the image of a task from its template, unless an image of that name exists. From then on it is the operator's: the driver never
 * removes it. Of several tasks that start at once, one makes it.
 *
 * @returns whether it was made
 * @throws ConfigError, ImageError, StoreError
 */
export async function provideFromTemplate(
  { image: name, template }: Pick<TaskOptions, "image" | "template">,
  context: TemplateContext,
): Promise<boolean> {
  const { directory, pluginDir, imagePaths } = context;
  if (template === undefined || (await isOnHost(name, { pluginDir }))) return false;
  await requireAllowed(name, join(directory, name), imagePaths);
  const place = await resolveImage(template, { pluginDir, imagePaths });
  if (place.kind !== "directory") {
    throw new ConfigError(`Option template = ${JSON.stringify(template)} is ${place.path}, which is not a directory.`);
  }
  const image = { name, url: pathToFileURL(place.path), type: "tar", verify: "no", force: false } as const;
  return provideMachineImage(image, context, copyOf(place.path, context));
}

/** Copies a directory with owners, modes, attributes and hard links, sharing the blocks of files where the file system can. */
function copyOf(source: string, { directory, keepFree, signal }: TemplateContext): Fetch {
  return async (_image, scratch) => {
    await refuseFullDisk({ directory, keepFree });
    const cp = findProgram("cp");
    if (cp === undefined) throw new StoreError("The program cp is not installed.", { recoverable: false });
    const child = Bun.spawn(
      [cp, "--archive", "--reflink=auto", "--one-file-system", "--", source, join(scratch, MADE)],
      {
        env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
        signal,
        killSignal: "SIGKILL",
      },
    );
    const [code, complaint] = await Promise.all([child.exited, child.stderr.text()]);
    if (code === 0) return;
    signal.throwIfAborted();
    throw new StoreError(`The template ${source} cannot be copied: ${complaint.trim().slice(0, 300)}.`, {
      recoverable: true,
    });
  };
}
