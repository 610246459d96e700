// What the agent needs to serve its node: its operator, the token that identifies it to the operator, a state folder.
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';
import { allowedNames } from './allowed-names-check.ts';
import { type Check, failed, notApplicable, type Outcome, ok } from './check.ts';

/** The audience of tokens that the operator accepts (design §7). */
const audience = 'lcow-operator';

/** The claims in a kubelet's projected token. */
const claims = z.object({
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  exp: z.number(),
  'kubernetes.io': z.object({ node: z.object({ name: z.string() }).optional() }).optional(),
});

const token: Check = {
  id: 'token',
  title: 'token',
  needsWindows: false,
  async run({ tokenFile }, ports) {
    if (tokenFile === undefined) return notApplicable('--token-file was not given');
    const text = await ports.readFile(tokenFile).catch((error: unknown) => new Error(messageOf(error)));
    if (text instanceof Error)
      return failed(`${tokenFile} cannot be read: ${text.message}`, 'mount the projected token');
    const parsed = claims.safeParse(payloadOf(text.trim()));
    if (!parsed.success) return failed(`${tokenFile} holds no service account token`, 'mount the projected token');
    return judgeToken(parsed.data, ports.clock.now());
  },
};

function judgeToken({ aud, exp, ...rest }: z.infer<typeof claims>, now: number): Outcome {
  if (!aud.includes(audience)) {
    const given = aud.join(', ');
    return failed(`the token is for ${given}`, `project a token with audience ${audience}`);
  }
  const expires = new Date(exp * 1000).toISOString();
  if (exp * 1000 <= now) return failed(`the token expired at ${expires}`, 'see why the kubelet does not renew it');
  const node = rest['kubernetes.io']?.node?.name;
  if (node === undefined) {
    return failed('the token does not name its node', 'use Kubernetes 1.32 or later, which binds tokens to nodes');
  }
  return ok(`for ${audience} from node ${node}, until ${expires}`);
}

/** Does not verify the signature; the API server does. */
function payloadOf(text: string): unknown {
  const [, payload = '', signature] = text.split('.');
  if (signature === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const caFile: Check = {
  id: 'ca-file',
  title: 'CA of the operator',
  needsWindows: false,
  async run({ caFile: path }, ports) {
    if (path === undefined) return notApplicable('--ca-file was not given: the CAs of the system are trusted');
    const text = await ports.readFile(path).catch((error: unknown) => new Error(messageOf(error)));
    const fix = 'mount the ConfigMap lcow-operator-ca';
    if (text instanceof Error) return failed(`${path} cannot be read: ${text.message}`, fix);
    const authorities = text.match(pemCertificate) ?? [];
    if (authorities.length === 0) return failed(`${path} has no certificate`, fix);
    try {
      const valid = authorities
        .map((pem) => new X509Certificate(pem))
        .filter(({ ca, validToDate }) => ca && validToDate.getTime() > ports.clock.now());
      if (valid.length > 0) return ok(`${valid.length} of ${authorities.length} certificates are those of a valid CA`);
      return failed(`no certificate of ${path} is that of a valid CA`, fix);
    } catch (error) {
      return failed(`${path} has a certificate that cannot be read: ${messageOf(error)}`, fix);
    }
  },
};

/** What to do about a failed connection, by error code. */
const connectFixes: Readonly<Record<string, string>> = {
  ENOTFOUND:
    'give an address that this node can look up: host networks of Windows nodes often do not know cluster names',
  EAI_AGAIN: 'see whether the name server of this node answers',
  ECONNREFUSED: 'see whether the operator runs, and the port',
  ECONNRESET: 'see whether a proxy or firewall is between the node and the operator',
  ETIMEDOUT: 'open the way from this node to the port: routes, firewalls, network policies',
  EHOSTUNREACH: 'open the way from this node to the port: routes, firewalls, network policies',
  ENETUNREACH: 'open the way from this node to the port: routes, firewalls, network policies',
  CERT_HAS_EXPIRED: 'see whether the clock of this node is right',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use a name or address that the certificate of the operator has',
};
const otherCertificate = 'give the CA of this operator with --ca-file';

const operator: Check = {
  id: 'operator',
  title: 'operator',
  needsWindows: false,
  async run({ caFile: path, operatorUrl }, ports) {
    if (operatorUrl === undefined) return notApplicable('--operator-url was not given');
    const url = URL.parse(operatorUrl);
    if (url === null) return failed(`${operatorUrl} is no URL`, 'give wss://<host>:8443/v1/agents');
    try {
      // Another check reports a CA that cannot be read.
      await ports.connect(url, path === undefined ? undefined : await ports.readFile(path).catch(() => ''));
      return ok(`${url.host} answers`);
    } catch (error) {
      return failed(`${url.host}: ${messageOf(error)}`, connectFixes[codeOf(error)] ?? otherCertificate);
    }
  },
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

const stateFolder: Check = {
  id: 'state-folder',
  title: 'state folder',
  needsWindows: false,
  async run({ stateDir }, ports) {
    const problem = await ports.stateFolderProblem(stateDir);
    if (problem === undefined) return ok(stateDir);
    return failed(problem, 'find out who created it and what it contains, then remove it: the agent creates its own');
  },
};

export const agentChecks: readonly Check[] = [token, caFile, operator, allowedNames, stateFolder];
