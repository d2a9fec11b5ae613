"""Projects and their keys: whose a request is, what it may do, and from where.

Without SIGNALBOX_PROJECTS_FILE there is one project, with the public and the secret key of the environment. With it,
projects and keys are what that file says, TOML or JSON by its name's end, and those of the environment are not known:

    [projects.shop]
    public_keys = ["sbpk_...", "sha256:5e88..."]    # several are valid at once, so that they can be exchanged
    secret_keys = ["sha256:9f86..."]                # a key's SHA-256 in hex serves as well as the key
    allowed_origins = ["https://shop.example.com", "https://*.shop.example.com"]    # none named: pages of any origin
    rate_limits_per_minute = { error = 600 }        # over the service's own; 0 is no limit
    scrub = { emails = true, names = ["iban"] }

The file is read again when it changes, within a few seconds, and on SIGHUP; one that cannot be used is logged, and
the keys stay as they were.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from services.ingest import metrics
from services.ingest.rates import Category, KeyRates
from services.ingest.scrub import Scrubber, ScrubRules
from services.ingest.settings import IngestSettings
from shared import logs
from shared.contracts.events import Source
from shared.errors import ConfigurationError, Forbidden, Unauthorized
from shared.http import Access

_log = logs.get(__name__)

_WATCH_INTERVAL_S = 2.0
_HASHED = "sha256:"
_SPELLINGS_MAX = 4  # a key

ConfiguredKey = Annotated[str, Meta(min_length=16, max_length=256, pattern=r"^[!-~]+$")]
ProjectName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", max_length=64)]
Origin = Annotated[str, Meta(pattern=r"^(null|[a-z][a-z0-9+.-]*://(\*\.)?[a-z0-9.\[\]:_-]+)$")]


class ForbiddenOrigin(Forbidden):
    """A page of an origin that the project does not know."""

    def __init__(self) -> None:
        super().__init__("Pages of this origin may not send to the project of this key.")


class ProjectRules(Struct, frozen=True, forbid_unknown_fields=True):
    """One project, as the file has it."""

    public_keys: list[ConfiguredKey] = []
    secret_keys: list[ConfiguredKey] = []
    #: None of them: pages of any origin.
    allowed_origins: list[Origin] = []
    rate_limits_per_minute: dict[Category, Annotated[int, Meta(ge=0)]] = {}
    scrub: ScrubRules = ScrubRules()


class ProjectsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    projects: Annotated[dict[ProjectName, ProjectRules], Meta(min_length=1)]


class Project(NamedTuple):
    """What all keys of a project have in common."""

    name: str
    scrubber: Scrubber
    #: None where pages of any origin may send.
    origins: re.Pattern[str] | None

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may send."""
        return self.origins is None or self.origins.fullmatch(origin.lower()) is not None


class Grant(NamedTuple):
    """What one key stands for."""

    project: Project
    access: Access
    #: The key's own rates, which outlive a change of the file.
    rates: KeyRates

    @property
    def source(self) -> Source:
        """The public key is the one that pages have."""
        return "server" if self.access is Access.EVERYTHING else "browser"

    def require(self, access: Access) -> None:
        """Return when the key allows it. Raises Forbidden."""
        if access > self.access:
            raise Forbidden("The public key only writes events; this needs the secret key.")

    def require_origin(self, origin: str) -> None:
        """Return when pages of this origin may send; "" is no page. Raises ForbiddenOrigin."""
        if origin and not self.project.allows(origin):
            raise ForbiddenOrigin


