import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The folders of src, from bottom to top: a file may import from its own folder and from those before it (docs/architecture.md). */
export const LAYERS = [
  "lib",
  "values",
  "linux",
  "telemetry",
  "systemd",
  "cdi",
  "config",
  "plugin",
  "nspawn",
  "image",
  "supervisor",
  "machine",
  "exec",
  "network",
  "rootfs",
  "launch",
  "task",
  "driver",
  "runtime",
  "cli",
] as const;

/** Who may import the code generated from Nomad's protobufs: the layers that speak with Nomad, and the client of `cli run`. */
const NOMAD_PROTOBUF_USERS: readonly string[] = ["config", "launch", "task", "driver", "runtime", "cli"];

/** The one file that loads functions of the C library. */
const FFI_TABLE = "linux/ffi.ts";

/**
 * What files beside the driver must not import: what scripts and tests both need is in tools, which imports neither, and the driver is
 * made of nothing but src and gen.
 */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  src: ["test", "scripts", "tools", "bench"],
  tools: ["test", "scripts", "bench"],
  scripts: ["test", "bench"],
  test: ["scripts", "bench"],
};

/** A file of src; the path is relative to src. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** The relative imports of a file, static, dynamic and of types, as paths relative to src without extension. */
export function importsOf({ path, text }: SourceFile): readonly string[] {
  const found = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)"/g);
  return [...found].map(([, specifier = ""]) => join(dirname(path), specifier).replace(/\.ts$/, ""));
}

const layerOf = (path: string): number => LAYERS.findIndex((layer) => path.startsWith(`${layer}/`));

/**
 * What breaks the rules of docs/architecture.md, a sentence each: arrows that point up, cycles, foreign protobufs, a second FFI table, a
 * folder that does not say what it is, a shim or worker that loads a package.
 */
export function layerProblems(files: readonly SourceFile[]): readonly string[] {
  const problems = [
    ...files.flatMap((file) => [...upwardImports(file), ...forbiddenContents(file)]),
    ...undocumentedFolders(files),
    ...heavyEntries(files),
  ];
  return [...problems, ...cycles(files).map((cycle) => `These files import each other: ${cycle.join(" → ")}.`)];
}

function upwardImports(file: SourceFile): readonly string[] {
  const own = layerOf(file.path);
  if (own === -1) return file.path.includes("/") ? [`${file.path} is in a folder that LAYERS does not name.`] : [];
  const up = importsOf(file).filter((to) => layerOf(to) > own || !to.includes("/"));
  return up.map((to) => `${file.path} imports ${to}, which is in a higher layer.`);
}

function forbiddenContents({ path, text }: SourceFile): readonly string[] {
  const problems: string[] = [];
  const layer = path.split("/")[0] ?? "";
  if (/from "[^"]*gen\/hashicorp\/nomad/.test(text) && !NOMAD_PROTOBUF_USERS.includes(layer)) {
    problems.push(`${path} imports Nomad's protobufs; only ${NOMAD_PROTOBUF_USERS.join(", ")} may.`);
  }
  if (/\bdlopen\(/.test(text) && path !== FFI_TABLE) problems.push(`${path} calls dlopen; only ${FFI_TABLE} may.`);
  return problems;
}

/** A module comment: five lines or more, at the beginning of a file and separate from what follows. */
const MODULE_COMMENT = /^\/\*\*\n(?: \*(?!\/).*\n){3,} \*\/\n\n/;

function undocumentedFolders(files: readonly SourceFile[]): readonly string[] {
  const folders = new Set(files.flatMap(({ path }) => (path.includes("/") ? [dirname(path)] : [])));
  for (const { path, text } of files) if (MODULE_COMMENT.test(text)) folders.delete(dirname(path));
  return [...folders].map((folder) => `${folder} has no file that begins with a module comment.`);
}

/**
 * Files with which this program starts as a shim or a worker, one process per task or layer: each package that they load costs every one
 * of these processes memory (measured: valibot and the option tables, 2.5 MB per shim).
 */
const LEAN_ENTRIES = ["supervisor/process/shim", "image/archive/worker"];

/** Packages that a lean entry point loads, by itself or through its imports. */
function heavyEntries(files: readonly SourceFile[]): readonly string[] {
  const byPath = new Map(files.map((file) => [file.path.replace(/\.ts$/, ""), file]));
  return LEAN_ENTRIES.flatMap((entry) => {
    const seen = new Set<string>();
    const problems: string[] = [];
    const visit = (path: string): void => {
      const file = byPath.get(path);
      if (file === undefined || seen.has(path)) return;
      seen.add(path);
      // Imports of types alone are not in the executable.
      const text = file.text.replace(/^import type [\s\S]*? from "[^"]+";$/gm, "");
      for (const [, name = ""] of text.matchAll(/ from "((?!\.|node:|bun(?::|"))[^"]+)"/g)) {
        problems.push(`${entry}.ts loads the package ${name}, through ${file.path}.`);
      }
      for (const to of importsOf({ path: file.path, text })) visit(to);
    };
    visit(entry);
    return problems;
  });
}

/** The import cycles among files, each once. */
function cycles(files: readonly SourceFile[]): readonly (readonly string[])[] {
  const edges = new Map(files.map((file) => [file.path.replace(/\.ts$/, ""), importsOf(file)]));
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): void => {
    const at = above.indexOf(path);
    if (at !== -1) found.push([...above.slice(at), path]);
    if (at !== -1 || done.has(path)) return;
    for (const to of edges.get(path) ?? []) visit(to, [...above, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

/** Imports between the folders beside src that must not be, a sentence each; paths are relative to the project. Pure. */
export function folderProblems(files: readonly SourceFile[]): readonly string[] {
  const topOf = (path: string) => path.split("/")[0] ?? "";
  return files.flatMap((file) =>
    importsOf(file)
      .filter((to) => FOREIGN[topOf(file.path)]?.includes(topOf(to)))
      .map((to) => `${file.path} imports ${to}; files of ${topOf(file.path)} must not import ${topOf(to)}.`),
  );
}

/** Reads the sources of a project and checks them. Unit tests beside the sources may use what all tests use. */
export function checkLayers(project: string): readonly string[] {
  const read = (folder: string): SourceFile[] =>
    [...new Bun.Glob("**/*.ts").scanSync(join(project, folder))]
      .sort()
      .map((path) => ({ path, text: readFileSync(join(project, folder, path), "utf8") }));
  const sources = read("src").filter(({ path }) => !path.endsWith(".test.ts"));
  const beside = ["tools", "scripts", "test"].flatMap((folder) => inFolder(folder, read(folder)));
  return [...layerProblems(sources), ...folderProblems([...inFolder("src", sources), ...beside])];
}

const inFolder = (folder: string, files: readonly SourceFile[]): readonly SourceFile[] =>
  files.map(({ path, text }) => ({ path: `${folder}/${path}`, text }));

if (import.meta.main) for (const problem of checkLayers(".")) console.log(problem);
