"""The encrypted channel of PROTOCOL.md section 5, client's side, without a socket.

Written to be read beside that section: the order here is the order there. check_vectors.py runs it against the
transcript and the negative vectors one folder up.
"""
import base64
import collections
import hashlib
import json
import os
import re
import struct
import time

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CIPHERS = {"chacha20-poly1305": ChaCha20Poly1305, "aes-256-gcm": AESGCM}
SHA256 = hashes.SHA256()
MGF = padding.MGF1(SHA256)
PSS = padding.PSS(mgf=MGF, salt_length=32)
OAEP = padding.OAEP(mgf=MGF, algorithm=SHA256, label=b"centreond/1 HELO")

HANDSHAKE_LIMIT = 8192  # bytes of any frame before AUTH is answered
REKEY_RECORDS = 2**20
REKEY_SECONDS = 3600


class SessionLost(Exception):
    """The session is over. Requests that the router accepted go on; a new session can ask for their rows."""


class ProtocolError(SessionLost):
    """The router sent what PROTOCOL.md forbids, so nothing more is believed in this session."""


# ---- Notation ----------------------------------------------------------------------------------------------------------


def H(*items):
    """SHA-256 over a 4-byte big-endian length and the bytes of each item."""
    return hashlib.sha256(b"".join(struct.pack(">I", len(item)) + item for item in items)).digest()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text, length=None):
    """The bytes of canonical base64url. Python's decoder skips foreign characters, so the result is encoded again."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (TypeError, ValueError):
        raise ProtocolError("a field is not base64url") from None
    if b64(data) != text or length not in (None, len(data)):
        raise ProtocolError("a field is not canonical base64url, or has a wrong length")
    return data


def sign(key, label, digest):
    return key.sign(b"centreond/1 " + label + b"\0" + digest, PSS, SHA256)


def is_signed(key, label, digest, signature):
    try:
        key.verify(signature, b"centreond/1 " + label + b"\0" + digest, PSS, SHA256)
    except InvalidSignature:
        return False
    return True


def hkdf(secret, salt, name, length):
    return HKDF(SHA256, length, salt, b"centreond/1 " + name).derive(secret)


def jwk_of(public_key):
    """The key as a JWK. Its members stand in the order that RFC 7638 hashes."""
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise ProtocolError("the key is not an RSA key")
    e, n = public_key.public_numbers().e, public_key.public_numbers().n
    if e != 65537 or not 2048 <= n.bit_length() <= 8192:
        raise ProtocolError("the key does not have 2048 to 8192 bits and the exponent 65537")
    return {"e": "AQAB", "kty": "RSA", "n": b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))}


def thumbprint(public_key):
    return b64(hashlib.sha256(compact(jwk_of(public_key))).digest())


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# ---- Handshake: M1, M2 and the keys ------------------------------------------------------------------------------------

# What a client keeps between its HELO and the KEY: the frame M1, its secrets, its own RSA key and the router's.
Hello = collections.namedtuple("Hello", "frame x25519 s1 key router_key")
# A session's two directions, and the transcript hash that AUTH signs.
Keys = collections.namedtuple("Keys", "outgoing incoming th")


def make_hello(key, identity, router_key):
    """M1. The box proves that we mean the holder of this router key; the signature proves who we are."""
    x25519, s1 = X25519PrivateKey.generate(), os.urandom(32)
    raw = x25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    body = compact({
        "v": 1,
        "ciphers": list(CIPHERS),
        "sid": thumbprint(router_key),
        "cid": thumbprint(key.public_key()),
        "jwk": jwk_of(key.public_key()),
        "x": b64(raw),
        "n": b64(os.urandom(32)),
        "ts": int(time.time() * 1000),
        "box": b64(router_key.encrypt(s1 + f"[HELO] [{identity}]".encode(), OAEP)),
    })
    frame = f"[HELO] {b64(body)}.{b64(sign(key, b'client helo', H(body)))}".encode()
    return Hello(frame, x25519, s1, key, router_key)


def read_key(hello, m2):
    """Checks M2 and derives the session's keys. The signature covers M1, so no KEY for another HELO passes."""
    verb, _, rest = m2.decode("latin-1").partition(" ")
    parts = rest.split(".")
    if verb != "[KEY]" or len(parts) != 2 or len(m2) > HANDSHAKE_LIMIT:
        raise ProtocolError("this is not a KEY")
    body, signature = map(unb64, parts)
    if not is_signed(hello.router_key, b"router key", H(hello.frame, body), signature):
        raise ProtocolError("the KEY is not signed by the pinned key for this HELO")
    answer = json_object(body)
    ids = (thumbprint(hello.key.public_key()), thumbprint(hello.router_key))
    if answer.get("v") != 1 or answer.get("cipher") not in CIPHERS or (answer.get("cid"), answer.get("sid")) != ids:
        raise ProtocolError("the KEY has another version, a cipher that was not offered, or is for other keys")
    unb64(answer.get("n"), 32)
    session = unb64(answer.get("session"), 16)
    try:
        shared = hello.x25519.exchange(X25519PublicKey.from_public_bytes(unb64(answer.get("x"), 32)))
    except ValueError:  # cryptography refuses an all-zero secret itself; elsewhere you must compare
        raise ProtocolError("the X25519 secret is all zero") from None
    th = H(hello.frame, m2)
    directions = []
    for number, name in ((1, b"c2s"), (2, b"s2c")):
        key, iv = (hkdf(shared + hello.s1, th, name + part, size) for part, size in ((b" key", 32), (b" iv", 12)))
        directions.append(Direction(number, CIPHERS[answer["cipher"]], session, key, iv))
    return Keys(*directions, th)


