import { describe, expect, test } from "bun:test";
import { toJson } from "@bufbuild/protobuf";
import { SpecSchema } from "../../gen/hashicorp/nomad/plugins/shared/hclspec/hcl_spec_pb";
import { pluginConfigSpec, taskConfigSpec } from "./hclspec";
import { writableOptions } from "./task/options";

function attributes(spec: ReturnType<typeof taskConfigSpec>) {
  if (spec.block.case !== "object") throw new Error("the spec is not an object");
  return spec.block.value.attributes;
}

function json(spec: ReturnType<typeof taskConfigSpec>, name: string) {
  const attribute = attributes(spec)[name];
  return attribute === undefined ? undefined : toJson(SpecSchema, attribute);
}

describe("the task's spec", () => {
  test("has an attribute for every row", () => {
    expect(Object.keys(attributes(taskConfigSpec()))).toEqual(Object.keys(writableOptions));
  });

  test("requires only the image", () => {
    expect(json(taskConfigSpec(), "image")).toEqual({ attr: { name: "image", type: "string", required: true } });
  });

  test.each(["network_veth", "user_namespacing"])("has Nomad fill in the Go driver's default of %s", (name) => {
    expect(json(taskConfigSpec(), name)).toEqual({
      default: { primary: { attr: { name, type: "bool" } }, default: { literal: { value: "true" } } },
    });
  });

  test("omits other defaults, like the Go driver", () => {
    expect(json(taskConfigSpec(), "ephemeral")).toEqual({ attr: { name: "ephemeral", type: "bool" } });
  });

  test("accepts maps in every form that a job file allows", () => {
    for (const name of ["bind", "bind_read_only", "environment", "port_map", "rlimits", "properties"]) {
      expect(json(taskConfigSpec(), name)).toEqual({ attr: { name, type: "any" } });
    }
  });

  test("has the Go driver's image_download block", () => {
    const literal = (value: string) => ({ literal: { value } });
    expect(json(taskConfigSpec(), "image_download")).toEqual({
      blockValue: {
        name: "image_download",
        nested: {
          object: {
            attributes: {
              url: { attr: { name: "url", type: "string", required: true } },
              type: { default: { primary: { attr: { name: "type", type: "string" } }, default: literal('"tar"') } },
              verify: { default: { primary: { attr: { name: "verify", type: "string" } }, default: literal('"no"') } },
              force: { default: { primary: { attr: { name: "force", type: "bool" } }, default: literal("false") } },
            },
          },
        },
      },
    });
  });
});

test("the plugin's spec has the Go driver's rows with their defaults", () => {
  for (const name of ["enabled", "volumes"]) {
    expect(json(pluginConfigSpec(), name)).toEqual({
      default: { primary: { attr: { name, type: "bool" } }, default: { literal: { value: "true" } } },
    });
  }
});
