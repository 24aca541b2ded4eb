// The smallest identity provider that will do: whoever comes is its one user (OpenID Connect Core 1.0,
// authorization code). For a cluster of nodes, which have none of their own.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';

/** start answers a provider whose user has these roles in a project. */
export async function start({ project, name, roles, audience = 'dms', client = 'dms-console' }) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const text = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
  const token = (claims) => {
    const now = Math.floor(Date.now() / 1000);
    const signed = `${text({ alg: 'RS256', kid: 'one', typ: 'JWT' })}.${text({ iss: issuer, sub: 'ada', name: 'Ada', iat: now, exp: now + 3600, jti: randomUUID(), ...claims })}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  };
  const access = () => token({ aud: [audience], dms_projects: [{ id: project, name, roles }] });
  const codes = new Map();
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, issuer);
    const say = (v) => (res.writeHead(200, { 'Content-Type': 'application/json' }), res.end(JSON.stringify(v)));
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return say({ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`, response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'] });
      case '/keys':
        return say({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] });
      case '/authorize': {
        const code = randomUUID();
        codes.set(code, url.searchParams.get('nonce'));
        res.writeHead(302, { Location: `${url.searchParams.get('redirect_uri')}?${new URLSearchParams({ code, state: url.searchParams.get('state') })}` });
        return res.end();
      }
      case '/token': {
        let body = '';
        for await (const part of req) body += part;
        const nonce = codes.get(new URLSearchParams(body).get('code'));
        return say({ access_token: access(), id_token: token({ aud: client, nonce }), token_type: 'Bearer', expires_in: 3600 });
      }
      default:
        res.writeHead(404);
        return res.end();
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  return { issuer, access, stop: () => (server.closeAllConnections(), new Promise((done) => server.close(done))) };
}
