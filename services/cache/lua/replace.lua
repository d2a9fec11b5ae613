-- KEYS: state, seen, entry. ARGV: milliseconds to remember `seen`, tombstones at most, prefix of entry keys, names to
-- forget, then the entry's names, body, etag, and ttl in milliseconds.
-- Forgets and stores at once: what was read before cannot overwrite it, and the invalidation that the replicas are
-- about to read was applied.
local epoch = current()
local generation = forget(lines(ARGV[4]), ARGV[3], tonumber(ARGV[2]))
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
put(KEYS[3], epoch, generation, ARGV[5], ARGV[6], ARGV[7], ARGV[8])
return redis.status_reply('OK')
