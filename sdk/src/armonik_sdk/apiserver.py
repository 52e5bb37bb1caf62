"""Requests to the apiserver: authentication, time-outs and retries, once for operator and client.

Plain JSON in and out. Models of the official client are by-passed on purpose: they cost ten times the parsing
they wrap. What an answer means (which error, whether a conflict is one) is the caller's to say.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import client

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

REQUEST_TIMEOUT: Final = 30.0
"""Seconds for one request."""
ATTEMPTS: Final = 5
"""Requests until NoAnswer is raised; with back-off about 4 seconds beside the requests' own time."""
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


class NoAnswer(Exception):  # noqa: N818 - reads as what happened
    """No usable answer within the retries; the same request may work later."""


@dataclass(frozen=True)
class Answer:
    """A final answer: success, or a refusal that no retry would change."""

    status: int
    """HTTP status."""
    body: Object
    """The object, or the Status that says why not."""
    unclear: bool = False
    """An earlier attempt of this request may have been carried out: its answer was lost."""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < 300


class Transport:
    """Connections to one apiserver. Safe to call from many coroutines of one event loop."""

    def __init__(self, configuration: client.Configuration) -> None:
        # Else aiohttp reads the environment and ~/.netrc at every request: a tenth of the operator's time.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        self._api = client.ApiClient(configuration)

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One request, again with back-off while the answer is none or passing.

        Raises:
            NoAnswer: the attempts are used up.
        """
        last, unclear = "", False
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(min(2.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            try:
                response = await self.send(
                    method, path, body=body, query=query, content_type=content_type, timeout=REQUEST_TIMEOUT
                )
                status, raw = response.status, await response.read()
            except client.ApiException as refusal:
                status, raw = refusal.status or 0, refusal.body or b""
            except (TimeoutError, aiohttp.ClientError) as error:
                last, unclear = f"{type(error).__name__}: {error}", True
                continue
            parsed = _parse(raw)
            if status not in _RETRIED:
                return Answer(status, parsed, unclear)
            last, unclear = f"{status}: {parsed.get('message', '')}", unclear or status != 429
        raise NoAnswer(f"{method} {path}: no usable answer in {ATTEMPTS} attempts; the last: {last}")

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float,
    ) -> Any:
        """One request, sent once; returns the response, whose body is still to be read."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        return await self._api.call_api(
            method, url, header_params=headers, body=body, _request_timeout=timeout
        )


def _parse(raw: bytes | str) -> Object:
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError:  # a proxy in between answers in prose
        return {"message": raw.decode(errors="replace") if isinstance(raw, bytes) else raw}
    return answer if isinstance(answer, dict) else {"message": str(answer)}
