/**
 * The options of a task's `config` block, in tables by subject: container.ts (what runs, and how), image.ts, verity.ts (disk images), files.ts (mounts and
 * devices), network.ts, security.ts, limits.ts and logs.ts. This file joins the tables; decode.ts decodes a block and applies the rules for
 * combinations.
 *
 * Names and defaults of the Go driver's options are kept, because its job files must work unchanged
 * (docs/upgrading-from-the-go-driver.md).
 */

import * as v from "valibot";
import { type OptionTable, schemasOf } from "../option";
import { aliasOptions } from "./aliases";
import { containerOptions } from "./container";
import { fileOptions } from "./files";
import { imageOptions } from "./image";
import { limitOptions } from "./limits";
import { logOptions } from "./logs";
import { networkOptions } from "./network";
import { securityOptions } from "./security";
import { verityOptions } from "./verity";

/** The tables, with their subjects as the documentation's headings. */
export const taskOptionGroups: readonly (readonly [subject: string, options: OptionTable])[] = [
  ["What runs, and how", containerOptions],
  ["Image", imageOptions],
  ["Disk images", verityOptions],
  ["Files and devices", fileOptions],
  ["Network", networkOptions],
  ["Rights", securityOptions],
  ["Limits", limitOptions],
  ["Logs and labels", logOptions],
  ["Names of other drivers", aliasOptions],
];

/** Every option of a task's `config` block, once. */
export const taskOptions = {
  ...containerOptions,
  ...imageOptions,
  ...verityOptions,
  ...fileOptions,
  ...networkOptions,
  ...securityOptions,
  ...limitOptions,
  ...logOptions,
};

/** The options above, and other drivers' names for some of them. */
export const writableOptions: OptionTable = { ...taskOptions, ...aliasOptions };

/** Validates a whole `config` block. */
export const taskSchema = v.strictObject(schemasOf(taskOptions));

type Validated = Readonly<v.InferOutput<typeof taskSchema>>;

/** A task's config after validation; every option is present, and undefined if it is absent and has no default. */
export type TaskOptions = Omit<Validated, "boot"> & { readonly boot: boolean };