class Keyring:
    """The keys that are valid now, by their hashes.

    How long a look-up takes depends on the hash of what was shown (SHA-256, or a dictionary's own, whose seed is secret),
    and that tells nobody how much of a guess was right. `share` is this process's part of every rate limit.
    """

    def __init__(self, settings: IngestSettings, *, share: float = 1.0) -> None:
        """Raises ConfigurationError when there is a file and it cannot be used."""
        self._settings = settings
        self._path: Path | None = settings.projects_file
        self._share = share
        self._rates: dict[bytes, KeyRates] = {}
        self._seen = self._stamp()
        self._grants = self._load()
        #: How keys in use are spelled: whole Authorization fields, and whole queries.
        self._spellings: dict[bytes, Grant] = {}

    def grant(self, key: str) -> Grant:
        """What a key stands for. Raises Unauthorized when it is nobody's, or empty."""
        if not key:
            raise Unauthorized("Show a key: `Authorization: Bearer KEY`, or `?key=KEY`.")
        found = self._grants.get(_digest(key))
        if found is None:
            raise Unauthorized("This key is not known here.")
        return found

    def check(self, headers: Iterable[tuple[bytes, bytes]], query_string: bytes, access: Access) -> Grant:
        """What a request may do, from its headers (ASGI's, in lower case) and its query.

        Raises Unauthorized without a known key, Forbidden with the public one where the secret one is needed,
        ForbiddenOrigin for a page that may not send.
        """
        authorization = origin = b""
        for name, value in headers:
            if name == b"authorization":
                authorization = value
            elif name == b"origin":
                origin = value
        found = self.find(authorization, query_string) or self.grant(shown_key(authorization, query_string))
        found.require(access)
        if origin:
            found.require_origin(origin.decode("latin-1"))
        return found

    def find(self, authorization: bytes, query_string: bytes) -> Grant | None:
        """What a request's key stands for; None when it is nobody's. No more than a look-up for a key in use."""
        spelling = authorization if authorization[:7].lower() == b"bearer " else query_string
        found = self._spellings.get(spelling)
        if found is None:
            found = self._grants.get(_digest(shown_key(authorization, query_string)))
            if found is not None and len(self._spellings) < _SPELLINGS_MAX * len(self._grants):
                self._spellings[spelling] = found
        return found

    def refuses_origin(self, headers: Mapping[bytes, bytes], query_string: bytes) -> bool:
        """Whether a request comes from a page that the project of its key does not know; without a key, nobody can say."""
        origin = headers.get(b"origin", b"")
        if not origin or not self._restricted:
            return False
        found = self._grants.get(_digest(shown_key(headers.get(b"authorization", b""), query_string)))
        return found is not None and not found.project.allows(origin.decode("latin-1"))

    def reload(self) -> bool:
        """Read the file again; False, logged and counted, when it cannot be used."""
        try:
            self._grants = self._load()
        except ConfigurationError as error:
            metrics.PROJECTS_RELOADS.labels("failed").inc()
            _log.error("projects_not_reloaded", error=str(error))
            return False
        self._spellings.clear()
        metrics.PROJECTS_RELOADS.labels("done").inc()
        _log.info("projects_reloaded", keys=len(self._grants))
        return True

    async def watch(self, *, interval_s: float = _WATCH_INTERVAL_S) -> None:
        """Reload when the file changes, for as long as this runs."""
        while self._path is not None:
            await asyncio.sleep(interval_s)
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self.reload()

    def _load(self) -> dict[bytes, Grant]:
        limits = self._settings.rate_limits_per_minute
        if self._path is None:
            keys = {
                _digest(self._settings.public_key.get_secret_value()): Access.WRITE_EVENTS,
                _digest(self._settings.secret_key.get_secret_value()): Access.EVERYTHING,
            }
            grants = self._grants_of(self._settings.project, ProjectRules(), keys, limits)
            self._restricted = False
            return grants
        file = _read(self._path)
        grants = {}
        for name, rules in file.projects.items():
            keys = {_digest_of(key): Access.WRITE_EVENTS for key in rules.public_keys}
            keys |= {_digest_of(key): Access.EVERYTHING for key in rules.secret_keys}
            if len(keys) < len(rules.public_keys) + len(rules.secret_keys) or not grants.keys().isdisjoint(
                keys
            ):
                raise ConfigurationError(f"{self._path}: a key of project {name} is there twice")
            grants |= self._grants_of(name, rules, keys, {**limits, **rules.rate_limits_per_minute})
        self._restricted = any(rules.allowed_origins for rules in file.projects.values())
        return grants

    def _grants_of(
        self, name: str, rules: ProjectRules, keys: Mapping[bytes, Access], limits: Mapping[Category, int]
    ) -> dict[bytes, Grant]:
        project = Project(name, Scrubber(rules.scrub), _pattern(rules.allowed_origins))
        grants = {}
        for digest, access in keys.items():
            rates = self._rates.setdefault(digest, KeyRates({}))
            rates.change(limits, share=self._share)
            grants[digest] = Grant(project, access, rates)
        return grants

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes when the file does; a mounted ConfigMap changes its inode."""
        try:
            status = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)


def shown_key(authorization: bytes, query_string: bytes) -> str:
    """The key that a request shows: as a bearer token, or else as `key` of its query; "" without one."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip().decode("latin-1")
    if b"key=" not in query_string:
        return ""
    values = parse_qs(query_string.decode("latin-1")).get("key", [""])
    return values[-1]


def _read(path: Path) -> ProjectsFile:
    decode: Callable[..., ProjectsFile] = (
        msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    )
    try:
        return decode(path.read_bytes(), type=ProjectsFile)
    except OSError as error:
        raise ConfigurationError(
            f"SIGNALBOX_PROJECTS_FILE: {path} cannot be read ({error.strerror})"
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"SIGNALBOX_PROJECTS_FILE: {path}: {error}") from error


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _digest_of(key: str) -> bytes:
    """Of a key as the file has it. Raises ConfigurationError, without the key."""
    if not key.startswith(_HASHED):
        return _digest(key)
    try:
        digest = bytes.fromhex(key.removeprefix(_HASHED))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ConfigurationError("SIGNALBOX_PROJECTS_FILE: `sha256:` is followed by 64 hexadecimal digits")
    return digest


def _pattern(origins: Iterable[str]) -> re.Pattern[str] | None:
    """`*.` stands for one or more labels of a host's name."""
    patterns = [re.escape(origin).replace(r"\*\.", r"(?:[a-z0-9_-]+\.)+") for origin in origins]
    return re.compile("|".join(patterns)) if patterns else None
