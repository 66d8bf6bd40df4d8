import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { optionsPage } from "./docs";
import { type Json, pluginJsonSchema, taskJsonSchema } from "./json-schema";
import { pluginOptions } from "./plugin/options";
import { firstRelease, newOptions } from "./since";
import { decodeTaskConfig } from "./task/decode";
import { writableOptions } from "./task/options";

test("docs/options.md is up to date with the tables (else run: bun scripts/gen-docs.ts)", async () => {
  expect(await Bun.file(new URL("../../docs/options.md", import.meta.url)).text()).toBe(optionsPage());
});

test("the page has a heading for every option, links to each, and a row for the options of blocks", () => {
  const page = optionsPage();
  for (const name of [...Object.keys(writableOptions), ...Object.keys(pluginOptions)]) {
    expect(page).toContain(`\n#### \`${name}\`\n`);
    expect(page).toMatch(new RegExp(`\\[\`${name}\`\\]\\(#${name}(-1)?\\)`));
  }
  for (const name of ["gc.image_delay", "auth.password"]) expect(page).toContain(`\n| \`${name}\` |`);
});

test("the page has the release of each option, of the task's and of the plugin's with the same name", () => {
  const page = optionsPage();
  expect(page).toContain("\n#### `image`\n\nstring; **required**; a directory");
  expect(page).toMatch(/\n#### `boot`\n\nbool; .*; since 0\.1\.0\n/);
  expect(page).toMatch(/\n#### `cap_add`\n\n.*; since 0\.2\.0\n/);
  const known = { ...writableOptions, ...pluginOptions };
  for (const of of ["task", "plugin"] as const) {
    for (const names of newOptions(of).values())
      expect(names.filter((name) => !Object.hasOwn(known, name))).toEqual([]);
  }
  expect(firstRelease("task", "volumes")).toBe("0.2.0");
  expect(firstRelease("plugin", "volumes")).toBe("0.1.0");
});

describe("JSON Schema", () => {
  function member(value: Json | undefined, name: string): Json | undefined {
    return typeof value === "object" && value !== null && name in value
      ? Object.entries(value).find(([key]) => key === name)?.[1]
      : undefined;
  }

  test("has a property for every option and no other", () => {
    expect(Object.keys(member(taskJsonSchema(), "properties") ?? {})).toEqual(Object.keys(writableOptions));
    expect(Object.keys(member(pluginJsonSchema(), "properties") ?? {})).toEqual(Object.keys(pluginOptions));
    expect(member(taskJsonSchema(), "additionalProperties")).toBe(false);
  });

  test("requires the image, and has values, types and defaults", () => {
    const properties = member(taskJsonSchema(), "properties");
    expect(member(taskJsonSchema(), "required")).toEqual(["image"]);
    expect(member(properties, "console")).toMatchObject({ enum: ["interactive", "read-only", "passive", "pipe"] });
    expect(member(properties, "boot")).toMatchObject({ type: "boolean" });
    expect(member(properties, "network_veth")).toMatchObject({ type: "boolean", default: true });
    expect(member(properties, "oom_score_adjust")).toMatchObject({ type: "integer", minimum: -1000, maximum: 1000 });
    expect(member(properties, "port_map")).toMatchObject({ additionalProperties: { type: "integer" } });
    expect(member(properties, "image_download")).toMatchObject({ required: ["url"], additionalProperties: false });
  });

  test("has only values that the validator accepts", () => {
    const properties = member(taskJsonSchema(), "properties");
    for (const name of Object.keys(writableOptions)) {
      const values = member(member(properties, name), "enum");
      for (const value of Array.isArray(values) ? values : []) {
        expect(decodeTaskConfig(encode({ image: "i", [name]: value }))).toMatchObject({ [name]: value });
      }
    }
  });
});
