// Serves requests from the API server: reads what is wanted, has the API server review what it has not authorised
// itself, and connects the user with the agent. A request is read once; what was reviewed is what is served.
import type http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import {
  type ChannelSubresource,
  channelSubprotocol,
  isChannelSubresource,
  subresourceGroup,
  subresourceVerbs,
} from '../../protocol/subresources.ts';
import type { Clock } from '../../runtime/clock.ts';
import { plainText } from '../../runtime/plain-text.ts';
import type { StreamRequest } from '../agents/session-streams.ts';
import type { AccessReviews } from './access-reviews.ts';
import { answerWithBytes, withoutPositions } from './byte-response.ts';
import { ChannelSocket, channelSocketOptions, forwardSocketOptions } from './channel-socket.ts';
import { hasBody, refuse, refuseConnection, sendJson } from './http-answers.ts';
import type { BegunStream, MachineStreams } from './machine-streams.ts';
import { badRequest, forbidden, notFound, type Refusal } from './refusal.ts';
import type { RemoteUser } from './remote-user.ts';
import {
  type MachineRequest,
  type Read,
  readExecQuery,
  readForwardQuery,
  readLogQuery,
  readTarget,
} from './request.ts';
import { webSocketProblem } from './web-socket-request.ts';

export interface MachineRequestsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly streams: MachineStreams;
  readonly reviews: AccessReviews;
}

/** A request to upgrade its connection. */
export interface Upgrade {
  readonly request: http.IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

export class MachineRequests {
  readonly #options: MachineRequestsOptions;
  readonly #webSockets = new WebSocketServer({ ...channelSocketOptions, ...noServer });
  readonly #forwards = new WebSocketServer({ ...forwardSocketOptions, ...noServer });

  constructor(options: MachineRequestsOptions) {
    this.#options = options;
  }

  async answer(user: RemoteUser, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (hasBody(request)) return refuse(response, badRequest('a request has no body here'));
    if (request.method !== 'GET') return refuse(response, badRequest('only GET is served'));
    const target = readTarget(request.url ?? '');
    if (target === undefined) return refuse(response, notFound('the server has no such resource'));
    if (target.kind === 'discovery') return sendJson(response, 200, target.document);
    const { request: wanted } = target;
    const type = wanted.subresource;
    if (isChannelSubresource(type)) {
      return refuse(response, badRequest(`${type} needs a WebSocket, subprotocol ${channelSubprotocol}`));
    }
    const refusal = await this.#refusalFor(user, wanted);
    if (refusal !== undefined) return refuse(response, refusal);
    if (type === 'log') return this.#log(user, wanted, response);
    const begun = await this.#begin(user, wanted, (uid) => ({ ok: true, value: { type, uid } }));
    if (!begun.ok) return refuse(response, begun.refusal);
    const contentType = type === 'stacks' ? 'text/plain; charset=utf-8' : 'application/json';
    return answerWithBytes(begun.value, response, { contentType });
  }

  async upgrade(user: RemoteUser, { head, request, socket }: Upgrade): Promise<void> {
    const { clock, logger } = this.#options;
    const problem = webSocketProblem(request);
    if (problem !== undefined) return refuseConnection(socket, problem, clock);
    const target = readTarget(request.url ?? '');
    const wanted = target?.kind === 'machine' ? target.request : undefined;
    if (wanted === undefined || !isChannelSubresource(wanted.subresource)) {
      return refuseConnection(socket, notFound('the server has no such resource for WebSockets'), clock);
    }
    const { name, namespace, subresource } = wanted;
    const refusal = await this.#refusalFor(user, wanted);
    if (refusal !== undefined) return refuseConnection(socket, refusal, clock);
    const begun = await this.#begin(user, wanted, (uid) => channelReaders[subresource](wanted, uid));
    if (!begun.ok) return refuseConnection(socket, begun.refusal, clock);
    const isForward = subresource === 'portforward';
    logger.info(
      {
        vm: `${namespace}/${name}`,
        user: plainText(user.username),
        subresource,
        ...(isForward && { port: Number(wanted.query.get('port')) }),
      },
      'a user has a stream to a VM',
    );
    if (socket.destroyed) return begun.value.stream.close();
    socket.once('close', () => begun.value.stream.close());
    const webSockets = isForward ? this.#forwards : this.#webSockets;
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void new ChannelSocket(webSocket, begun.value, clock, { tellsEndOfOutput: isForward }).serve();
    });
  }

  /** The API server itself has reviewed `get` for the path as written. */
  async #refusalFor(user: RemoteUser, wanted: MachineRequest): Promise<Refusal | undefined> {
    const { name, namespace, subresource } = wanted;
    const verb = subresourceVerbs[subresource];
    if (verb === 'get') return undefined;
    const { reviews, streams } = this.#options;
    const reviewed = await reviews.review(user, verb, wanted);
    if (reviewed.ok && reviewed.value === 'Allowed') return undefined;
    const refusal = reviewed.ok
      ? forbidden(
          `linuxutilityvms.${subresourceGroup} "${name}" is forbidden: User "${user.username}" cannot ${verb} resource ` +
            `"linuxutilityvms/${subresource}" in API group "${subresourceGroup}" in the namespace "${namespace}"`,
        )
      : reviewed.refusal;
    streams.refused(refusal);
    return refusal;
  }

  async #log(user: RemoteUser, wanted: MachineRequest, response: http.ServerResponse): Promise<void> {
    const query = readLogQuery(wanted);
    if (!query.ok) return refuse(response, query.refusal);
    const { positions, ...request } = query.value;
    const begun = await this.#begin(user, wanted, (uid) => ({
      ok: true,
      value: { type: 'logFollow', uid, ...request },
    }));
    if (!begun.ok) return refuse(response, begun.refusal);
    return answerWithBytes(begun.value, response, {
      contentType: 'text/plain; charset=utf-8',
      ...(!positions && { transform: withoutPositions() }),
    });
  }

  async #begin(
    user: RemoteUser,
    wanted: MachineRequest,
    request: (uid: string) => Read<StreamRequest>,
  ): Promise<Read<BegunStream>> {
    const { streams } = this.#options;
    const read = request(streams.uidOf(wanted) ?? '');
    return read.ok ? await streams.begin(user, wanted, read.value) : read;
  }
}

const noServer = { noServer: true, handleProtocols: () => channelSubprotocol } as const;

const channelReaders: Readonly<
  Record<ChannelSubresource, (wanted: MachineRequest, uid: string) => Read<StreamRequest>>
> = {
  exec: readExecQuery,
  console: (_, uid) => ({ ok: true, value: { type: 'console', uid } }),
  portforward: readForwardQuery,
};
