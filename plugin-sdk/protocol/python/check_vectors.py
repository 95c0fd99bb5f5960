#!/usr/bin/python3
"""Checks centreond_channel.py against transcript.json and negative.json, as you would check a channel of your own.

Prints one line for each file, or stops with an AssertionError at the first step that differs.
"""
import json
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import centreond_channel as channel

FOLDER = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 65536


def load(name):
    return json.loads((FOLDER / name).read_text("utf-8"))


def private_key(pem):
    return serialization.load_pem_private_key(pem.encode(), password=None)


def hello_of(vector, m1, client, router):
    """The state of a client that has just sent `m1`."""
    x25519 = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["x25519_private_hex"]))
    return channel.Hello(m1.encode(), x25519, bytes.fromhex(vector["s1_hex"]), client, router)


def check_session(session, client, router):
    hello, key, secrets, auth = session["hello"], session["key"], session["secrets"], session["auth"]
    body, signature = hello["body"].encode(), bytes.fromhex(hello["signature_hex"])
    assert channel.H(body).hex() == hello["H_body_hex"]
    assert channel.is_signed(client.public_key(), b"client helo", channel.H(body), signature)
    assert hello["m1"] == f"[HELO] {channel.b64(body)}.{channel.b64(signature)}"
    box = channel.unb64(json.loads(body)["box"])
    assert router.decrypt(box, channel.OAEP).hex() == hello["box_plaintext_hex"]

    keys = channel.read_key(hello_of(hello, hello["m1"], client, router.public_key()), key["m2"].encode())
    assert keys.th.hex() == secrets["th_hex"]
    assert (keys.outgoing.key.hex(), keys.outgoing.iv.hex()) == (secrets["c2s_key_hex"], secrets["c2s_iv_hex"])
    assert (keys.incoming.key.hex(), keys.incoming.iv.hex()) == (secrets["s2c_key_hex"], secrets["s2c_iv_hex"])
    signature = bytes.fromhex(auth["signature_hex"])
    assert channel.is_signed(client.public_key(), b"client auth", keys.th, signature)
    assert auth["message"].encode() == channel.message("AUTH", "", "", {"s": channel.b64(signature)})

    for record in session["records"]:
        frame = bytes.fromhex(record["frame_hex"])
        messages = [text.encode() for text in record["messages"]]
        if record["from"] == "client":
            if record["epoch"] > keys.outgoing.epoch:
                keys.outgoing.__dict__.update(keys.outgoing.next_keys().__dict__)
            assert keys.outgoing.seal(messages) == frame, record["what"]
        else:
            assert keys.incoming.open(frame, LIMIT) == messages, record["what"]
            assert [channel.parse(text) for text in messages]


def is_refused(call, *given):
    try:
        call(*given)
    except channel.ProtocolError:
        return True
    return False


def check_refusals(negative, client, router):
    count = 0
    for vector in negative["base64"]:
        assert is_refused(channel.unb64, vector["text"]), vector["name"]
        count += 1
    hello = hello_of(negative, negative["m1"], client, router.public_key())
    channel.read_key(hello, negative["m2"].encode())
    for vector in negative["keys"]:
        if not vector["joins"]:  # this client uses no join tokens
            assert is_refused(channel.read_key, hello, vector["frame"].encode()), vector["name"]
            count += 1
    for given in negative["records"]:
        def receiver():
            session, key, iv = (bytes.fromhex(given[name]) for name in ("session_hex", "key_hex", "iv_hex"))
            return channel.Direction(given["direction"], channel.CIPHERS[given["cipher"]], session, key, iv)

        right = receiver()
        for frame in given["right_hex"]:
            right.open(bytes.fromhex(frame), given["max_plaintext"])
        for vector in given["wrong"]:
            tried = receiver()
            for frame in vector["before_hex"]:
                tried.open(bytes.fromhex(frame), given["max_plaintext"])
            assert is_refused(tried.open, bytes.fromhex(vector["frame_hex"]), given["max_plaintext"]), vector["name"]
            count += 1
    return count


def main():
    transcript, negative = load("transcript.json"), load("negative.json")
    client, router = (private_key(transcript[side]["private_key_pem"]) for side in ("client", "router"))
    spki = serialization.load_der_public_key(bytes.fromhex(transcript["in_clear"]["spki_hex"]))
    assert channel.thumbprint(spki) == transcript["router"]["thumbprint"]
    assert channel.thumbprint(client.public_key()) == transcript["client"]["thumbprint"]
    sessions = [session for session in transcript["sessions"] if "join_token" not in session]
    for session in sessions:
        check_session(session, client, router)
    print(f"transcript.json: {len(sessions)} sessions as they stand there")
    print(f"negative.json: {check_refusals(negative, client, router)} vectors refused")


if __name__ == "__main__":
    main()
