import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import { archiveSource, layoutDirectorySource } from "../image/files-source";
import type { ArchiveReference } from "../image/image-archive";
import { mirroredSource } from "../image/mirrors";
import type { LayoutReference } from "../image/oci-layout";
import { sameRegistry } from "../image/registry/credentials";
import { type RegistryOptions, registrySource } from "../image/registry/registry-source";
import type { PolicySubject } from "../image/signature/requirements";
import { type ImageSource, SourceError } from "../image/source";
import { ImageStore, type WantedImage } from "../image/store/image-store";
import type { PullProgress } from "../image/store/pull";
import { abortError } from "../image/transfer/errors";
import { RETRY_OPTIONS } from "../image/transfer/retry";
import { unlessAborted } from "../lib/deadline";
import { ImageError } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { needsVerity } from "../linux/verity";
import { isRegistered } from "../machine/registry";
import { atMirror, formatReference, type ImageReference, parseReference } from "../values/image-reference";
import { archiveName, archiveSubjects, requireAbsolute } from "./archive-name";
import { GcTimer } from "./gc-timer";
import { type ApprovalRequest, approve, refuseByName } from "./image-approval";
import type { ImageRef } from "./image-ref";
import type { PullObserver } from "./pull-observer";
import { acquireNewer, noSource, type TaskImage } from "./pull-policy";
import { allowedDirectory, allowedFile, requireAllowed } from "./resolve-image";
import { withinSize } from "./within-size";

/** Registry options from the plugin config and a task's `auth` block. */
function registryOptions(
  { auth: operator, registry }: Pick<PluginOptions, "auth" | "registry">,
  auth: TaskOptions["auth"],
): RegistryOptions {
  return {
    operator,
    plainHttp: registry.plain_http,
    ca: registry.ca,
    ...(auth === undefined
      ? {}
      : { credentials: { kind: "password", username: auth.username, password: auth.password } }),
  };
}

/** @throws ImageError if the job's credentials are for another registry than the image's */
function refuseForeignServer({ auth }: ImageTask, { registry }: ImageReference): void {
  const server = auth?.server_address;
  if (server === undefined || sameRegistry(server, registry)) return;
  throw new ImageError(
    `Option auth.server_address = ${JSON.stringify(server)} is not the registry of the image, which is ${JSON.stringify(registry)}: the credentials are not sent to it.`,
  );
}

/** Delay until garbage collection is retried when the store was locked. */
const AGAIN_MS = 10_000;
/** Minimum delay until the next garbage collection while unused images are left that are not old enough yet. */
const SOONEST_MS = 1000;

/** A mirror that fails is passed over soon: the registry itself is left. */
const MIRROR_TIMING = { ...RETRY_OPTIONS, attempts: 2 };

/** The dependencies of OciImages. */
interface ImagesContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  readonly log: Logger;
  readonly pulls?: PullObserver;
}

/** Where a container (OCI) image comes from. */
export type OciRef = Exclude<ImageRef, { kind: "host" }>;

/** The options of a task that decide on how its image is fetched. */
type ImageTask = Pick<TaskOptions, "image" | "auth" | "pull"> &
  Partial<Pick<TaskOptions, "auth_soft_fail" | "image_pull_timeout">>;

/** A requested image, as the store needs it. */
interface Wanted {
  /** Its name in the store. */
  readonly name: string;
  readonly source: ImageSource;
  readonly reuse: boolean;
  readonly approval: ApprovalRequest;
  /** What the source holds until the image is in the store. */
  readonly held?: Disposable;
}

/** The container (OCI) images that this process's tasks use, and their garbage collection. */
export class OciImages {
  #store: ImageStore | undefined;
  readonly #timer: GcTimer;
  /** The archives that are being read, by name: what needs the same one waits, and then finds its image in the store. */
  readonly #reading = new Map<string, Promise<unknown>>();

