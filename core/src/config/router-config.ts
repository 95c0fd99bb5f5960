/** The config file of a router to begin with: one door for this machine alone, and commands. */
export function routerConfig(id: string): string {
  return `# \`centreond check\` names every mistake in here before a restart meets it.

core:
  id: ${JSON.stringify(id).padEnd(33)} # this router's node id
  dataDir: ./var                        # keys, history, sockets; relative to this file
  external:
    listen: "tcp://127.0.0.1:5555"      # the encrypted door; leave \`external\` out for none
  # store: { retention: 7d, maxSize: 4GiB }
  # session: { idle: 24h }
  # maxMessage: 16MiB
  # log: { level: info }

clients:
  trust: pending                        # unknown keys wait for \`centreond keys accept\`; strict: refused
  authorized: []
  # - { identity: alice, fingerprint: "<what \`centreond keys show\` prints there>", roles: [client] }

plugins:                                # more of them in conf.d/*.yaml beside this file
  - package: "@centreond/plugin-action" # runs commands: the action COMMAND
    # restart: { max: 5, within: 60s }
    # config: {}
`;
}
