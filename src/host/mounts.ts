import { readFileSync } from "node:fs";

/** One line of /proc/PID/mountinfo. */
export interface Mount {
  readonly id: number;
  /** The part of the file system that is mounted. */
  readonly root: string;
  readonly path: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Parses mountinfo (proc_pid_mountinfo(5)); invalid lines are skipped. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    const [id, , , root, path] = fields;
    const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
    if (id === undefined || root === undefined || path === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      {
        id: Number(id),
        root: unescapeOctal(root),
        path: unescapeOctal(path),
        type,
        source: unescapeOctal(source),
        superOptions: superOptions?.split(",") ?? [],
      },
    ];
  });
}

/** The mounts of this process's namespace. */
export function readMounts(): readonly Mount[] {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** The kernel writes space, tab, line end and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
