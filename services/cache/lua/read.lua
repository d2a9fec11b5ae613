-- KEYS: state, entry. Answers {epoch, generation}, and for a valid entry {..., body, etag, names, milliseconds left}.
local epoch, generation, floor = current()
local entry = redis.call('HMGET', KEYS[2], 'epoch', 'generation', 'names', 'body', 'etag')
if entry[1] ~= epoch or forgotten(lines(entry[3]), tonumber(entry[2]), floor) then
  return {epoch, generation}
end
return {epoch, generation, entry[4], entry[5], entry[3], redis.call('PTTL', KEYS[2])}
