// What the tests of the console have in common.
export const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const roles = ['viewer', 'producer', 'consumer', 'manager', 'operator'];

/** session is what the service tells of who is signed in. */
export function session(env = process.env, minutes = 60) {
  return {
    subject: 'demo', name: 'Demo User', expires_at: new Date(Date.now() + minutes * 60_000).toISOString(), providers: [{ id: 'dev', name: 'Development' }],
    projects: [{ id: env.DMS_PROJECT_ID, name: env.DMS_PROJECT_NAME ?? 'demo', roles }, ...(env.DMS_PROJECT2_ID ? [{ id: env.DMS_PROJECT2_ID, name: env.DMS_PROJECT2_NAME ?? 'other', roles }] : [])],
  };
}
