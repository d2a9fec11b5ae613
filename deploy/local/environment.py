"""`.local/env`: the addresses and keys of the running stack, for a shell, python-dotenv and the services."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.services import Service
from deploy.local.state import State

#: Sentry's project number in the DSN; there is one project.
PROJECT_ID = 1

_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(\S*)")


@dataclass(frozen=True)
class Keys:
    """Made once for a state folder. Letters, digits and `_` only: some Sentry SDKs take no others in a DSN."""

    #: Write-only, for browsers.
    public: str
    #: For servers and operators: everything.
    secret: str

    @classmethod
    def of(cls, state: State) -> "Keys":
        """Those of `.local/keys`, made when there are none. Raises StateError."""
        if not state.keys.exists():
            made = {
                "SIGNALBOX_PUBLIC_KEY": f"sbpk_{secrets.token_hex(16)}",
                "SIGNALBOX_SECRET_KEY": f"sbsk_{secrets.token_hex(24)}",
            }
            state.write_private(state.keys, render(made))
        kept = read(state.keys)
        try:
            return cls(kept["SIGNALBOX_PUBLIC_KEY"], kept["SIGNALBOX_SECRET_KEY"])
        except KeyError as missing:
            raise state.error(state.keys, f"holds no {missing.args[0]}: remove it to get new keys") from None


def variables(
    *, services: Sequence[Service], keys: Keys, kafka: int, idempotence: bool, dsn: str, redis_url: str
) -> dict[str, str]:
    """Everything that a program needs to use this stack."""
    urls = {
        module: [service.url for service in services if service.module == module]
        for module in ("ingest", "jobs", "cache")
    }
    return {
        "INGEST_URL": urls["ingest"][0],
        "JOBS_URL": urls["jobs"][0],
        "CACHE_URL": urls["cache"][0],
        "CACHE_URLS": ",".join(urls["cache"]),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka}",
        "SIGNALBOX_KAFKA_IDEMPOTENCE": "true" if idempotence else "false",
        "POSTGRES_DSN": dsn,
        "REDIS_URL": redis_url,
        "SIGNALBOX_PUBLIC_KEY": keys.public,
        "SIGNALBOX_SECRET_KEY": keys.secret,
        "SENTRY_DSN": urls["ingest"][0].replace("://", f"://{keys.public}@", 1) + f"/{PROJECT_ID}",
    }


def render(values: Mapping[str, str]) -> str:
    """The text of the file: no value has a space, a quote or a dollar sign, so no quoting is needed."""
    for name, value in values.items():
        assert _LINE.fullmatch(f"{name}={value}"), f"{name} needs quotes"
        assert not set(value) & set("'\"$`\\#;&|<>()*?!~"), f"{name} needs quotes"
    return "".join(f"{name}={value}\n" for name, value in values.items())


def read(path: Path) -> dict[str, str]:
    """The variables of such a file; other lines are passed over. Raises OSError when it is not there."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {found[1]: found[2] for line in lines if (found := _LINE.fullmatch(line.strip()))}
