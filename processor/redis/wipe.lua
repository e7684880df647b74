-- One step of emptying a partition, or refuses and changes nothing. Each step raises the version: so a step
-- that comes late does nothing, and a Redis that loses some of the steps refuses the next one.
--
-- KEYS  1 header; for the step 'unlink' then the keys to remove
-- ARGV  1 epoch, 2 version that the header must hold, 3 version after it
--       4 step: 'begin', 'unlink' or 'end'
-- Returns {'ok'}
--      or {'fenced', stored epoch}
--      or {'lost', stored version}; {'lost'} without a header

local header = KEYS[1]
local epoch, version, after, step = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local found = redis.call('HMGET', header, 'e', 'v', 'b')
if not found[1] then
  return {'lost'}
end
if found[1] ~= epoch then
  return {'fenced', found[1]}
end
if found[2] ~= version then
  return {'lost', found[2]}
end

redis.call('HSET', header, 'v', after)
if step == 'begin' then
  redis.call('HSET', header, 's', '0', 'h', '', 'l', '0', 'o', found[3], 'c', '0', 'x', '0,0,0,0', 'y', '', 'wipe', '1')
elseif step == 'unlink' then
  redis.call('UNLINK', unpack(KEYS, 2))
else
  redis.call('HDEL', header, 'wipe')
end
return {'ok'}
