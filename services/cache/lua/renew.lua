-- KEYS: state, positions. ARGV: partition, next offset, ... Forgets everything, and notes where every reader of
-- invalidations may go on.
begin()
redis.call('UNLINK', KEYS[2])
if #ARGV > 0 then
  redis.call('HSET', KEYS[2], unpack(ARGV))
end
return redis.status_reply('OK')
