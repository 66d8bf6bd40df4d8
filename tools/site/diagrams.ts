/** Diagrams in Mermaid, which GitHub draws: the site has them as pictures, because its pages run no program for them. */

/** A picture that a page needs. */
export interface Picture {
  /** Name of the file, beside the page. */
  readonly name: string;
  readonly svg: string;
}

/**
 * A page with its blocks of Mermaid as pictures.
 *
 * @param name of the page, for the names of the files
 * @param draw makes an SVG of a diagram
 */
export function withDiagrams(
  text: string,
  name: string,
  draw: (diagram: string) => string,
): { readonly text: string; readonly pictures: readonly Picture[] } {
  const pictures: Picture[] = [];
  const drawn = text.replace(/^```mermaid\n(.*?)^```$/gms, (_whole, diagram: string, offset: number) => {
    const picture = `${name}-${pictures.length + 1}.svg`;
    pictures.push({ name: picture, svg: withoutRequests(draw(diagram)) });
    const heading = [...text.slice(0, offset).matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? name;
    return `![Diagram: ${heading.replaceAll(/[`[\]]/g, "")}](./${picture})`;
  });
  return { text: drawn, pictures };
}

/** Drops the style's request for a font of another server; the font of the reader's system is as good. */
function withoutRequests(svg: string): string {
  return svg.replace(/^ *@import url\([^)]*\);\n?/gm, "");
}
