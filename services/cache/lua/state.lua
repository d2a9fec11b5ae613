-- What every script starts with. KEYS[1] is a hash that holds the state of L2:
--   =run         the Redis process that it belongs to
--   =epoch       the life of L2: entries and tokens of another one are void
--   =generation  how many invalidations there were
--   =floor       what was read in an earlier generation is void, whatever it is called
--   NAME         the generation in which this surrogate key was forgotten
-- It is one key without a time to live, so that eviction takes all of it, and with it every entry, or nothing.

local state = KEYS[1]

local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end

-- Start a new life: whatever is stored, and whatever is being filled, is void.
local function begin()
  local run = run_id()
  local time = redis.call('TIME')
  local epoch = run .. ':' .. time[1] .. ':' .. time[2]
  redis.call('UNLINK', state)
  redis.call('HSET', state, '=run', run, '=epoch', epoch, '=generation', 0, '=floor', 0)
  return epoch, 0, 0
end

local function current()
  local found = redis.call('HMGET', state, '=epoch', '=generation', '=floor')
  if not found[1] then
    return begin()
  end
  return found[1], tonumber(found[2]), tonumber(found[3])
end

-- Whether something with these names, read in generation `since`, was forgotten.
local function forgotten(names, since, floor)
  if since < floor then
    return true
  end
  local tombstones = redis.call('HMGET', state, unpack(names))
  for i = 1, #names do
    if tombstones[i] and tonumber(tombstones[i]) > since then
      return true
    end
  end
  return false
end

local function lines(text)
  local found = {}
  for line in string.gmatch(text, '[^\n]+') do
    found[#found + 1] = line
  end
  return found
end

-- Start a generation in which these names are forgotten.
local function forget(names, entry_prefix, tombstones_max)
  local generation = redis.call('HINCRBY', state, '=generation', 1)
  for _, name in ipairs(names) do
    redis.call('HSET', state, name, generation)
    redis.call('UNLINK', entry_prefix .. name)  -- only a key's own name is an entry's; this frees its memory at once
  end
  if redis.call('HLEN', state) > tombstones_max then
    local kept = redis.call('HMGET', state, '=run', '=epoch')
    redis.call('UNLINK', state)
    redis.call('HSET', state, '=run', kept[1], '=epoch', kept[2], '=generation', generation, '=floor', generation)
  end
  return generation
end

local function put(entry, epoch, generation, names, body, etag, ttl_ms)
  redis.call('HSET', entry,
    'epoch', epoch, 'generation', generation, 'names', names, 'body', body, 'etag', etag)
  redis.call('PEXPIRE', entry, ttl_ms)
end
