#!/usr/bin/python3
"""A centreond client in Python, written to be read: sessions, requests, rows and history over one DEALER.

README.md says how to run it and what it omits. The encryption is in centreond_channel.py.
"""
import argparse
import collections
import json
import random
import re
import sys
import time
import uuid

import zmq
from cryptography.hazmat.primitives import serialization

from centreond_channel import (
    HANDSHAKE_LIMIT, ProtocolError, SessionLost, auth_message, make_hello, message, parse, read_key, thumbprint, unb64,
)

PING_AFTER = 5  # seconds without a message from the router
LOST_AFTER = 15  # seconds without an answer to a PING
ATTEMPT = 5  # seconds for one step of a handshake
TERMINAL = (1, 2)  # codes of a token's last row: failed, finished


class Replaced(Exception):
    """Another process connected with this identity. Do not reconnect within 60 seconds: give each process its own."""


class Refused(Exception):
    """The router refused. `code` is for programs (codes.json lists all), the text for people."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["error"]


# ---- A session on its connection ---------------------------------------------------------------------------------------


class Session:
    """One handshake on one DEALER. A lost session is never repaired: close it and make another."""

    def __init__(self, address, identity, key, fingerprint):
        self.welcome, self.limit = None, HANDSHAKE_LIMIT
        self.heard, self.pinged = time.monotonic(), None
        self.socket = zmq.Context.instance().socket(zmq.DEALER)  # without a routing id of its own
        self.socket.setsockopt(zmq.LINGER, 0)  # records that were not sent must not reach a later session
        self.socket.setsockopt(zmq.IPV6, 1)
        self.socket.setsockopt(zmq.SNDTIMEO, ATTEMPT * 1000)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        try:
            self.socket.connect(address)
            self._shake_hands(identity, key, fingerprint)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, identity, key, fingerprint):
        answer = re.fullmatch(rb"\[PUBKEY\] \[([A-Za-z0-9_-]+)\]", self._ask_in_clear(b"[GETPUBKEY]"))
        try:
            router_key = serialization.load_der_public_key(unb64(answer[1].decode()))
        except (TypeError, ValueError):
            raise ProtocolError("the router did not answer with a public key") from None
        if thumbprint(router_key) != fingerprint:
            raise ProtocolError(f"this router has the key {thumbprint(router_key)}, and {fingerprint} is pinned")
        hello = make_hello(key, identity, router_key)
        m2 = self._ask_in_clear(hello.frame)
        if m2.startswith(b"[ACK] [] "):
            raise Refused(parse(m2)[2]["data"])
        self.outgoing, self.incoming, th = read_key(hello, m2)
        self._transmit(self.outgoing.seal([auth_message(key, th)]))
        welcome = [parse(text) for text in self.receive(time.monotonic() + ATTEMPT)]
        if len(welcome) != 1 or welcome[0][:2] != ("ACK", "") or welcome[0][2]["code"] != 0:
            raise ProtocolError("the router did not welcome this session")
        self.welcome = welcome[0][2]["data"]
        self.limit = self.welcome["maxMessage"] + 4096

    def _ask_in_clear(self, frame):
        self._transmit(frame)
        if not self.socket.poll(ATTEMPT * 1000):
            raise SessionLost(f"no answer within {ATTEMPT} s: is the address right, and does the router run?")
        return self.socket.recv_multipart()[0]

    def _transmit(self, frame):
        """A record that could not be sent has used up its number, so the session ends with it."""
        try:
            self.socket.send(frame)
        except zmq.ZMQError as error:
            raise SessionLost(f"the record could not be sent: {error}") from None

    def send(self, *messages):
        for text in messages:
            if len(text) > self.welcome["maxMessage"]:
                raise ValueError(f"the message has {len(text)} bytes, and the router takes {self.limit - 4096}")
        self._transmit(self.outgoing.seal(messages))

    def receive(self, until):
        """The messages of the next record. Raises TimeoutError if none has come at the monotonic time `until`."""
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self.monitor, zmq.POLLIN)
        while True:
            now = time.monotonic()
            ping_at = self.pinged + LOST_AFTER if self.pinged else self.heard + PING_AFTER
            if self.welcome is None:
                ping_at = until
            ready = dict(poller.poll(max(0, min(until, ping_at) - now) * 1000))
            if self.socket in ready:
                frame, *more = self.socket.recv_multipart()
                if more or frame == b"[NOSESSION] []":
                    raise SessionLost("the router does not know this session")
                if frame[:1] == b"\1":
                    self.heard, self.pinged = time.monotonic(), None
                    return self.incoming.open(frame, self.limit)
                # Anything else in clear could come from anybody. Only before the welcome can it matter: a refusal.
                if self.welcome is None and frame.startswith(b"[ACK] [] "):
                    raise Refused(parse(frame)[2]["data"])
            elif self.monitor in ready:
                raise SessionLost("the connection closed")
            elif time.monotonic() >= until:
                raise TimeoutError("no answer in time")
            elif self.pinged and time.monotonic() >= ping_at:
                raise SessionLost(f"the router did not answer a PING within {LOST_AFTER} s")
            elif time.monotonic() >= ping_at:
                self.pinged = time.monotonic()
                self.send(message("PING", "idle", "", {}))

    def close(self):
        if not self.socket.closed:
            self.socket.disable_monitor()
            self.socket.close()


# ---- The client --------------------------------------------------------------------------------------------------------


class Client:
    """One identity at one router. Waits in the caller's thread; use one thread at a time.

    A lost session is replaced by a new one, and what was not answered is sent again with the same token and bytes. The
    router runs a token once, so that is harmless. Every wait ends with TimeoutError after `timeout` seconds.
    """

    def __init__(self, address, identity, key, fingerprint, timeout=60):
        self.door, self.timeout = (address, identity, key, fingerprint), timeout
        self.answers, self.rows = {}, {}  # of the tokens that this client waits for or follows
        self.session = Session(*self.door)

    def ask(self, action, data, token=None, target="", until=None):
        """Sends a request and returns the data of its ACK: for a request that is to run, that it was accepted."""
        token = token or str(uuid.uuid4())
        until = until or time.monotonic() + self.timeout
        self.answers[token] = None
        try:
            while self.answers[token] is None:
                try:
                    self.session.send(message(action, token, target, data))
                    while self.answers[token] is None:
                        self._hear(until)
                except SessionLost as lost:
                    self._reconnect(lost, until)
            answer = self.answers[token]
        finally:
            del self.answers[token]
        if answer["code"] != 0:
            raise Refused(answer["data"])
        return answer["data"]

    def run(self, action, data, token=None, target=""):
        """Sends a request and yields its rows as they are written. The last one has code 2, or 1 if it failed."""
        token = token or str(uuid.uuid4())
        until = time.monotonic() + self.timeout
        self.ask(action, data, token, target, until)
        yield from self.follow(token, until=until)

    def follow(self, token, last=0, until=None):
        """Yields the rows of a token whose id is above `last`, up to its terminal row."""
        until = until or time.monotonic() + self.timeout
        self.rows[token] = collections.deque()
        try:
            session = None
            while True:
                if session is not self.session:  # at first, and after each new session: go on after the last row seen
                    self.ask("FOLLOW", {"token": token, "id": last}, until=until)
                    session = self.session
                while self.rows[token]:
                    row = self.rows[token].popleft()
                    if row["id"] > last:
                        last = row["id"]
                        yield row
                        if row["code"] in TERMINAL:
                            return
                try:
                    self._hear(until)
                except SessionLost as lost:
                    self._reconnect(lost, until)
        finally:
            del self.rows[token]

    def history(self, **wanted):
        """Yields the stored rows that match (token, code, ctime, etime, id), over as many pages as there are."""
        more = True
        while more:
            page = self.ask("GETLOG", wanted)
            yield from page["result"]
            more = page["more"]
            if more:
                wanted["id"] = page["result"][-1]["id"]

    def ping(self):
        return self.ask("PING", {})

    def close(self):
        self.session.close()

    def _hear(self, until):
        for text in self.session.receive(until):
            verb, token, data = parse(text)
            if verb in ("ACK", "PONG") and token in self.answers:
                self.answers[token] = data
            elif verb == "LOG" and token in self.rows:
                self.rows[token].append(data)
            elif verb == "BYE" and data["reason"] == "REPLACED":
                raise Replaced("another process connected with this identity")
            elif verb == "BYE":
                raise SessionLost(f"the router ended the session: {data['reason']}")

    def _reconnect(self, lost, until):
        """A new session, after a pause that grows from 50 ms to 5 s and differs between clients."""
        self.session.close()
        pause = 0.05
        while True:
            time.sleep(min(pause * random.uniform(0.5, 1), max(0, until - time.monotonic())))
            if time.monotonic() >= until:
                raise lost
            try:
                self.session = Session(*self.door)
                return
            except (SessionLost, TimeoutError, Refused) as error:
                lost, pause = error, min(pause * 2, 5)


def load_key(file):
    """An RSA key: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out FILE"""
    with open(file, "rb") as pem:
        return serialization.load_pem_private_key(pem.read(), password=None)


def main():
    parser = argparse.ArgumentParser(description="Send one request to a centreond router and print its rows.")
    parser.add_argument("--key", required=True, help="PEM file of your RSA key")
    parser.add_argument("--fingerprint", action="store_true", help="print your key's fingerprint and exit")
    parser.add_argument("--door", help="the router's address, for example tcp://127.0.0.1:5555")
    parser.add_argument("--identity", help="the name that the router knows your key by")
    parser.add_argument("--router", help="the fingerprint of the router's key")
    parser.add_argument("action", nargs="?", default="PING", help="PING, GETLOG or an action to run (default: PING)")
    parser.add_argument("data", nargs="?", default="{}", type=json.loads, help="its DATA as JSON")
    asked = parser.parse_args()
    key = load_key(asked.key)
    if asked.fingerprint:
        print(thumbprint(key.public_key()))
        return 0
    try:
        client = Client(asked.door, asked.identity, key, asked.router)
        if asked.action == "PING":
            rows = [client.ping()]
        else:
            rows = client.history(**asked.data) if asked.action == "GETLOG" else client.run(asked.action, asked.data)
        row = None
        for row in rows:
            print(json.dumps(row), flush=True)
        client.close()
    except (Refused, SessionLost, Replaced, TimeoutError) as error:
        print(f"{getattr(error, 'code', type(error).__name__)}: {error}", file=sys.stderr)
        return 1
    return 1 if asked.action not in ("PING", "GETLOG") and row["code"] == 1 else 0


if __name__ == "__main__":
    sys.exit(main())
