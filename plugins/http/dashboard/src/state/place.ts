import { type Place, placeOf } from './address.ts';
import { Store } from './store.ts';

export const place = new Store<Place>(placeOf(location.hash));
addEventListener('hashchange', () => place.set(placeOf(location.hash)));

/** Goes to an address; `instead` leaves no entry in the browser's history, for filters that change with each key. */
export function goTo(href: string, { instead = false } = {}): void {
  if (!instead) location.hash = href;
  else {
    history.replaceState(undefined, '', href);
    place.set(placeOf(href));
  }
}
