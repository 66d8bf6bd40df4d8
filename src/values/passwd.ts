/** A user of a container, from its own database. */
export interface ContainerUser extends Credentials {
  readonly name: string;
  readonly home: string;
}

const ROOT: ContainerUser = { uid: 0, gid: 0, groups: [], name: "root", home: "/root" };
const MAX_ID = 0xffff_fffe;

/**
 * Finds a user by name or number, or "USER:GROUP" as images have it: then the group is the only one; "NUMBER:" has the
 * group 0 if the number is not in the database, as with docker. An unknown number is a user without a name; root is known even in a container
 * without a database.
 *
 * @param passwd content of the container's /etc/passwd (passwd(5))
 * @param group content of its /etc/group (group(5))
 * @returns undefined for an unknown name
 */
export function findUser(user: string, passwd: string, group: string): ContainerUser | undefined {
  const colon = user.indexOf(":");
  if (colon < 0) return findByName(user, passwd, group);
  const [name, wanted] = [user.slice(0, colon), user.slice(colon + 1)];
  const found = findByName(name, passwd, group);
  if (found === undefined) return undefined;
  // An unknown number serves as its own name.
  if (wanted === "") return found.name === name && /^\d+$/.test(name) && found.uid !== 0 ? { ...found, gid: 0 } : found;
  const gid = findGroup(wanted, group);
  return gid === undefined ? undefined : { ...found, gid, groups: [] };
}

/**
 * Finds a group by name or number.
 *
 * @param group content of the container's /etc/group (group(5))
 * @returns its ID; undefined for an unknown name
 */
export function findGroup(name: string, group: string): number | undefined {
  for (const line of group.split("\n")) {
    const [known = "", , gid] = line.split(":");
    if (known === name && isId(gid)) return Number(gid);
  }
  return isId(name) ? Number(name) : undefined;
}

function findByName(user: string, passwd: string, group: string): ContainerUser | undefined {
  const number = /^\d+$/.test(user) ? Number(user) : undefined;
  if (number !== undefined && number > MAX_ID) return undefined;
  for (const line of passwd.split("\n")) {
    const [name = "", , uid, gid, , home = ""] = line.split(":");
    if (!isId(uid) || !isId(gid) || (name !== user && Number(uid) !== number)) continue;
    return { uid: Number(uid), gid: Number(gid), groups: groupsOf(name, group), name, home: home || "/" };
  }
  if (user === ROOT.name || number === 0) return ROOT;
  return number === undefined ? undefined : { uid: number, gid: number, groups: [], name: user, home: "/" };
}

function groupsOf(user: string, group: string): readonly number[] {
  return group.split("\n").flatMap((line) => {
    const [, , gid, members = ""] = line.split(":");
    return isId(gid) && members.split(",").includes(user) ? [Number(gid)] : [];
  });
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= MAX_ID;
}

/** A user, by the container's IDs. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}
