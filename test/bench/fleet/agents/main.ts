// A process with many agents. The bench starts it with a channel for orders, and ends it by `leave` or by its own end.
import { createSecureContext } from 'node:tls';
import { FleetAgent } from './fleet-agent.ts';
import { type News, type Order, order, type Span } from './messages.ts';

const countMilliseconds = 100;

const agents: FleetAgent[] = [];
let port = 0;
let boots: Span[] = [];
let away: Span[] = [];

function tell(message: News): void {
  process.send?.(message);
}

function join({ authority, agents: joining, bootMilliseconds, bare, port: first }: Extract<Order, { do: 'join' }>) {
  // One for all: each of them would parse the certificate again. It keeps no TLS sessions, so each handshake is whole.
  const trusted = createSecureContext({ ca: authority });
  port = first;
  for (const { token, address } of joining) {
    const agent = new FleetAgent({
      ...{ token, address, trusted, bootMilliseconds, bare, port: () => port },
      booted: (span) => boots.push(span),
      wasAway: (span) => away.push(span),
    });
    agents.push(agent);
    void agent.stayConnected();
  }
}

function obey(message: Order): void {
  if (message.do === 'join') join(message);
  if (message.do === 'move') port = message.port;
  if (message.do === 'drop') for (const agent of agents) agent.drop();
  if (message.do === 'leave') leave();
  if (message.do === 'tell') {
    tell({ kind: 'lives', boots, away });
    boots = [];
    away = [];
  }
}

function leave(): void {
  for (const agent of agents) agent.leave();
  process.exit();
}

process.on('message', (message) => obey(order.parse(message)));
process.on('disconnect', leave);
setInterval(() => tell({ kind: 'count', live: agents.filter(({ isLive }) => isLive).length }), countMilliseconds);
