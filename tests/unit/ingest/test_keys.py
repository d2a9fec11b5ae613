"""Projects and keys: several are valid at once, changes need no restart, and a mistake in the file changes nothing."""

import asyncio
import contextlib
import hashlib
from pathlib import Path

import msgspec
import pytest

from services.ingest.keys import ForbiddenOrigin, Keyring, shown_key
from services.ingest.rates import Category
from shared.errors import ConfigurationError, Forbidden, Unauthorized
from shared.http import Access
from tests.support.waiting import eventually
from tests.unit.ingest.doubles import PUBLIC, SECRET, MemoryPublisher, client, settings

OLD, NEW, SERVER, OTHER = (
    "sbpk_old_0123456789",
    "sbpk_new_0123456789",
    "sbsk_srv_0123456789",
    "sbpk_other_01234567",
)
FILE = f"""
[projects.shop]
public_keys = ["{OLD}", "sha256:{hashlib.sha256(NEW.encode()).hexdigest()}"]
secret_keys = ["{SERVER}"]
allowed_origins = ["https://shop.example.com", "https://*.shop.example.com:8443"]
rate_limits_per_minute = {{ error = 2 }}
scrub = {{ emails = true }}

[projects.blog]
public_keys = ["{OTHER}"]
"""
VIEW = {"type": "page_view", "page": "/"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "projects.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def keyring(file: Path) -> Keyring:
    return Keyring(settings(projects_file=file, rate_limits_per_minute={Category.EVENT: 5}))


def test_without_a_file_there_is_one_project_with_two_keys() -> None:
    keyring = Keyring(settings())
    assert keyring.grant(PUBLIC).project.name == keyring.grant(SECRET).project.name == "shop"
    assert (keyring.grant(PUBLIC).access, keyring.grant(SECRET).access) == (
        Access.WRITE_EVENTS,
        Access.EVERYTHING,
    )
    assert (keyring.grant(PUBLIC).source, keyring.grant(SECRET).source) == ("browser", "server")


def test_several_keys_of_a_project_are_valid_at_once_hashed_or_not(keyring: Keyring) -> None:
    assert keyring.grant(OLD).project == keyring.grant(NEW).project == keyring.grant(SERVER).project
    assert keyring.grant(OTHER).project.name == "blog"
    with pytest.raises(Unauthorized):
        keyring.grant(PUBLIC)
    with pytest.raises(Unauthorized):
        keyring.grant(hashlib.sha256(NEW.encode()).hexdigest())


def test_a_file_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "projects.json"
    path.write_bytes(msgspec.json.encode({"projects": {"shop": {"public_keys": [OLD]}}}))
    assert Keyring(settings(projects_file=path)).grant(OLD).project.name == "shop"


@pytest.mark.parametrize(
    ("authorization", "query", "key"),
    [
        (b"Bearer abc", b"", "abc"),
        (b"bearer  abc ", b"key=other", "abc"),
        (b"", b"a=1&key=a%2Bc", "a+c"),
        (b"Basic abc", b"", ""),
        (b"", b"monkey=1", ""),
        (b"", b"", ""),
    ],
)
def test_a_key_is_shown_as_a_bearer_token_or_in_the_query(
    authorization: bytes, query: bytes, key: str
) -> None:
    assert shown_key(authorization, query) == key


def test_a_request_is_checked_for_key_access_and_origin(keyring: Keyring) -> None:
    def check(key: str, access: Access = Access.WRITE_EVENTS, origin: str = "") -> str:
        headers = [(b"host", b"ingest"), (b"authorization", b"Bearer " + key.encode())]
        if origin:
            headers.append((b"origin", origin.encode()))
        return keyring.check(headers, b"", access).project.name

    assert check(OLD) == check(OLD, origin="https://shop.example.com") == "shop"
    assert check(NEW, origin="https://a.b.shop.example.com:8443") == "shop"
    assert check(OTHER, origin="https://anywhere.example") == "blog"
    for origin in (
        "https://evil.example",
        "https://shop.example.com.evil.example",
        "https://shop.example.com:8443",
        "null",
    ):
        with pytest.raises(ForbiddenOrigin):
            check(OLD, origin=origin)
    with pytest.raises(Forbidden):
        check(OLD, Access.EVERYTHING)
    with pytest.raises(Unauthorized):
        check("nobodys")
    assert check(SERVER, Access.EVERYTHING) == "shop"


def test_limits_and_rules_are_the_services_with_the_projects_over_them(keyring: Keyring) -> None:
    shop, blog = keyring.grant(OLD), keyring.grant(OTHER)
    assert (shop.rates.spend(Category.ERROR, 9), shop.rates.spend(Category.EVENT, 9)) == (2, 5)
    assert (blog.rates.spend(Category.ERROR, 9), blog.rates.spend(Category.EVENT, 9)) == (9, 5)
    assert keyring.grant(NEW).rates.spend(Category.ERROR, 9) == 2, "by key, and not by project"
    assert shop.project.scrubber.text("a@example.com") != blog.project.scrubber.text("a@example.com")


def test_keys_are_exchanged_without_a_restart(keyring: Keyring, file: Path) -> None:
    headers = [(b"authorization", b"Bearer " + OLD.encode())]
    keyring.check(headers, b"", Access.WRITE_EVENTS)
    keyring.grant(NEW).rates.spend(Category.ERROR, 2)
    assert keyring.find(headers[0][1], b"") is not None

    file.write_text(FILE.replace(f'"{OLD}", ', ""))
    assert keyring.reload()
    assert keyring.find(headers[0][1], b"") is None
    with pytest.raises(Unauthorized):
        keyring.check(headers, b"", Access.WRITE_EVENTS)
    assert keyring.grant(NEW).rates.spend(Category.ERROR, 1) == 0, "what a key has sent is not forgotten"


async def test_a_changed_file_is_noticed(keyring: Keyring, file: Path) -> None:
    watching = asyncio.create_task(keyring.watch(interval_s=0.01))
    await asyncio.to_thread(file.write_text, "[projects.blog]\npublic_keys = ['sbpk_another_0123456']")

    async def known() -> bool:
        with contextlib.suppress(Unauthorized):
            return keyring.grant("sbpk_another_0123456").project.name == "blog"
        return False

    await eventually(known)
    watching.cancel()
    await asyncio.wait([watching])


BAD = [
    ("nonsense", "projects.toml"),
    ("[projects]", "length >= 1"),
    ("[projects.Shop]", "projects.toml"),
    ("[projects.shop]\npublic_key = ['x']", "public_key"),
    ("[projects.shop]\npublic_keys = ['short']", "length >= 16"),
    ("[projects.shop]\nallowed_origins = ['shop.example.com']", "allowed_origins"),
    (f"[projects.shop]\npublic_keys = ['{OLD}', '{OLD}']", "twice"),
    (f"[projects.shop]\npublic_keys = ['{OLD}']\n[projects.blog]\nsecret_keys = ['{OLD}']", "twice"),
    ("[projects.shop]\nsecret_keys = ['sha256:0123456789abcdef']", "64 hexadecimal"),
    ("[projects.shop]\nrate_limits_per_minute = { zzz = 1 }", "zzz"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_a_file_that_cannot_be_used_is_refused_at_start_and_changes_nothing_later(
    file: Path, keyring: Keyring, text: str, says: str
) -> None:
    file.write_text(text)
    assert not keyring.reload()
    assert keyring.grant(OLD).project.name == "shop"
    with pytest.raises(ConfigurationError, match=says) as refusal:
        Keyring(settings(projects_file=file))
    assert OLD not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Keyring(settings(projects_file=tmp_path / "none.toml"))


async def test_a_page_of_an_unknown_origin_is_refused_and_may_not_read_why(file: Path) -> None:
    publisher = MemoryPublisher()
    async with client(publisher, key="", projects_file=file) as http:
        evil, good = {"Origin": "https://evil.example"}, {"Origin": "https://shop.example.com"}
        for _ in range(2):  # the second time over the hot route, were it to be taken
            refused = await http.post(f"/v1/events?key={OLD}", json=VIEW, headers=evil)
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
            assert "access-control-allow-origin" not in refused.headers
            taken = await http.post(f"/v1/events?key={OLD}", json=VIEW, headers=good)
            assert (taken.status_code, taken.headers["access-control-allow-origin"]) == (202, "*")
        preflights = [
            await http.options(f"/v1/events?key={OLD}", headers=headers) for headers in (evil, good)
        ]
        assert [answer.status_code for answer in preflights] == [403, 204]
        assert "access-control-allow-origin" not in preflights[0].headers
    assert len(publisher.messages) == 2
