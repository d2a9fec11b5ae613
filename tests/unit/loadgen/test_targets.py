"""Loadgen loads this machine and listed hosts, and nobody else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loadgen.targets import base_url
from shared.errors import ConfigurationError

_LISTED = frozenset({"ingest", "ingest.signalbox.svc.cluster.local", "10.0.0.7"})


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8001",
        "http://127.9.9.9",
        "http://localhost:8001",
        "http://LOCALHOST",
        "https://[::1]:8001",
    ],
)
def test_this_machine_may_always_be_loaded(address: str) -> None:
    assert base_url(address, frozenset())


@pytest.mark.parametrize(
    "address",
    ["http://ingest:8001", "http://Ingest", "https://ingest.signalbox.svc.cluster.local", "http://10.0.0.7"],
)
def test_listed_hosts_may_be_loaded(address: str) -> None:
    assert base_url(address, _LISTED)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com",
        "http://ingest.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0:8001",
        "http://10.0.0.8",
        "http://2130706433",
        "http://[::]",
    ],
)
def test_other_hosts_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGNALBOX_LOADGEN_TARGETS_ALLOWED"):
        base_url(address, _LISTED)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8001",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://localhost:port",
        "http://localhost@example.com",
        "http://user:secret@localhost",
        "http://localhost?key=1",
    ],
)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError):
        base_url(address, frozenset())


@given(text=st.text(max_size=40))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    with suppress(ConfigurationError):
        assert base_url(text, frozenset()).startswith(("http://", "https://"))


def test_a_slash_at_the_end_is_dropped_and_a_path_kept() -> None:
    assert base_url("http://localhost:8001/", frozenset()) == "http://localhost:8001"
    assert base_url("http://localhost/signalbox/", frozenset()) == "http://localhost/signalbox"
