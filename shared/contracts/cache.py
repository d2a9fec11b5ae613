"""Cache invalidations on Kafka: what every replica of the cache forgets when something changed."""

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.events import Instant

_END = (
    r"(?![\s\S])"  # `$` also matches before a newline at the end; this is the same in Python and ECMAScript
)
CACHE_KEY_PATTERN = r"^[a-z0-9_]{1,64}(:[A-Za-z0-9_.@-]{1,200}){1,8}" + _END
#: A star only at the end: a prefix. Free globs let one request block Redis for seconds.
CACHE_PREFIX_PATTERN = r"^[a-z0-9_]{1,64}(:[A-Za-z0-9_.@-]{1,200}){0,7}:\*" + _END
_NAME = r"^[a-z0-9_]{1,64}" + _END

CacheKey = Annotated[str, Meta(pattern=CACHE_KEY_PATTERN)]
CachePrefix = Annotated[str, Meta(pattern=CACHE_PREFIX_PATTERN)]
CacheTag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,200}" + _END)]


class Change(Struct, kw_only=True, omit_defaults=True):
    """What somebody says has changed: an entity (all of it, or one by key), a pattern, or tags; at least one."""

    entity: (
        Annotated[str, Meta(pattern=_NAME, description="A cache class, such as `technicians`.")] | None
    ) = None
    key: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9_.:@-]{1,200}" + _END,
                description="One of the entity's; all when absent.",
            ),
        ]
        | None
    ) = None
    pattern: Annotated[CachePrefix, Meta(description="A prefix of cache keys: `technicians:*`.")] | None = (
        None
    )
    tags: Annotated[list[CacheTag], Meta(max_length=100, description="Tags of cache entries.")] = []

    def says_nothing(self) -> bool:
        """True when it names neither an entity, nor a pattern, nor a tag."""
        return self.entity is None and self.pattern is None and not self.tags


class Invalidation(Change, kw_only=True, omit_defaults=True):
    """A change, on its way to every replica."""

    id: Annotated[str, Meta(description="The change's UUID.")]
    requested_at: Annotated[Instant, Meta(description="When it was accepted.")]
