-- Run on every new connection, before anything else: a Redis that was restarted, or a replica that was promoted,
-- may have lost the last tombstones and kept the entries.
if redis.call('HGET', state, '=run') ~= run_id() then
  begin()
end
return redis.status_reply('OK')
