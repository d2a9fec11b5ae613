-- KEYS: state, seen, positions. ARGV: milliseconds to remember `seen`, tombstones at most, partition or '',
-- next offset, prefix of entry keys, names.
-- Forgets once, however many replicas say so; answers the token of what is read from now on.
local epoch, generation, floor = current()
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then
  generation = redis.call('HINCRBY', state, '=generation', 1)
  for _, name in ipairs(lines(ARGV[6])) do
    redis.call('HSET', state, name, generation)
    redis.call('UNLINK', ARGV[5] .. name)  -- only a key's own name is an entry's; this frees its memory at once
  end
  if redis.call('HLEN', state) > tonumber(ARGV[2]) then
    local run = redis.call('HGET', state, '=run')
    redis.call('UNLINK', state)
    redis.call('HSET', state, '=run', run, '=epoch', epoch, '=generation', generation, '=floor', generation)
  end
end
if ARGV[3] ~= '' then
  local position = tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or 0)
  if tonumber(ARGV[4]) > position then
    redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  end
end
return {epoch, generation}
