/** A process that invites and enrols, one node after another, until it is killed: FILE FIRST. It says what is on disk. */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { clientJoinMac, joinKeyOf } from '@centreond/protocol/channel';
import { Trust } from '../../../core/dist/doors/trust.js';

const [, , file = '', first = '0'] = process.argv;
const trust = new Trust({ file, clients: { trust: 'pending', authorized: [] } });
const body = Buffer.from('{}');
for (let i = Number(first); ; i++) {
  const identity = `node-${i}`;
  const { token } = trust.invite({ identity, seconds: 3600, by: 'root' });
  writeSync(1, `invited ${identity}\n`);
  const invitation = trust.invitationOf({ body, mac: clientJoinMac(joinKeyOf(token), body) });
  if (!invitation) throw new Error('the token is not open');
  trust.enrol(invitation, createHash('sha256').update(identity).digest('base64url'));
  writeSync(1, `enrolled ${identity}\n`);
}
