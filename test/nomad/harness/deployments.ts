/** Deployments of a job's versions. */

import * as v from "valibot";
import type { NomadApi } from "./api";

const deployment = v.looseObject({ ID: v.string(), JobVersion: v.number(), Status: v.string() });

/** How long a deployment may take, in milliseconds. */
const LONGEST_MS = 60_000;

/**
 * ID of the deployment of a job's version, as soon as its status is as wanted.
 *
 * @throws Error with the job's deployments if it is not within a minute
 */
export async function deploymentOf(
  api: NomadApi,
  jobId: string,
  version: number,
  until: (status: string) => boolean = () => true,
): Promise<string> {
  for (const deadline = performance.now() + LONGEST_MS; ; await Bun.sleep(200)) {
    const answer = await api.request("GET", `/v1/job/${jobId}/deployments`);
    const found = v.parse(v.array(deployment), await answer.json());
    const of = found.find(({ JobVersion }) => JobVersion === version);
    if (of !== undefined && until(of.Status)) return of.ID;
    if (performance.now() > deadline) throw new Error(`No deployment as wanted: ${Bun.inspect(found)}`);
  }
}

/** Promotes a deployment's canaries; the server refuses that until they are healthy. */
export async function promote(api: NomadApi, deploymentId: string): Promise<void> {
  const body = { DeploymentID: deploymentId, All: true };
  for (const deadline = performance.now() + LONGEST_MS; ; await Bun.sleep(300)) {
    try {
      await api.request("POST", `/v1/deployment/promote/${deploymentId}`, body);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
