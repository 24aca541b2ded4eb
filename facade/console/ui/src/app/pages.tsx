import type { RouteObject } from 'react-router';

// Each page is loaded when it is first shown.
export const pages: RouteObject[] = [
  { index: true, lazy: async () => ({ Component: (await import('../pages/Overview')).default }) },
  { path: 'queues', lazy: async () => ({ Component: (await import('../pages/Queues')).default }) },
  { path: 'queues/create', lazy: async () => ({ Component: (await import('../pages/CreateQueue')).default }) },
  { path: 'queues/:queue', lazy: async () => ({ Component: (await import('../pages/queue/Queue')).default }) },
  { path: 'queues/:queue/messages/:sequence', lazy: async () => ({ Component: (await import('../pages/queue/Queue')).default }) },
  { path: 'queues/:queue/groups/:group', lazy: async () => ({ Component: (await import('../pages/Group')).default }) },
  { path: 'dead-letters', lazy: async () => ({ Component: (await import('../pages/DeadLetters')).default }) },
  { path: 'alarms', lazy: async () => ({ Component: (await import('../pages/Alarms')).default }) },
  { path: 'access-keys', lazy: async () => ({ Component: (await import('../pages/AccessKeys')).default }) },
  { path: 'usage', lazy: async () => ({ Component: (await import('../pages/Usage')).default }) },
  { path: 'audit', lazy: async () => ({ Component: (await import('../pages/Audit')).default }) },
  { path: 'api', lazy: async () => ({ Component: (await import('../pages/Reference')).default }) },
  { path: 'settings', lazy: async () => ({ Component: (await import('../pages/Settings')).default }) },
  { path: 'admin/projects', lazy: async () => ({ Component: (await import('../pages/admin/Projects')).default }) },
  { path: 'admin/events', lazy: async () => ({ Component: (await import('../pages/admin/Events')).default }) },
  { path: '*', lazy: async () => ({ Component: (await import('../pages/Missing')).default }) },
];
