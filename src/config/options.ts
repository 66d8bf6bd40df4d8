import * as v from "valibot";
import { schemasOf } from "./option";
import { containerOptions } from "./options-container";
import { fileOptions } from "./options-files";
import { imageOptions } from "./options-image";
import { limitOptions } from "./options-limits";
import { networkOptions } from "./options-network";
import { securityOptions } from "./options-security";

/** Every option of a task's `config` block, once. */
export const taskOptions = {
  ...containerOptions,
  ...imageOptions,
  ...fileOptions,
  ...networkOptions,
  ...securityOptions,
  ...limitOptions,
};

/** Validates a whole `config` block. */
export const taskSchema = v.strictObject(schemasOf(taskOptions));

type Validated = Readonly<v.InferOutput<typeof taskSchema>>;

/** A task's config after validation; every option is present, and undefined if it is absent and has no default. */
export type TaskOptions = Omit<Validated, "boot"> & { readonly boot: boolean };
