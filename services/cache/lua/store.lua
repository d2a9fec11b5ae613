-- KEYS: state, entry. ARGV: epoch, generation, names, body, etag, ttl in milliseconds.
-- Stores what was read under a token, and answers 1; answers 0 where it was forgotten since, or where somebody has
-- stored what was read later.
local epoch, _, floor = current()
local generation = tonumber(ARGV[2])
if ARGV[1] ~= epoch or forgotten(lines(ARGV[3]), generation, floor) then
  return 0
end
local stored = redis.call('HMGET', KEYS[2], 'epoch', 'generation')
if stored[1] == epoch and tonumber(stored[2]) > generation then
  return 0
end
put(KEYS[2], epoch, generation, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return 1
