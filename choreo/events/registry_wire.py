"""How a request reaches a schema registry: URL, credentials, TLS, proxies, and a bounded number of attempts."""

import json
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from choreo.errors import ConfigError, RegistryUnavailableError
from choreo.events.registry import RegistryOptions, from_query

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
FIRST_WAIT_S, GROWTH = 0.1, 3.0
TRY_AGAIN = (429, 500, 502, 503, 504)


class Answer(NamedTuple):
    """What the registry said: `code` and `message` are its own words for an error."""

    status: int
    body: Any
    code: int = 0
    message: str = ""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Credentials and POSTs go to no other place than the one that was configured."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Connection:
    """Asks one registry. `shown` is its URL without secrets; `wait` sleeps for seconds between attempts.

    Raises ConfigError for a URL that is none, files of certificates that can't be read, and credentials twice over.
    """

    def __init__(self, url: str, options: RegistryOptions, wait: Callable[[float], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{parts.scheme}://{parts.hostname or ''} is no URL of a registry", hint="http://HOST:PORT"
            )
        at = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.shown = at + parts.path.rstrip("/")
        options = from_query(options, dict(parse_qsl(parts.query)), self.shown)
        if parts.username is not None:
            options = replace(options, user=unquote(parts.username), password=unquote(parts.password or ""))
        self.options = options
        self._wait = wait
        self._headers = {"Accept": f"{MEDIA_TYPE}, application/json", "Content-Type": MEDIA_TYPE}
        self._secret = _authorization(options, self.shown)
        handlers: list[urllib.request.BaseHandler] = [_StayHere()]
        if parts.scheme == "https":
            handlers.append(urllib.request.HTTPSHandler(context=_tls(options, self.shown)))
        elif options.client_certificate or options.ca:
            raise ConfigError("certificates need an https:// registry", at=self.shown, hint="https://HOST:PORT")
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer, whatever its status. What may pass by itself is asked again, `options.attempts` times in all.

        Every request may be made twice: registering is idempotent. Raises RegistryUnavailableError.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.shown + path, data, self._headers, method=method)
        if self._secret:
            request.add_unredirected_header("Authorization", self._secret)
        wait_s = FIRST_WAIT_S
        for left in range(self.options.attempts - 1, -1, -1):
            try:
                with self._opener.open(request, timeout=self.options.timeout_s) as response:
                    return Answer(response.status, json.loads(response.read()))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in TRY_AGAIN or not left:
                        return _refusal(error)
            except ValueError as error:
                raise self._away(f"the answer is no JSON: {error}") from error
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, ssl.SSLCertVerificationError):
                    raise self._away(str(reason), "[registry] ca: the file of the authority that signed it") from error
                if not left:
                    raise self._away(f"{reason} ({self.options.attempts} attempts)") from error
            self._wait(wait_s)
            wait_s *= GROWTH
        raise AssertionError("the last attempt answers or raises")

    def _away(self, why: str, hint: str = "") -> RegistryUnavailableError:
        hint = hint or "is it up, and is [registry] url right?"
        return RegistryUnavailableError("the schema registry can't be reached", at=self.shown, why=why, hint=hint)


def _refusal(error: urllib.error.HTTPError) -> Answer:
    """An error in the registry's own words, where it says any."""
    try:
        said = json.loads(error.read())
        return Answer(error.code, None, int(said.get("error_code", 0)), str(said.get("message", "")))
    except (ValueError, AttributeError, TypeError, OSError, HTTPException):
        return Answer(error.code, None, 0, error.headers.get("Location", "") or str(error.reason))


def _authorization(options: RegistryOptions, at: str) -> str:
    if options.token and options.user:
        raise ConfigError("a user and a token for one registry", at=at, hint="keep one of [registry] user and token")
    if options.token:
        return f"Bearer {options.token}"
    if options.user:
        return "Basic " + b64encode(f"{options.user}:{options.password}".encode()).decode()
    return ""


def _tls(options: RegistryOptions, at: str) -> ssl.SSLContext:
    if options.client_key and not options.client_certificate:
        raise ConfigError("a client_key without its client_certificate", at=at, hint="[registry] client_certificate")
    try:
        context = ssl.create_default_context(cafile=options.ca or None)
        if options.client_certificate:
            key, password = options.client_key or None, options.client_password
            context.load_cert_chain(options.client_certificate, key, lambda: password)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(filter(None, (options.ca, options.client_certificate, options.client_key)))
        hint = "PEM files; client_password where the key is encrypted"
        raise ConfigError(f"certificates can't be read: {named}", at=at, why=str(error), hint=hint) from error
    return context
