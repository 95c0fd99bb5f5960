/**
 * The verbs of the link between the core and an instance, besides actions and replies. They cannot be action names.
 *
 *   instance → core   [HELLO] [] [] {ticket}   [READY] [] [] {pid, hash}   [ROW] [TOKEN] [CODE] JSON   [STOPPED] [] []
 *                     [BEAT] [] []               [RELEASED] [] []            [HEARD] [NAME] [NUMBER]
 *                     [CARRIED] [NUMBER] [] {code, data}       [LINKUP] [NUMBER] [ROUTER]
 *                     [LINKDOWN] [NUMBER] []                   [LINKED] [NUMBER] [] MESSAGE
 *                     [LINKLOGS] [NUMBER] []
 *                     [CALLERUP] [NUMBER] [NAME] {roles, actions, targets, address}
 *                     [CALLERDOWN] [NUMBER] []                 [CALLED] [NUMBER] [] MESSAGE
 *                     [INSTANCEHEALTH] [STATE] [] {why}
 *                     [INSTANCEMETRICS] [] [] {name: {kind, title, value}}
 *                     [ANSWER] [NUMBER] [CODE] {the answer, or with code 1 error, message}
 *   core → instance   [ACTION] [TOKEN] [] DATA   [ABORT] [TOKEN] [] {error, message}
 *                     [ACTION] [TOKEN] [NUMBER] DATA           [ABORT] [TOKEN] [NUMBER] {error, message}
 *                     [BEAT] [] []               [RELEASE] [] [] {id, error, message}
 *                     [STORED] [ROWS] [CHARACTERS]
 *                     [EVENT] [NAME] [NUMBER] DATA             [STOP] [] [] {limitMs}
 *                     [CARRY] [NUMBER] [TARGET] {action, token, data, envelope}
 *                     [LINKED] [NUMBER] [] MESSAGE             [CALLED] [NUMBER] [] MESSAGE
 *                     [CALLERDOWN] [NUMBER] [] {error, message}: the caller is refused
 *
 * An action with a NUMBER is one that answers in the ACK: by ANSWER, and by no ROW.
 */
export const LINK_VERBS = [
  'HELLO',
  'READY',
  'ROW',
  'STOPPED',
  'BEAT',
  'RELEASED',
  'HEARD',
  'CARRIED',
  'LINKUP',
  'LINKDOWN',
  'LINKED',
  'LINKLOGS',
  'CALLERUP',
  'CALLERDOWN',
  'CALLED',
  'INSTANCEHEALTH',
  'INSTANCEMETRICS',
  'ANSWER',
  'ABORT',
  'RELEASE',
  'EVENT',
  'CARRY',
  'STORED',
  'STOP',
] as const;
