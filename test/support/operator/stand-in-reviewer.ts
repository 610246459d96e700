// The part of the API server that reviews users' rights.
import type { ServerResponse } from 'node:http';
import { z } from 'zod';

const review = z.object({
  apiVersion: z.literal('authorization.k8s.io/v1'),
  kind: z.literal('SubjectAccessReview'),
  spec: z.strictObject({
    user: z.string(),
    uid: z.string().optional(),
    groups: z.array(z.string()),
    // A zod record drops the key `__proto__`.
    extra: z.custom<Readonly<Record<string, readonly string[]>>>(
      (value) => typeof value === 'object' && value !== null,
    ),
    resourceAttributes: z.record(z.string(), z.string()),
  }),
});
export type ReviewSpec = z.infer<typeof review>['spec'];
type Answer = (response: ServerResponse, spec: ReviewSpec) => void;

/** An answer in the form of the API server. */
export const says =
  (status: object): Answer =>
  (response) => {
    response.writeHead(201).end(JSON.stringify({ kind: 'SubjectAccessReview', status }));
  };

export class StandInReviewer {
  readonly asked: ReviewSpec[] = [];
  /** By default everybody may do everything. */
  answers: Answer = says({ allowed: true });

  answer(body: unknown, response: ServerResponse): void {
    const { spec } = review.parse(body);
    this.asked.push(spec);
    this.answers(response, spec);
  }
}
