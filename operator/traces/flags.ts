// The flags for traces. They are off by default.
import { InvalidArgumentError, Option } from 'commander';
import type { HttpCollectorSettings } from './http-collector.ts';

export interface TraceFlags {
  readonly tracesEndpoint?: URL;
  readonly tracesTokenFile?: string;
}

export function traceOptions(): readonly Option[] {
  return [
    new Option(
      '--traces-endpoint <url>',
      'collector for traces of boots and rollouts, over OTLP/HTTP, such as http://collector:4318 (default: none)',
    ).argParser(endpoint),
    new Option('--traces-token-file <file>', 'file with the bearer token for that collector, which needs HTTPS'),
  ];
}

/** Undefined: no traces. Throws if the flags make no sense together. */
export function traceSettings(flags: TraceFlags): HttpCollectorSettings | undefined {
  const { tracesEndpoint, tracesTokenFile: tokenFile } = flags;
  if (tokenFile !== undefined && tracesEndpoint?.protocol !== 'https:') {
    throw new Error('--traces-token-file needs --traces-endpoint with https, or anyone could read the token');
  }
  return tracesEndpoint && { endpoint: tracesEndpoint, tokenFile };
}

function endpoint(given: string): URL {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new InvalidArgumentError('must be a URL with http or https');
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('must not contain a password: use --traces-token-file');
  }
  if (url.search !== '' || url.hash !== '') throw new InvalidArgumentError('must end with its path');
  return url;
}
