import { defined } from "../../lib/objects";

/** A registry's authentication challenge (WWW-Authenticate; RFC 9110, 11.6.1, and Docker's token specification). */
export type Challenge =
  | { readonly scheme: "basic" }
  | { readonly scheme: "bearer"; readonly realm: string; readonly service?: string; readonly scope?: string };

/** The first supported challenge, Bearer before Basic; undefined if none. */
export function parseChallenge(header: string | null): Challenge | undefined {
  const challenges = splitChallenges(header ?? "");
  const bearer = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.has("realm"));
  if (bearer !== undefined) {
    const [realm = "", service, scope] = ["realm", "service", "scope"].map((name) => bearer.parameters.get(name));
    return { scheme: "bearer", realm, ...defined({ service, scope }) };
  }
  return challenges.some(({ scheme }) => scheme === "basic") ? { scheme: "basic" } : undefined;
}

interface RawChallenge {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A parameter, or the name of a scheme. */
const PIECE = new RegExp(`(?:(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))|(${TOKEN}))(?:[\\s,]+|$)`, "y");

/** Challenges, and the parameters of each, are all separated by commas: a word without "=" starts the next challenge. */
function splitChallenges(header: string): RawChallenge[] {
  const found: RawChallenge[] = [];
  const text = header.replace(/^[\s,]+/, "");
  for (let at = 0; at < text.length; at = PIECE.lastIndex) {
    PIECE.lastIndex = at;
    const match = PIECE.exec(text);
    // Invalid text ends the list; what was parsed before it is valid.
    if (match === null) break;
    const [, name, quoted, plain, scheme] = match;
    if (scheme !== undefined) found.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    else if (name !== undefined) {
      found.at(-1)?.parameters.set(name.toLowerCase(), plain ?? (quoted ?? "").replace(/\\(.)/g, "$1"));
    }
  }
  return found;
}
