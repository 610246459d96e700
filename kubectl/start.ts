// Opens the subresources that start something in a guest: `exec`, `console` and `portforward`. They need `create`, which a role may
// lack although it has `get`.
import type { WebSocket } from 'ws';
import { type Subresource, subresourceGroup, subresourcePath, subresourceVerbs } from '../protocol/subresources.ts';
import { type Api, ApiFailure } from './api.ts';

export async function start(
  api: Api,
  name: string,
  subresource: Subresource,
  query?: URLSearchParams,
): Promise<WebSocket> {
  const path = subresourcePath(api.namespace, name, subresource);
  try {
    return await api.connect({ path, ...(query !== undefined && { query }) });
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.reason !== 'Forbidden') throw error;
    const needed = `the verb ${subresourceVerbs[subresource]} on linuxutilityvms/${subresource}`;
    const hint = `${subresource} needs ${needed}, besides get (API group ${subresourceGroup})`;
    throw new ApiFailure(error.code, `${error.message}: ${hint}`, error.reason);
  }
}
