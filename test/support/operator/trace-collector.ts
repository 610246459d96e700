// A collector of traces: an HTTP server that keeps what it gets.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const body = z.object({
  resourceSpans: z.array(
    z.object({
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              name: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              attributes: z.array(
                z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) }),
              ),
            }),
          ),
        }),
      ),
    }),
  ),
});

type CollectedSpan = z.infer<typeof body>['resourceSpans'][number]['scopeSpans'][number]['spans'][number];

export class TraceCollector implements AsyncDisposable {
  /** Method, path, content type and authorization of each request. */
  readonly requests: string[] = [];
  readonly spans: CollectedSpan[] = [];
  readonly #server: Server;

  private constructor(answer: string) {
    this.#server = createServer(async (request, response) => {
      const { authorization = '', 'content-type': type = '' } = request.headers;
      this.requests.push([request.method, request.url, type, authorization].join(' ').trim());
      const { resourceSpans } = body.parse(await json(request));
      this.spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));
      response.setHeader('content-type', 'application/json').end(answer);
    });
  }

  static async listen(answer = '{}'): Promise<TraceCollector> {
    const collector = new TraceCollector(answer);
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
