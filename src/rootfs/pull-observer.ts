/** Gets what happens to the images that tasks need. */
export interface PullObserver {
  /** An image was fetched. @param pulled bytes as its origin stores them, 0 if they are not known */
  readonly done: (pulled: { readonly bytes: number; readonly ms: number }) => void;
  /** An image that a task needs could not be fetched. */
  readonly failed: (error: unknown) => void;
}
