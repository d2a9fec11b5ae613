-- KEYS: state, seen, positions. ARGV: milliseconds to remember `seen`, tombstones at most, partition or '',
-- next offset, prefix of entry keys, names.
-- Forgets once, however many replicas say so.
current()
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then
  forget(lines(ARGV[6]), ARGV[5], tonumber(ARGV[2]))
end
if ARGV[3] ~= '' then
  local position = tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or 0)
  if tonumber(ARGV[4]) > position then
    redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  end
end
return redis.status_reply('OK')
