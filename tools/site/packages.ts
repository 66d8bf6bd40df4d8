import { join } from "node:path";
import * as v from "valibot";
import { projectRoot } from "../build/project";
import { run } from "../command";

/** The directory of the site's generator, which has packages of its own: the driver and its tests need none of them. */
export const generatorDir = join(projectRoot, "site");

/** Installs the generator's packages; does nothing, and contacts no server, if they are there. */
export async function installGenerator(): Promise<void> {
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: generatorDir });
}

const renderer = v.object({ renderMermaidSVG: v.function() });

/**
 * What draws a diagram in Mermaid as SVG, of the generator's packages.
 *
 * @throws Error if they are not installed, and from the function, if a diagram has a fault
 */
export async function diagramRenderer(): Promise<(diagram: string) => string> {
  const path = join(generatorDir, "node_modules/beautiful-mermaid/dist/index.js");
  const { renderMermaidSVG } = v.parse(renderer, await import(path));
  // A font that readers have, with widths like those that the layout is calculated with; text dark enough to read.
  const look = {
    bg: "#ffffff",
    fg: "#18181b",
    muted: "#3f3f46",
    line: "#71717a",
    font: "Arial",
    padding: 16,
    nodeSpacing: 20,
    layerSpacing: 24,
  };
  return (diagram) => v.parse(v.string(), renderMermaidSVG(diagram, look));
}
