/** The connecting end of a socket, by libzmq or our own. For sessions and the links of instances. */
export { type Dealer, type DealerHandlers, type DealerOptions, openDealer } from './dealer.ts';
