"""Plain HTTP to an embedded API, as a program without any client library speaks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp

from eventmesh.cluster.api.embedded import EmbeddedApi

MAPS = "/api/v1/namespaces/default/configmaps"
FUNCTIONS = "/apis/serving.knative.dev/v1/namespaces/default/services"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    type: str
    text: str
    warnings: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """Plain HTTP with the token of the cluster's user."""

    def __init__(self, session: aiohttp.ClientSession, api: EmbeddedApi) -> None:
        self.session = session
        self.api = api

    async def __call__(
        self, method: str, path: str, body: object = None, *, media: str = "application/json", **headers: str
    ) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named["Content-Type"] = media
        payload = None if data is None else BytesIO(data)
        async with self.session.request(method, path, data=payload, headers=named) as response:
            text = await response.text()
            warnings = response.headers.getall("Warning", [])
            return Answer(response.status, response.headers.get("Content-Type", ""), text, list(warnings))


async def create_map(http: Browser, name: str, **data: str) -> Any:
    answer = await http("POST", MAPS, {"metadata": {"name": name}, "data": data})
    assert answer.status == 201
    return answer.json