  constructor(private readonly context: ImagesContext) {
    this.#timer = new GcTimer(() => this.#collect(), context.log);
  }

  /** The configured image store. */
  get store(): ImageStore {
    const directory = this.context.options().image_store;
    if (this.#store?.directory !== directory) {
      const { log, pulls } = this.context;
      const onPulled: PullObserver["done"] = (pulled) => pulls?.done(pulled);
      this.#store = new ImageStore({ directory, log, isOwned: isRegistered, onPulled });
    }
    return this.#store;
  }

  /** Refuses what can be refused without a request to the registry. @throws ImageError, ImageReferenceError */
  async check(task: ImageTask, ref: OciRef): Promise<void> {
    const { approval } = await this.#wanted(task, ref);
    await refuseByName(approval);
  }

  /**
   * Makes sure that an image is in the store. Unless the task's option `pull` says otherwise, a tag that was resolved before is not resolved
   * again, except for "latest".
   *
   * @param task the image as in the job, and its credentials
   * @throws StoreError, SourceError, ImageError, ImageReferenceError
   */
  async acquire(
    task: ImageTask,
    origin: OciRef,
    { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (progress: PullProgress) => void },
  ): Promise<TaskImage> {
    const { pull_timeout, gc, image_verity } = this.context.options();
    const wanted = await this.#wanted(task, origin);
    using _held = wanted.held;
    const { store } = this;
    await store.open();
    if (store.freeBytes() < gc.image_min_free) await this.#collect();
    const cancelled = AbortSignal.any([signal, AbortSignal.timeout(task.image_pull_timeout ?? pull_timeout)]);
    const { approval, source } = wanted;
    const approved: WantedImage["approve"] = (image, signal) => approve(approval, image, { source, store, signal });
    try {
      const verity = image_verity ?? needsVerity(store.directory);
      const storing = { keepFree: gc.image_min_free, mostBytes: gc.image_max_size, verity };
      const request = { ...wanted, ...storing, approve: approved, signal: cancelled, onProgress };
      const image = await this.#oneByOne(wanted, cancelled, () =>
        withinSize(store, gc.image_max_size, async () =>
          task.pull === "newer"
            ? await acquireNewer(store, request)
            : { acquired: await store.acquire(request), warnings: [] },
        ),
      );
      this.scheduleGc();
      return image;
    } catch (error) {
      this.context.pulls?.failed(error);
      // An abort while waiting for another pull or for the unpacking has no source in its error.
      if (!cancelled.aborted || error instanceof SourceError) throw error;
      throw abortError({ name: `image ${JSON.stringify(wanted.name)}`, host: "its origin" }, cancelled);
    }
  }

  /** Schedules garbage collection: an image that is no longer used is removed after gc.image_delay. */
  scheduleGc(): void {
    const { gc } = this.context.options();
    if (gc.image) this.#timer.startIn(gc.image_delay + 1);
  }

  /** Does what reads an archive after what already reads it: an archive may have to be expanded first. */
  async #oneByOne<Result>(
    { name, reuse, held }: Wanted,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    if (held === undefined || !reuse) return await work();
    for (let other = this.#reading.get(name); other !== undefined; other = this.#reading.get(name)) {
      await unlessAborted(other, signal);
    }
    const reading = work();
    const settled = reading.then(
      () => {},
      () => {},
    );
    this.#reading.set(name, settled);
    try {
      return await reading;
    } finally {
      this.#reading.delete(name);
    }
  }

  async #wanted(task: ImageTask, origin: OciRef): Promise<Wanted> {
    const { image, pull } = task;
    const options = this.context.options();
    if (origin.kind === "layout") return await this.#layout(image, origin.reference, origin.inTask !== undefined);
    if (origin.kind === "archive") return await this.#archive(image, origin.reference, origin.inTask !== undefined);
    // image_paths applies to the store, because registry images are stored there.
    await requireAllowed(origin.reference, options.image_store, options.image_paths);
    const reference = parseReference(origin.reference, options.registry.default);
    const name = formatReference(reference);
    const approval = this.#approval(name, [{ transport: "docker", reference }]);
    if (pull === "never") return { name, approval, source: noSource(name), reuse: true };
    refuseForeignServer(task, reference);
    const source = this.#sourceOf(reference, task);
    if (pull !== undefined) return { name, approval, source, reuse: pull === "missing" };
    const once = reference.digest !== undefined || reference.tag !== "latest";
    return { name, approval, source, reuse: origin.ask === undefined ? once : !origin.ask };
  }

  #approval(name: string, subjects: readonly PolicySubject[]): ApprovalRequest {
    return { name, subjects, policyFile: this.context.options().signature_policy };
  }

  async #layout(image: string, reference: LayoutReference, inTask: boolean): Promise<Wanted> {
    const { directory, ...selection } = reference;
    requireAbsolute(image, directory);
    const { image_paths: imagePaths } = this.context.options();
    const found = await allowedDirectory(image, directory, inTask ? [] : imagePaths);
    const source = layoutDirectorySource(found, selection);
    const approval = this.#approval(image, [{ transport: "oci", path: found }]);
    return { name: image, approval, source, reuse: false, held: source };
  }

  async #archive(image: string, { path, ...reference }: ArchiveReference, inTask: boolean): Promise<Wanted> {
    requireAbsolute(image, path);
    const { image_paths: imagePaths, gc } = this.context.options();
    const found = await allowedFile(image, path, inTask ? [] : imagePaths);
    const { size, mtime } = await stat(found);
    const source = archiveSource({
      ...reference,
      path: found,
      temporary: async () => (await this.store.open()).temporary,
      keepFree: gc.image_min_free,
    });
    return {
      // An archive that was not changed is not read again.
      name: `${archiveName(reference, found)} (${size} bytes of ${mtime.toISOString()})`,
      approval: this.#approval(image, archiveSubjects(reference.format, found)),
      source,
      reuse: true,
      held: source,
    };
  }

  #sourceOf(reference: ImageReference, { auth, auth_soft_fail: soft = false }: ImageTask): ImageSource {
    const options = this.context.options();
    const settings = registryOptions(options, auth);
    const withCredentials = registrySource(reference, settings);
    const itself = soft
      ? mirroredSource({
          sources: [withCredentials, registrySource(reference, { ...settings, anonymous: true })],
          when: ({ problem }) => problem === "unauthorized",
          onFailure: ({ message }) =>
            this.context.log.warn("credentials of an image were refused; trying without", { reason: message }),
        })
      : withCredentials;
    // The job's credentials are for the registry that it names.
    const mirrors = (options.registry.mirrors[reference.registry] ?? []).map((mirror) =>
      registrySource(atMirror(reference, mirror), { ...registryOptions(options, undefined), timing: MIRROR_TIMING }),
    );
    const [first, ...others] = [...mirrors, itself];
    if (first === undefined || others.length === 0) return itself;
    return mirroredSource({
      sources: [first, ...others],
      onFailure: ({ message }) => this.context.log.warn("a mirror of a registry was passed over", { reason: message }),
    });
  }

  async #collect(): Promise<void> {
    const { gc } = this.context.options();
    // Do not create a store on a client that never used such an image.
    if (!gc.image || !existsSync(this.store.directory)) return;
    const collected = await this.store.collect(Date.now() - gc.image_delay, gc.image_min_free, gc.image_max_size);
    if (collected === undefined) {
      this.#timer.startIn(AGAIN_MS);
      return;
    }
    const { images, layers, left } = collected;
    if (images.length + layers.length > 0) {
      this.context.log.info("unused images removed", { images: images.length, layers: layers.length });
    }
    if (left > 0) this.#timer.startIn(Math.max(SOONEST_MS, gc.image_delay));
  }
}
