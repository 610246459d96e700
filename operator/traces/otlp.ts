// Spans in the JSON form of the OpenTelemetry protocol (OTLP 1.x, ExportTraceServiceRequest): ids in hexadecimal, 64-bit
// numbers as text.
import { z } from 'zod';
import type { RandomUUID } from '../../runtime/clock.ts';
import type { Span } from './span.ts';

type Attributes = Readonly<Record<string, string | number>>;

/** What the spans are about: the program. */
export interface Origin {
  readonly version: string;
  readonly replica: string;
}

const internal = 1;

/** One tree, with new ids, as the text of a list's elements. */
export function encodeTree(tree: Span, randomUUID: RandomUUID): string {
  const traceId = hexDigits(randomUUID());
  const encode = ({ attributes, end, name, parts, start }: Span, parentSpanId: string): string[] => {
    const spanId = hexDigits(randomUUID()).slice(16);
    const span = {
      traceId,
      spanId,
      ...(parentSpanId !== '' && { parentSpanId }),
      name,
      kind: internal,
      startTimeUnixNano: nanoseconds(start),
      endTimeUnixNano: nanoseconds(end),
      attributes: encodeAttributes(attributes),
    };
    return [JSON.stringify(span), ...parts.flatMap((each) => encode(each, spanId))];
  };
  return encode(tree, '').join(',');
}

export function encodeRequest(trees: readonly string[], { replica, version }: Origin): string {
  const attributes = encodeAttributes({
    'service.name': 'lcow-operator',
    'service.version': version,
    'service.instance.id': replica,
  });
  const scope = JSON.stringify({ name: 'lcow-operator', version });
  const resource = JSON.stringify({ attributes });
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":[{"scope":${scope},"spans":[${trees.join(',')}]}]}]}`;
}

const answer = z.object({ partialSuccess: z.object({ rejectedSpans: z.coerce.number().int().nonnegative() }) });

/** How many spans of a request a collector did not take although it accepted the request. */
export function rejectedSpans(text: string): number {
  try {
    return answer.safeParse(JSON.parse(text)).data?.partialSuccess.rejectedSpans ?? 0;
  } catch {
    return 0;
  }
}

function encodeAttributes(attributes: Attributes) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
  }));
}

function nanoseconds(milliseconds: number): string {
  return String(BigInt(Math.round(milliseconds)) * 1_000_000n);
}

function hexDigits(uuid: string): string {
  return uuid.replaceAll('-', '');
}
