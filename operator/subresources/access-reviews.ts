// Checks rights that the API server has not reviewed itself. To the API server `exec` and `console` are a `get`, but
// they start something, which needs `create`. A SubjectAccessReview checks this for the user that the API server named.
// A verdict is kept for a few seconds. One user cannot keep others from being reviewed.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type SubresourceVerb, subresourceGroup, subresourceVersion } from '../../protocol/subresources.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { type Refusal, tooManyRequests, unavailable } from './refusal.ts';
import type { RemoteUser } from './remote-user.ts';
import type { MachineRequest, Read } from './request.ts';

export interface AccessReviewsOptions {
  readonly http: Pick<KubeHttp, 'request'>;
  readonly clock: Clock;
  /** Receives the cause of a failed review, for our log. */
  readonly failed: (message: string) => void;
}

export const reviewBounds = {
  inFlight: 64,
  inFlightPerUser: 8,
  /** A verdict takes 100 to 200 bytes for any user. */
  remembered: 4_096,
  rememberedMilliseconds: 10_000,
  requestMilliseconds: 8_000,
} as const;

export type Verdict = 'Allowed' | 'Denied';
type Reviewed = Read<Verdict>;

const review = z.object({
  kind: z.literal('SubjectAccessReview'),
  status: z.object({ allowed: z.boolean(), denied: z.boolean().default(false) }),
});

export class AccessReviews {
  readonly #options: AccessReviewsOptions;
  /** By the digest of the whole question. */
  readonly #known = new Map<string, { readonly at: number; readonly reviewed: Promise<Reviewed> }>();
  readonly #inFlight = new Map<string, number>();
  #allInFlight = 0;

  constructor(options: AccessReviewsOptions) {
    this.#options = options;
  }

  async review(user: RemoteUser, verb: SubresourceVerb, wanted: MachineRequest): Promise<Reviewed> {
    const key = keyOf(user, verb, wanted);
    const now = this.#options.clock.now();
    const known = this.#known.get(key);
    if (known !== undefined && Math.abs(now - known.at) < reviewBounds.rememberedMilliseconds) return known.reviewed;
    const overload = this.#overload(user);
    if (overload !== undefined) return { ok: false, refusal: overload };
    const reviewed = this.#ask(user, verb, wanted);
    this.#remember(key, { at: now, reviewed });
    const result = await reviewed;
    if (!result.ok && this.#known.get(key)?.reviewed === reviewed) this.#known.delete(key);
    return result;
  }

  #overload({ username }: RemoteUser): Refusal | undefined {
    if ((this.#inFlight.get(username) ?? 0) >= reviewBounds.inFlightPerUser) {
      return tooManyRequests('too many requests of this user wait for their review');
    }
    return this.#allInFlight >= reviewBounds.inFlight
      ? unavailable('too many requests wait for their review')
      : undefined;
  }

  #remember(key: string, entry: { readonly at: number; readonly reviewed: Promise<Reviewed> }): void {
    this.#known.delete(key);
    this.#known.set(key, entry);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= reviewBounds.remembered) return;
      this.#known.delete(oldest);
    }
  }

  async #ask(user: RemoteUser, verb: SubresourceVerb, wanted: MachineRequest): Promise<Reviewed> {
    const timeout = new AbortController();
    const timer = this.#options.clock.after(reviewBounds.requestMilliseconds, () => timeout.abort());
    this.#count(user, 1);
    try {
      const answer = await this.#options.http.request({
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        body: reviewOf(user, verb, wanted),
        signal: timeout.signal,
      });
      if (!answer.ok) return this.#failed(answer.error.message);
      const parsed = review.safeParse(answer.value);
      if (!parsed.success) return this.#failed('the answer is not a SubjectAccessReview');
      const { allowed, denied } = parsed.data.status;
      return { ok: true, value: allowed && !denied ? 'Allowed' : 'Denied' };
    } catch (error) {
      return this.#failed(messageOf(error));
    } finally {
      timer.cancel();
      this.#count(user, -1);
    }
  }

  #failed(message: string): Reviewed {
    this.#options.failed(message);
    return { ok: false, refusal: unavailable('the rights of the user cannot be reviewed now') };
  }

  #count({ username }: RemoteUser, change: 1 | -1): void {
    this.#allInFlight += change;
    const left = (this.#inFlight.get(username) ?? 0) + change;
    if (left > 0) this.#inFlight.set(username, left);
    else this.#inFlight.delete(username);
  }
}

function reviewOf(user: RemoteUser, verb: SubresourceVerb, { name, namespace, subresource }: MachineRequest): object {
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: user.username,
      ...(user.uid !== undefined && { uid: user.uid }),
      groups: user.groups,
      extra: Object.fromEntries(user.extra),
      resourceAttributes: {
        namespace,
        verb,
        group: subresourceGroup,
        version: subresourceVersion,
        resource: 'linuxutilityvms',
        subresource,
        name,
      },
    },
  };
}

/** Encoded as JSON, so that different questions have different keys. */
function keyOf(user: RemoteUser, verb: SubresourceVerb, { name, namespace, subresource }: MachineRequest): string {
  const { username, uid, groups, extra } = user;
  const question = JSON.stringify([username, uid ?? null, groups, extra, verb, namespace, name, subresource]);
  return createHash('sha256').update(question).digest('base64');
}
