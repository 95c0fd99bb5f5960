import { describe, expect, test } from 'vitest';
import { exposureOf } from '../../../core/dist/cluster/nats-credentials.js';

describe('a NATS that anybody may read', () => {
  test.each(['nats://10.0.0.9:4222', 'tls://nats.example', 'nats://127.0.0.1:4222, nats://[2001:db8::1]:4222'])(
    'is warned of where it is not on this machine: %s',
    (servers) => {
      const said = exposureOf({ servers, credentials: undefined });
      expect(said).toMatch(/authenticated, not encrypted; set core\.cluster\.credentials, and tls:\/\//);
      expect(said).not.toContain('127.0.0.1');
    },
  );

  test.each(['nats://127.0.0.1:4222', 'nats://localhost:4222,nats://[::1]:4222', 'tls://127.8.8.8'])(
    'is not warned of where it is: %s',
    (servers) => {
      expect(exposureOf({ servers, credentials: undefined })).toBeUndefined();
    },
  );

  test('is not warned of where it asks for credentials', () => {
    expect(exposureOf({ servers: 'nats://10.0.0.9:4222', credentials: 'a:b' })).toBeUndefined();
  });
});
