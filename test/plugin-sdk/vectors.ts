import { readFileSync } from 'node:fs';

/** One of the files of vectors, as an implementer in another language finds it. */
export function vectorsOf<T>(name: string): T {
  const file = new URL(import.meta.resolve(`@centreond/protocol/${name}`));
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}

/** What negative.json holds. */
export interface NegativeVectors {
  now_ms: number;
  identity: string;
  join_token: string;
  s1_hex: string;
  x25519_private_hex: string;
  m1: string;
  m1_joining: string;
  m2: string;
  m2_joining: string;
  base64: { name: string; text: string }[];
  hellos: { name: string; step: string; frame: string }[];
  keys: { name: string; fault: string; joins: boolean; frame: string }[];
  auth: { th_hex: string; right: string; wrong: { name: string; message: string }[] };
  records: {
    cipher: 'aes-256-gcm' | 'chacha20-poly1305';
    direction: 1 | 2;
    session_hex: string;
    key_hex: string;
    iv_hex: string;
    max_plaintext: number;
    right_hex: string[];
    wrong: { name: string; fault: string; before_hex: string[]; frame_hex: string }[];
  }[];
  messages: { name: string; text: string }[];
}
