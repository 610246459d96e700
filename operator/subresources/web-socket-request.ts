// Checks whether an upgrade requests a WebSocket of `exec`, `console` or `portforward`, before anything is started for it: the
// WebSocket library would find out later.
import type http from 'node:http';
import { channelSubprotocol } from '../../protocol/subresources.ts';
import { hasBody } from './http-answers.ts';
import { badRequest, type Refusal } from './refusal.ts';

/** 16 bytes in base64 (RFC 6455 §4.1). */
const key = /^[+/0-9A-Za-z]{22}==$/;

/** Undefined when there is no problem. */
export function webSocketProblem(request: http.IncomingMessage): Refusal | undefined {
  const { headers, method } = request;
  if (hasBody(request)) return badRequest('a request has no body here');
  if (method !== 'GET') return badRequest('only GET is served');
  if (headers.upgrade?.toLowerCase() !== 'websocket') return badRequest('only an upgrade to a WebSocket is served');
  if (headers['sec-websocket-version'] !== '13' || !key.test(headers['sec-websocket-key'] ?? '')) {
    return badRequest('the WebSocket must be of version 13, with a key');
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  const wanted = offered.filter((each) => each === channelSubprotocol);
  return wanted.length === 1 ? undefined : badRequest(`the subprotocol must be ${channelSubprotocol}`);
}
