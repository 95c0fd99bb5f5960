import { type Manifest, manifestOf } from '@centreond/plugin-sdk/internal';
import { KeyActions, type KeyActionsOptions } from './doors/key-actions.ts';
import { FleetActions, type FleetActionsOptions } from './fleet/fleet-actions.ts';
import { NodeActions, type NodeActionsOptions } from './fleet/node-actions.ts';
import { RouterActions, type RouterActionsOptions } from './fleet/router-actions.ts';
import { EventActions, type EventActionsOptions } from './host/event-actions.ts';
import { PluginActions, type PluginActionsOptions } from './host/plugin-actions.ts';
import { ServiceActions, type ServiceOptions } from './host/service-actions.ts';
import { HistoryActions, type HistoryOptions } from './router/history-actions.ts';
import { RequestActions, type RequestActionsOptions } from './router/request-actions.ts';
import { StatusActions, type StatusOptions } from './router/status-actions.ts';

/** What the core's actions work on, of all rooms. */
export type CoreRooms = StatusOptions &
  EventActionsOptions &
  HistoryOptions &
  RequestActionsOptions &
  PluginActionsOptions &
  KeyActionsOptions &
  FleetActionsOptions &
  NodeActionsOptions &
  RouterActionsOptions &
  ServiceOptions;

/** The classes of the core's own actions, declared like those of every plugin. A new subject is a line here. */
const CLASSES = [
  StatusActions,
  EventActions,
  HistoryActions,
  RequestActions,
  PluginActions,
  KeyActions,
  FleetActions,
  NodeActions,
  RouterActions,
  ServiceActions,
] as const;

/** One object of each class. */
export function coreActions(rooms: CoreRooms): object[] {
  return CLASSES.map((Actions) => new Actions(rooms));
}

/** What the core declares. It needs no daemon. Its hash is that of the first class: nothing compares it. */
export const coreManifest: Manifest = {
  ...manifestOf(StatusActions),
  actions: CLASSES.flatMap((Actions) => manifestOf(Actions).actions),
};

/** The names of the core's own actions, which no plugin may declare. */
export const coreActionNames: readonly string[] = coreManifest.actions.map(({ name }) => name);
