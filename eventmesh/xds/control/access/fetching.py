"""How control gets an issuer's key set: one GET, bounded in time and size, and judged before anybody relies on it."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import aiohttp

from eventmesh.base.errors import UnavailableError
from eventmesh.core import check_keys

MAX_KEY_SET_BYTES: Final = 262_144
"""As much as data planes take from a key set they fetch themselves. Google's and Azure's have 1 and 8 KiB."""


async def fetch_keys(uri: str, timeout_s: float) -> str:
    """Return the key set at `uri` as it was sent; UnavailableError says why there is none to verify tokens by.

    A redirect is not followed: where keys come from is for the policy's author to say. https trusts the machine's own
    roots, or those that SSL_CERT_FILE and SSL_CERT_DIR name.
    """
    # Reading the machine's roots takes some 20 ms, in which nobody else would be served.
    context = await asyncio.to_thread(ssl.create_default_context) if uri.startswith("https:") else False
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    headers = {"Accept": "application/json, application/jwk-set+json", "Accept-Encoding": "identity"}
    connector = aiohttp.TCPConnector(force_close=True, ssl=context)
    try:
        # Not decompressed: what is small on the wire need not be small.
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
            session.get(uri, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnavailableError(f"answered {response.status}")
            text = await _body(response)
    except TimeoutError as error:
        raise UnavailableError(f"no answer within {timeout_s:g} s") from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from error
    except (aiohttp.ClientError, ValueError) as error:
        # The library's words would quote it, and whoever reads a policy's status need not be let at what is there.
        raise UnavailableError("what it answers is no HTTP, or no text") from error
    try:
        check_keys(text)
    except ValueError as error:
        raise UnavailableError(f"what it answers {error}") from error
    return text


async def _body(response: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_KEY_SET_BYTES:
            raise UnavailableError(f"answers more than {MAX_KEY_SET_BYTES} bytes")
    return body.decode()
