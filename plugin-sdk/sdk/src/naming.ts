import { isAction } from '@centreond/protocol';

/** What of a manifest has names. */
interface Named {
  readonly type: string;
  readonly actions: readonly { readonly name: string }[];
}

/** What a plugin's type may be. */
export const TYPE_PATTERN = /^[a-z][a-z0-9-]{0,63}$/;

/** The name of the action `action` in a plugin that the config loads `as` another type: `weather-eu`, `FORECAST` → `WEATHER_EU_FORECAST`. */
export function actionAs(as: string, action: string): string {
  return `${as.toUpperCase().replaceAll('-', '_')}_${action}`;
}

/**
 * The manifest of a plugin that the config loads `as` another type: with that type, and with its actions under that prefix. Its events,
 * codes and hash stay. A name may come out longer than an action's can be: {@link longNameOf} finds it.
 */
export function manifestAs<M extends Named>(
  manifest: M,
  as: string | undefined,
): M & { readonly declaredType?: string } {
  if (as === undefined) return manifest;
  const actions = manifest.actions.map((action) => ({ ...action, name: actionAs(as, action.name) }));
  return { ...manifest, type: as, declaredType: manifest.type, actions };
}

/** The first action name that is invalid. */
export function longNameOf({ actions }: Pick<Named, 'actions'>): string | undefined {
  return actions.find(({ name }) => !isAction(name))?.name;
}
