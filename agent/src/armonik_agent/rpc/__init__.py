"""Unary gRPC over a unix socket between agent and worker, element by element.

In place of `grpc.aio`, whose two calls an element were the greater part of what an element costs the agent
(ADR 0008). `Channel` and `Server` take the generated stubs and servicers as `grpc.aio`'s do. What they do not
do: streams, compression, TLS, TCP.

Layers: `channel` and `server` over `connection` (HTTP/2: RFC 9113) over `frames` and `headers` (HPACK: RFC
7541).
`status` says how HTTP/2 and gRPC name failures (gRPC over HTTP/2, the protocol's own description).
"""

from armonik_agent.rpc.channel import Channel
from armonik_agent.rpc.server import Server

__all__ = ["Channel", "Server"]
