// As `centreond-plugin types` writes it.
import '@centreond/plugin-sdk';

declare module '@centreond/plugin-sdk' {
  interface Actions {
    COMMAND: { input: { command: string; timeoutSeconds?: number }; output: { exitCode: number }; reply: 'row' };
    PING: { input: Record<string, never>; output: unknown; reply: 'ack' };
    GETLOG: { input: { token?: string }; output: { more: boolean }; reply: 'ack' };
  }
  interface Events {
    ALARM: { at: string };
  }
}