def auth_message(key, th):
    """M3, the first message of the first record."""
    return message("AUTH", "", "", {"s": b64(sign(key, b"client auth", th))})


# ---- Records -----------------------------------------------------------------------------------------------------------


class Direction:
    """The keys and the counter of one direction: 1 is client to router, 2 is router to client."""

    def __init__(self, number, cipher, session, key, iv, epoch=0, seq=0):
        self.number, self.cipher, self.session = number, cipher, session
        self.key, self.iv, self.epoch, self.seq = key, iv, epoch, seq
        self.since = time.monotonic()

    def next_keys(self):
        """The direction in its next epoch. Its keys come from the present key alone."""
        key, iv = hkdf(self.key, b"", b"update key", 32), hkdf(self.key, b"", b"update iv", 12)
        return Direction(self.number, self.cipher, self.session, key, iv, self.epoch + 1)

    def seal(self, messages):
        """One record. Send it before the next one is sealed: no (key, seq) may ever carry two plaintexts."""
        if self.seq >= REKEY_RECORDS or (self.seq > 0 and time.monotonic() - self.since > REKEY_SECONDS):
            if self.epoch == 0xFFFF:
                raise SessionLost("the session has used up its last keys")
            self.__dict__.update(self.next_keys().__dict__)
        header = struct.pack(">BBHQ", 1, self.number, self.epoch, self.seq)
        plaintext = b"".join(struct.pack(">I", len(text)) + text for text in messages)
        sealed = self.cipher(self.key).encrypt(self._nonce(), plaintext, header + self.session)
        self.seq += 1
        return header + sealed

    def open(self, frame, limit):
        """The messages of the next record. Takes the router's new keys only once a tag proved them."""
        if not 28 <= len(frame) <= limit + 28:
            raise ProtocolError("the record is too short or too long")
        version, number, epoch, seq = struct.unpack(">BBHQ", frame[:12])
        source = self if epoch != self.epoch + 1 else self.next_keys()
        if (version, number, epoch, seq) != (1, self.number, source.epoch, source.seq) or seq >= REKEY_RECORDS:
            raise ProtocolError("the record is not the next one: a replay, a gap or another direction")
        try:
            plaintext = self.cipher(source.key).decrypt(source._nonce(), frame[12:], frame[:12] + self.session)
        except InvalidTag:
            raise ProtocolError("the record's tag is wrong") from None
        source.seq += 1
        self.__dict__.update(source.__dict__)
        messages, at = [], 0
        while at < len(plaintext):
            start = at + 4
            at = start + int.from_bytes(plaintext[at:start], "big")
            if start > len(plaintext) or at > len(plaintext):
                raise ProtocolError("the last message does not end where its record ends")
            messages.append(plaintext[start:at])
        return messages

    def _nonce(self):
        """The iv, XORed in its last 8 bytes with the record's number."""
        return (int.from_bytes(self.iv, "big") ^ self.seq).to_bytes(12, "big")


# ---- Messages ----------------------------------------------------------------------------------------------------------


def message(action, token, target, data):
    return f"[{action}] [{token}] [{target}] ".encode() + compact(data)


def json_object(text):
    try:
        value = json.loads(text.decode("utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProtocolError("DATA is not a JSON object")
    return value


def parse(text):
    """(verb, token, data) of what a router sends. Only PONG and BYE have a TARGET, which is empty."""
    parts = re.fullmatch(rb"\[([A-Z]+)\] \[([A-Za-z0-9._:-]{0,255})\](?: \[\])? (\{.*)", text, re.DOTALL)
    if not parts:
        raise ProtocolError("this is not a message of a router")
    return parts[1].decode(), parts[2].decode(), json_object(parts[3])
