"""A NATS server with JetStream in memory, speaking the real protocol to the real client, with faults.

It is checked against nats-server itself: `tests/integration/test_simulated_nats.py` runs one suite on both.
"""

import asyncio
import base64
import datetime
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulation.consumer import SECOND, Consumer, Pull
from simulation.link import Link
from simulation.loop import VirtualLoop
from simulation.stream import Refusal, Stored, Stream, matches

_INFO = {
    "server_id": "SIMULATION",
    "server_name": "simulation",
    "version": "2.15.1",
    "proto": 1,
    "headers": True,
    "max_payload": 1024 * 1024,
    "jetstream": True,
    "auth_required": False,
}
API = "$JS.API."


@dataclass(frozen=True)
class Subscription:
    """Interest of one connection."""

    link: Link
    sid: str
    subject: str


class NatsServer:
    """The one server of a simulated installation."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance
        self.up = True
        self.streams: dict[str, Stream] = {}
        self.consumers: dict[tuple[str, str], Consumer] = {}
        self.links: list[Link] = []
        self.lost_answers = 0.0
        """Probability that an answer of JetStream is lost after the request was carried out."""
        self.stored: list[Callable[[str, Stored], None]] = []
        """Called with the stream's name for each message that is stored."""
        self._subscriptions: dict[tuple[Link, str], Subscription] = {}
        self._left: dict[tuple[Link, str], int] = {}
        self._batches: dict[str, list[tuple[str, dict[str, str], bytes]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    # Connections ---------------------------------------------------------------------------------------

    def accept(self, link: Link) -> None:
        """A client has connected."""
        link.received, link.ended = self._command, self._gone
        self.links.append(link)
        link.send(b"INFO " + json.dumps(_INFO | {"client_id": len(self.links)}).encode() + b"\r\n")

    def _gone(self, link: Link) -> None:
        if link in self.links:
            self.links.remove(link)
        for key in [key for key in self._subscriptions if key[0] is link]:
            del self._subscriptions[key]

    def stop(self, lose: dict[str, int] | None = None) -> None:
        """Go down; with `lose`, the newest messages of these streams are not there when it comes back."""
        self.up = False
        for link in list(self.links):
            link.break_()
        self._subscriptions.clear()
        self._batches.clear()
        for key, consumer in list(self.consumers.items()):
            consumer.pulls.clear()
            if consumer.ephemeral:
                del self.consumers[key]
        for name, count in (lose or {}).items():
            if name in self.streams:
                self.streams[name].lose_newest(count)
                for consumer in self.consumers.values():
                    if consumer.stream.name == name:
                        consumer.rewind()

    def start(self) -> None:
        """Come up with what was stored."""
        self.up = True
        self._arm()

    def redeliver(self) -> None:
        """Deliver everything again that is held, as after a restart that took longer than the leases."""
        for consumer in self.consumers.values():
            for held in consumer.held.values():
                held.deadline = self._loop.time()
        self._arm()

    def _command(self, link: Link, line: bytes, body: bytes) -> None:
        word, *rest = line.decode().split(" ")
        match word.upper():
            case "CONNECT" | "PONG":
                return
            case "PING":
                link.send(b"PONG\r\n")
            case "SUB":
                sid = rest[-1]
                self._subscriptions[(link, sid)] = Subscription(link, sid, rest[0])
                self._offer()
            case "UNSUB":
                if len(rest) > 1 and rest[1]:
                    self._left[(link, rest[0])] = int(rest[1])
                else:
                    self._subscriptions.pop((link, rest[0]), None)
            case "PUB":
                self.route(rest[0], rest[1] if len(rest) == 3 else "", {}, body)
            case "HPUB":
                size = int(rest[-2])
                self.route(rest[0], rest[1] if len(rest) == 4 else "", _headers(body[:size]), body[size:])
            case _:
                raise AssertionError(f"the client sent {line!r}")

    # Routing -------------------------------------------------------------------------------------------

    def route(self, subject: str, reply: str, headers: dict[str, str], data: bytes) -> None:
        """A message that a client published."""
        if subject.startswith("$JS.ACK."):
            self._acknowledge(subject, reply, data)
            return
        if subject.startswith(API):
            self._request(subject.removeprefix(API), reply, data)
            return
        heard = self._deliver(subject, reply, headers, data)
        stream = next((s for s in self.streams.values() if s.takes(subject)), None)
        if stream is not None:
            self._store(stream, subject, reply, headers, data)
        elif reply and not heard:
            self._deliver(reply, "", {"Status": "503"}, b"")

    def _deliver(self, subject: str, reply: str, headers: dict[str, str], data: bytes) -> bool:
        heard = False
        for key, one in list(self._subscriptions.items()):
            if not matches(one.subject, subject):
                continue
            heard = True
            one.link.send(_frame(subject, one.sid, reply, headers, data))
            if key in self._left:
                self._left[key] -= 1
                if self._left[key] <= 0:
                    del self._left[key]
                    self._subscriptions.pop(key, None)
        return heard

    def _store(self, stream: Stream, subject: str, reply: str, headers: dict[str, str], data: bytes) -> None:
        number = 1
        try:
            if batch := headers.get("Nats-Batch-Id"):
                self._batches.setdefault(batch, []).append((subject, headers, data))
                if "Nats-Batch-Commit" not in headers:
                    return
                messages = self._batches.pop(batch)
                number, sequence = len(messages), stream.publish_all(messages, self._loop.wall())
            else:
                sequence = stream.publish(subject, headers, data, self._loop.wall())
        except Refusal as refusal:
            self._answer(reply, {"error": refusal.body, "stream": stream.name, "seq": 0})
            return
        for stored in range(sequence - number + 1, sequence + 1):
            for told in self.stored:
                told(stream.name, stream.messages[stored])
        self._answer(reply, {"stream": stream.name, "seq": sequence})
        self._offer()

    def _answer(self, reply: str, body: dict[str, Any]) -> None:
        if reply and self._chance.random() >= self.lost_answers:
            self._deliver(reply, "", {}, json.dumps(body).encode())

    # Consumers -----------------------------------------------------------------------------------------

    def _acknowledge(self, subject: str, reply: str, word: bytes) -> None:
        parts = subject.split(".")
        consumer = self.consumers.get((parts[2], parts[3]))
        if consumer is not None:
            delay = 0.0
            if word.startswith(b"-NAK") and len(word) > 5:
                delay = json.loads(word[5:])["delay"] / SECOND
            done = consumer.acknowledge(int(parts[5]), word, delay, self._loop.time())
            if done and consumer.stream.config.get("retention") == "workqueue":
                consumer.stream.remove([int(parts[5])])
        if reply and self._chance.random() >= self.lost_answers:
            self._deliver(reply, "", {}, b"")
        self._arm()

    def _offer(self) -> None:
        """Deliver whatever can be delivered."""
        if not self.up:
            return
        for consumer in self.consumers.values():
            push = consumer.config.get("deliver_subject")
            if push:
                while self._interest(push) and (found := consumer.take(self._loop.time())) is not None:
                    self._hand_over(consumer, push, *found)
                continue
            for over in [pull for pull in consumer.pulls if pull.expires <= self._loop.time()]:
                consumer.pulls.remove(over)
                self._deliver(over.reply, "", {"Status": "408", "Description": "Request Timeout"}, b"")
            while consumer.pulls:
                pull = consumer.pulls[0]
                if not self._interest(pull.reply):
                    consumer.pulls.popleft()
                    continue
                found = consumer.take(self._loop.time())
                if found is None:
                    break
                self._hand_over(consumer, pull.reply, *found)
                pull.left -= 1
                if pull.left <= 0:
                    consumer.pulls.popleft()
        self._arm()

    def _hand_over(self, consumer: Consumer, to: str, message: Stored, count: int) -> None:
        consumer.delivered += 1
        nanoseconds = int(message.time * SECOND)
        ack = (
            f"$JS.ACK.{consumer.stream.name}.{consumer.name}.{count}.{message.sequence}"
            f".{consumer.delivered}.{nanoseconds}.{consumer.pending()}"
        )
        self._deliver_as(to, message.subject, ack, message.headers, message.data)

    def _deliver_as(self, to: str, subject: str, reply: str, headers: dict[str, str], data: bytes) -> None:
        for one in list(self._subscriptions.values()):
            if matches(one.subject, to):
                one.link.send(_frame(subject, one.sid, reply, headers, data))

    def _interest(self, subject: str) -> bool:
        return any(matches(one.subject, subject) for one in self._subscriptions.values())

    def _arm(self) -> None:
        """Wake when the next lease or request runs out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = min((consumer.next_event() for consumer in self.consumers.values()), default=float("inf"))
        if due != float("inf") and self.up:
            self._timer = self._loop.call_at(max(due, self._loop.time()), self._due)

    def _due(self) -> None:
        self._timer = None
        for consumer in self.consumers.values():
            consumer.expire(self._loop.time())
        self._offer()

    # JetStream API -------------------------------------------------------------------------------------

    def _request(self, what: str, reply: str, data: bytes) -> None:
        body = json.loads(data) if data else {}
        try:
            match what.split("."):
                case ["CONSUMER", "MSG", "NEXT", stream, name]:
                    self._next(self._consumer(stream, name), reply, body)
                    return
                case ["DIRECT", "GET", name, *subject]:
                    self._direct(self._stream(name), reply, ".".join(subject), body)
                    return
                case parts:
                    answer = self._manage(parts, body)
        except Refusal as refusal:
            answer = {"error": refusal.body}
        self._answer(reply, {"type": "io.nats.jetstream.api.v1.response"} | answer)

    def _manage(self, parts: list[str], body: dict[str, Any]) -> dict[str, Any]:
        match parts:
            case ["STREAM", "CREATE" | "UPDATE", name]:
                known = self.streams.get(name)
                if known is None:
                    self.streams[name] = Stream(body, self._loop.wall())
                else:
                    known.config = body
                return self._about(self.streams[name], {})
            case ["STREAM", "INFO", name]:
                return self._about(self._stream(name), body)
            case ["STREAM", "PURGE", name]:
                found = self._stream(name)
                gone = found.matching(body.get("filter") or ">")
                found.remove(gone)
                return {"success": True, "purged": len(gone)}
            case ["STREAM", "MSG", "GET", name]:
                return {"message": self._raw(self._stream(name), body)}
            case ["CONSUMER", "CREATE", _, *_] | ["CONSUMER", "DURABLE", "CREATE", _, _]:
                return self._create_consumer(body)
            case ["CONSUMER", "LIST", stream]:
                mine = sorted(name for of, name in self.consumers if of == stream)
                rest = mine[body.get("offset") or 0 :]
                page = [self._about_consumer(self.consumers[stream, name]) for name in rest]
                return {"total": len(mine), "offset": 0, "limit": 256, "consumers": page}
            case ["CONSUMER", "INFO", stream, name]:
                return self._about_consumer(self._consumer(stream, name))
            case ["INFO"]:
                return self._account()
            case ["CONSUMER", "DELETE", stream, name]:
                del self.consumers[self._consumer(stream, name).stream.name, name]
                return {"success": True}
            case _:
                raise AssertionError(f"the simulation does not know $JS.API.{'.'.join(parts)}")

    def _account(self) -> dict[str, Any]:
        """The account, which has no limits."""
        unlimited = ("memory", "storage", "streams", "consumers")
        limits = {f"max_{what}": -1 for what in unlimited} | {
            "max_ack_pending": -1,
            "memory_max_stream_bytes": -1,
            "storage_max_stream_bytes": -1,
            "max_bytes_required": False,
        }
        counts = {"memory": 0, "storage": 0, "streams": len(self.streams), "consumers": len(self.consumers)}
        return counts | {"limits": limits, "api": {"total": 0, "errors": 0}}

    def _stream(self, name: str) -> Stream:
        if name not in self.streams:
            raise Refusal(404, 10059, "stream not found")
        return self.streams[name]

    def _consumer(self, stream: str, name: str) -> Consumer:
        found = self.consumers.get((stream, name))
        if found is None:
            raise Refusal(404, 10014, "consumer not found")
        return found

    def _about(self, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
        first = min(stream.messages, default=stream.last + 1)
        state: dict[str, Any] = {
            "messages": len(stream.messages),
            "bytes": 0,
            "first_seq": first,
            "last_seq": stream.last,
            "consumer_count": 0,
            "num_subjects": len(stream.by_subject),
        }
        if pattern := body.get("subjects_filter"):
            found = {n: len(s) for n, s in stream.by_subject.items() if matches(pattern, n)}
            page = list(found.items())[body.get("offset", 0) :]
            state["subjects"] = dict(page) or None
        stamp, now = _stamp(stream.created), _stamp(self._loop.wall())
        return {"config": stream.config, "created": stamp, "state": state, "ts": now}

    def _raw(self, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
        if "last_by_subj" in body:
            found = stream.last_on(body["last_by_subj"])
        else:
            found = stream.messages.get(body.get("seq") or 0)
        if found is None:
            raise Refusal(404, 10037, "no message found")
        raw = {
            "subject": found.subject,
            "seq": found.sequence,
            "data": base64.b64encode(found.data).decode(),
            "time": _stamp(found.time),
        }
        if found.headers:
            raw["hdrs"] = base64.b64encode(_header_block(found.headers)).decode()
        return raw

    def _direct(self, stream: Stream, reply: str, subject: str, body: dict[str, Any]) -> None:
        if patterns := body.get("multi_last"):
            names = [n for n in stream.by_subject if any(matches(p, n) for p in patterns)]
            found = sorted(
                (stream.messages[stream.by_subject[n][-1]] for n in names), key=lambda m: m.sequence
            )
            most = body.get("batch") or len(found)
            for place, message in enumerate(found[:most]):
                left = {"Nats-Num-Pending": str(len(found) - place - 1)}
                self._deliver(reply, "", self._place(stream, message) | left, message.data)
            end = {"Status": "204", "Description": "EOB", "Nats-Num-Pending": "0"}
            if not found:
                end = {"Status": "404", "Description": "No Results"}
            self._deliver(reply, "", end, b"")
            return
        wanted = subject or body.get("last_by_subj", "")
        one = stream.last_on(wanted) if wanted else stream.messages.get(body.get("seq") or 0)
        if one is None:
            self._deliver(reply, "", {"Status": "404", "Description": "Message Not Found"}, b"")
        else:
            self._deliver(reply, "", self._place(stream, one), one.data)

    def _place(self, stream: Stream, message: Stored) -> dict[str, str]:
        return message.headers | {
            "Nats-Stream": stream.name,
            "Nats-Subject": message.subject,
            "Nats-Sequence": str(message.sequence),
            "Nats-Time-Stamp": _stamp(message.time),
        }

    def _create_consumer(self, body: dict[str, Any]) -> dict[str, Any]:
        stream, config = self._stream(body["stream_name"]), body["config"]
        name = config.get("durable_name") or config.get("name") or f"e{self._chance.getrandbits(40):x}"
        key = (stream.name, name)
        if key in self.consumers:
            self.consumers[key].config = config
        else:
            self.consumers[key] = Consumer(name, stream, config, self._loop.wall())
        about = self._about_consumer(self.consumers[key])
        self._loop.call_soon(self._offer)
        return about

    def _about_consumer(self, consumer: Consumer) -> dict[str, Any]:
        return {
            "stream_name": consumer.stream.name,
            "name": consumer.name,
            "created": _stamp(consumer.created),
            "config": consumer.config,
            "delivered": {"consumer_seq": consumer.delivered, "stream_seq": consumer.cursor - 1},
            "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
            "num_ack_pending": len(consumer.held),
            "num_redelivered": len(consumer.again),
            "num_waiting": len(consumer.pulls),
            "num_pending": consumer.pending(),
            "ts": _stamp(self._loop.wall()),
        }

    def _next(self, consumer: Consumer, reply: str, body: dict[str, Any]) -> None:
        expires = body.get("expires")
        if body.get("no_wait") and not expires and not consumer.pending() and not consumer.again:
            self._deliver(reply, "", {"Status": "404", "Description": "No Messages"}, b"")
            return
        until = self._loop.time() + expires / SECOND if expires else float("inf")
        consumer.pulls.append(Pull(reply, int(body.get("batch") or 1), until))
        self._offer()


def _stamp(seconds: float) -> str:
    text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text}000Z"


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode().split("\r\n")[1:]
    return {k: v.strip() for k, _, v in (line.partition(":") for line in lines if line)}


def _header_block(headers: dict[str, str]) -> bytes:
    first = "NATS/1.0"
    if "Status" in headers:
        first += f" {headers['Status']} {headers.get('Description', '')}".rstrip()
    rest = "".join(f"{k}: {v}\r\n" for k, v in headers.items() if k not in ("Status", "Description"))
    return f"{first}\r\n{rest}\r\n".encode()


def _frame(subject: str, sid: str, reply: str, headers: dict[str, str], data: bytes) -> bytes:
    to = f"{subject} {sid}" + (f" {reply}" if reply else "")
    if not headers:
        return f"MSG {to} {len(data)}\r\n".encode() + data + b"\r\n"
    block = _header_block(headers)
    return f"HMSG {to} {len(block)} {len(block) + len(data)}\r\n".encode() + block + data + b"\r\n"
