import { errors } from './errors';
import { frame } from './frame';
import { groups } from './groups';
import { messages as bodies } from './bodies';
import { project } from './project';
import { queues } from './queues';

export const messages = { ...frame, ...errors, ...queues, ...bodies, ...groups, ...project } satisfies Record<string, readonly [en: string, fr: string]>;
