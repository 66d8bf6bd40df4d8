/** The machines that the executable is built for: one release has an executable for each. */

/** A kind of machine. */
export interface Target {
  /** Its name in Go's terms, which are those of Debian too. */
  readonly name: "amd64" | "arm64";
  /** Its name for RPM. */
  readonly rpm: string;
  /** What `bun build --target=` calls it. */
  readonly bun: string;
  /** The package of the npm registry with the runtime that is put into the executable. */
  readonly runtime: string;
  /** npm's dist.integrity of that package per version of bun: the tarball has to have this hash. */
  readonly integrity: Readonly<Record<string, string>>;
}

/** x86-64; the baseline build of the runtime runs on every such CPU, without AVX. */
export const AMD64: Target = {
  name: "amd64",
  rpm: "x86_64",
  bun: "bun-linux-x64-baseline",
  runtime: "@oven/bun-linux-x64-baseline",
  integrity: {
    "1.4.5": "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
  },
};

/** arm64. */
export const ARM64: Target = {
  name: "arm64",
  rpm: "aarch64",
  bun: "bun-linux-arm64",
  runtime: "@oven/bun-linux-aarch64",
  integrity: {
    "1.4.5": "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
  },
};

/** All of them. */
export const targets: readonly Target[] = [AMD64, ARM64];
