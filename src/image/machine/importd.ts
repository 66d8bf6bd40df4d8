import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { aborted } from "../../lib/deadline";
import { errorText } from "../../lib/errors";
import { abortError } from "../transfer/errors";
import { watchingSpace } from "./free-space";
import { ImportdBus, nextStep, type Transfer, transferName, transferPrefix } from "./importd-bus";
import { failureOf, type ImportdLine } from "./importd-log";
import { MADE } from "./pool";
import type { Fetch } from "./provide";
import { type MachineImage, subjectOf } from "./request";

interface ImportdContext {
  /** Where importd creates images. */
  readonly directory: string;
  /** Bytes that stay free on its disk; 0 for no limit. */
  readonly keepFree: number;
  readonly signal: AbortSignal;
  readonly onPercent?: (percent: number) => void;
}

/**
 * Downloads an image through systemd-importd, as machinectl does. The download continues if this process is killed: the next driver
 * takes it over, or cancels it if another image is wanted by then.
 */
export function fetchByImportd(context: ImportdContext): Fetch {
  return async (image, scratch) => {
    await using bus = await ImportdBus.connect();
    try {
      await watchingSpace(context, context.signal, (signal) => transfer(bus, image, { ...context, signal }));
    } catch (error) {
      // The download may have finished before it was refused for lack of disk space.
      await removeMade(context.directory, image.name);
      throw error;
    }
    for (const { path, ending } of await madeFiles(context.directory, image))
      await rename(path, join(scratch, MADE + ending));
  };
}

async function transfer(bus: ImportdBus, image: MachineImage, context: ImportdContext): Promise<void> {
  const { directory, signal } = context;
  for (;;) {
    if (signal.aborted) throw abortError(subjectOf(image), signal);
    const step = nextStep(await callImportd(image, bus.transfers()), image);
    switch (step.kind) {
      case "begin": {
        await removeMade(directory, image.name);
        const started = await callImportd(image, bus.begin(image, transferName(image)));
        if (started === undefined) continue;
        return await follow(bus, started, image, context);
      }
      case "join":
        return await follow(bus, step.transfer, image, context);
      case "cancel":
      case "wait":
        if (step.kind === "cancel") bus.cancel(step.transfer.id);
        await Promise.race([bus.ended(step.transfer.path), aborted(signal)]);
    }
  }
}

/** Follows a transfer to its end. @throws TransferError if it fails, or the signal has cancelled it */
async function follow(
  bus: ImportdBus,
  { id, path }: Pick<Transfer, "id" | "path">,
  image: MachineImage,
  { signal, onPercent }: ImportdContext,
): Promise<void> {
  const cancel = () => bus.cancel(id);
  signal.addEventListener("abort", cancel);
  try {
    if (signal.aborted) cancel();
    const result = await bus.ended(path, onPercent);
    if (result === "done") return;
    const subject = subjectOf(image);
    if (signal.aborted) throw abortError(subject, signal);
    throw failureOf(subject, result === "lost" ? [error("systemd-importd ended")] : bus.lines(path));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Runs a call to importd, and turns its refusal into an error about the image. */
async function callImportd<T>(image: MachineImage, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (refused) {
    throw failureOf(subjectOf(image), [error(errorText(refused))]);
  }
}

function error(text: string): ImportdLine {
  return { priority: 3, text };
}

/** Removes what importd created for killed drivers: it may be incomplete. */
async function removeMade(directory: string, name: string): Promise<void> {
  const files = (await readdir(directory)).filter((file) => file.startsWith(transferPrefix(name)));
  for (const file of files) await rm(join(directory, file), { recursive: true, force: true });
}

/** importd's files: the image, and files of settings and signatures beside it. */
async function madeFiles(directory: string, image: MachineImage) {
  const name = transferName(image);
  const own = image.type === "raw" ? `${name}.raw` : name;
  return (await readdir(directory))
    .filter((file) => file === own || file.startsWith(`${name}.`))
    .map((file) => ({ path: join(directory, file), ending: file === own ? "" : file.slice(name.length) }));
}
