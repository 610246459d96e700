// Authenticates agents by their projected service account token (design §7): the API server verifies the token and says
// which pod and Node it is bound to. A token of an earlier Node with the same name is refused, because that computer is
// gone.
import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { parseNode } from '../kubernetes/objects.ts';
import type { AgentAuthenticator, Authentication } from './authentication.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { ReviewQueue } from './review-queue.ts';
import { certainRefusal, readToken } from './token-claims.ts';
import { Verdicts } from './verdicts.ts';

export const agentAudience = 'lcow-operator';

export interface TokenReviewsOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  /** The agents' user name, `system:serviceaccount:<namespace>:<name>`. */
  readonly userName: string;
}

const requestMilliseconds = 8_000;

const review = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    audiences: z.array(z.string()).default([]),
    error: z.string().default(''),
    user: z
      .object({ username: z.string().default(''), extra: z.record(z.string(), z.array(z.string())).default({}) })
      .prefault({}),
  }),
});
type Review = z.infer<typeof review>['status'];

export class TokenReviews implements AgentAuthenticator {
  readonly #options: TokenReviewsOptions;
  readonly #verdicts: Verdicts;
  readonly #queue: ReviewQueue;
  readonly #issuer: IssuerKeys;

  constructor(options: TokenReviewsOptions) {
    const { http, clock } = options;
    this.#options = options;
    this.#verdicts = new Verdicts(clock);
    this.#queue = new ReviewQueue(clock);
    this.#issuer = new IssuerKeys(http, clock);
  }

  async authenticate(bearer: string, address: string): Promise<Authentication> {
    const { clock, userName } = this.#options;
    const token = readToken(bearer);
    if (token === undefined) return refused('not a service account token');
    const refusal = certainRefusal(token, { now: clock.now(), audience: agentAudience, userName });
    if (refusal !== undefined) return refused(refusal);
    return this.#verdicts.of(bearer, async () => {
      const signed = await this.#issuer.haveSigned(token);
      const verdict = await this.#queue.run({ address, signed }, () => this.#review(bearer), isRefusal);
      return verdict ?? later('too many tokens are waiting for their review');
    });
  }

  async #review(token: string): Promise<Authentication> {
    const timeout = new AbortController();
    const timer = this.#options.clock.after(requestMilliseconds, () => timeout.abort());
    try {
      const answer = await this.#options.http.request({
        method: 'POST',
        path: '/apis/authentication.k8s.io/v1/tokenreviews',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: [agentAudience] },
        },
        signal: timeout.signal,
      });
      if (!answer.ok) return later(`the token cannot be reviewed: ${answer.error.message}`);
      const parsed = review.safeParse(answer.value);
      if (!parsed.success) return later('the answer is not a TokenReview');
      return await this.#judge(parsed.data.status, timeout.signal);
    } finally {
      timer.cancel();
    }
  }

  async #judge({ authenticated, audiences, error, user }: Review, signal: AbortSignal): Promise<Authentication> {
    const { userName } = this.#options;
    const nodeName = extraOf(user.extra, 'node-name');
    const nodeUID = extraOf(user.extra, 'node-uid');
    if (!authenticated) return refused(`the API server does not know the token: ${error}`);
    if (!audiences.includes(agentAudience)) return refused(`the token is not for ${agentAudience}`);
    if (user.username !== userName) return refused(`${user.username} is not ${userName}`);
    if (nodeName === undefined || nodeUID === undefined) return refused('the token is not bound to a pod on a Node');
    return this.#compareNode(nodeName, nodeUID, signal);
  }

  async #compareNode(nodeName: string, nodeUID: string, signal: AbortSignal): Promise<Authentication> {
    const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`;
    const answer = await this.#options.http.request({ method: 'GET', path, signal });
    if (!answer.ok && isNotFound(answer.error)) return refused(`there is no Node ${nodeName}`);
    const node = answer.ok ? parseNode(answer.value) : undefined;
    if (node === undefined) return later(`Node ${nodeName} cannot be read`);
    if (node.metadata.uid === nodeUID) return { ok: true, nodeName, nodeUID };
    return refused(`the token is of an earlier Node ${nodeName}`);
  }
}

function extraOf(extra: Readonly<Record<string, readonly string[]>>, name: string): string | undefined {
  return extra[`authentication.kubernetes.io/${name}`]?.[0];
}

const refused = (message: string): Authentication => ({ ok: false, retry: false, message });
const isRefusal = (authentication: Authentication) => !authentication.ok && !authentication.retry;
const later = (message: string): Authentication => ({ ok: false, retry: true, message });
