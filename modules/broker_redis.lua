-- SPDX-License-Identifier: Apache-2.0
-- What a Redis server does for Fanhorn in one step each: order, history, carrying. One script with
-- broker_redis_people.lua.
--
-- KEYS[1]: what all keys begin with. Below it:
--   meta        hash: epoch, run (of the server that began it), head (the newest seq), names (a count
--               that rises with the list)
--   h:CHANNEL   stream of kept messages, seq-0: n count, b bytes, t stored at, x expires, d the message
--   c:CHANNEL   hash: n, bytes, trimmed, section, the limits (count, most, age), soonest (the first
--               end by a message's own ttl), walked (when such ends were looked for), and the retained one: r,
--               rs seq, rx expires
--   names       sorted set of the channels that have either
--   due         sorted set of them by when something in them ends
--   gone        hash: what channels of a bucket, or of a section, had trimmed when they were freed
--   i:CHANNEL,KEY  an idempotency key: stored at, digest, seq, n
--   keys        sorted set of CHANNEL,KEY by when they were stored
--   p:CHANNEL   hash, who is on it: # users, and of each: uUSER info, cUSER how many nodes he is on, and for each
--               of them nNODEUSER (NODE: 16 characters) his connections there
--   on:NODE     set of CHANNEL\0USER that it says are there
--   nodes       sorted set of them by when their leases end, unless renewed (microseconds, the server's clock)
--   away        sorted set of NODEUSER, who were sent away, by when
-- ARGV: command, run_id of the server, an epoch that nobody has, the newest seq the caller has seen,
-- now (milliseconds), and the command's own.

local base = KEYS[1]
local run, candidate, seen, now = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local call = redis.call
local KEY_AGE = 300000
local LEASE, AWAY_AGE = 15000000, 3600000000

-- In a cluster that knows shards, what is carried stays within that of our keys; but for who has a
-- pattern, which shards do not know.
local is_sharded = string.sub(base, 1, 1) == '{' and (redis.REDIS_VERSION_NUM or 0) >= 0x070000

local function whole(number)
    return string.format('%.0f', number)
end

-- The epoch is this server's, in this run of it, as long as no node has seen more than it has.
-- Another one begins above all that anybody has seen: by the caller's word, and by the clock.
local meta = call('HMGET', base .. 'meta', 'run', 'epoch', 'head')
local epoch, head = meta[2], tonumber(meta[3])
if meta[1] ~= run or seen > head then
    local time = call('TIME')
    local by_clock = (tonumber(time[1]) - 1735689600) * 1000000 + tonumber(time[2])
    epoch, head = candidate, math.max((head or 0) + 1000000, seen + 1000000, by_clock)
    call('HSET', base .. 'meta', 'run', run, 'epoch', epoch, 'head', whole(head))
end

local function micros()
    local time = call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function bucket(channel)
    return string.sub(redis.sha1hex(channel), 1, 3)
end

local function seq_of(id)
    return tonumber(string.match(id, '^%d+'))
end

local function fields_of(entry)
    local fields = entry[2]
    return { seq = seq_of(entry[1]), n = fields[2], bytes = tonumber(fields[4]), stored = tonumber(fields[6]),
             expires = tonumber(fields[8]), message = fields[10] }
end

local function is_over(expires)
    return expires > 0 and expires <= now
end

local function raise(field, seq)
    if seq > (tonumber(call('HGET', base .. 'gone', field)) or 0) then
        call('HSET', base .. 'gone', field, whole(seq))
    end
end

-- ---- a channel

-- `limits`: count, bytes, age and section as the caller's configuration has them; nil, or '': as stored.
local function open(name, limits)
    local channel = { name = name, key = base .. 'c:' .. name, stream = base .. 'h:' .. name }
    local v = call('HMGET', channel.key, 'n', 'bytes', 'trimmed', 'section', 'count', 'most', 'age', 'soonest',
                   'rs', 'rx', 'walked')
    channel.exists = v[1] ~= false
    channel.n, channel.bytes = tonumber(v[1]) or 0, tonumber(v[2]) or 0
    channel.trimmed = tonumber(v[3]) or tonumber(call('HGET', base .. 'gone', bucket(name))) or 0
    channel.section, channel.soonest, channel.walked = v[4], tonumber(v[8]) or 0, tonumber(v[11]) or 0
    channel.count, channel.most, channel.age = tonumber(v[5]), tonumber(v[6]), tonumber(v[7])
    if limits and limits[1] ~= '' then
        channel.section, channel.count, channel.most, channel.age = limits[4], tonumber(limits[1]),
            tonumber(limits[2]), tonumber(limits[3])
    end
    channel.retained, channel.retained_until = tonumber(v[9]) or 0, tonumber(v[10]) or 0
    return channel
end

local function drop(channel, entry)
    call('XDEL', channel.stream, entry[1])
    local fields = fields_of(entry)
    channel.bytes = channel.bytes - fields.bytes
    if not is_over(fields.expires) then
        channel.trimmed = math.max(channel.trimmed, fields.seq)
    end
    channel.is_changed = true
end

-- Those that ended by their own ttl, wherever they stand; not twice within a second, who reads passes over them.
local function drop_expired(channel)
    if not is_over(channel.soonest) or now < channel.walked + 1000 then
        return
    end
    channel.soonest, channel.walked = 0, now
    for _, entry in ipairs(call('XRANGE', channel.stream, '-', '+')) do
        local expires = fields_of(entry).expires
        if is_over(expires) then
            drop(channel, entry)
        elseif expires > 0 and (channel.soonest == 0 or expires < channel.soonest) then
            channel.soonest = expires
        end
    end
    channel.is_changed = true
end

local function trim(channel)
    drop_expired(channel)
    local left = call('XLEN', channel.stream)
    while left > 0 do
        local oldest = call('XRANGE', channel.stream, '-', '+', 'COUNT', 1)[1]
        local fields = fields_of(oldest)
        channel.oldest = fields.stored
        if left <= channel.count and channel.bytes <= channel.most and fields.stored + channel.age > now then
            break
        end
        drop(channel, oldest)
        left = left - 1
    end
    channel.length = left
    if channel.retained > 0 and is_over(channel.retained_until) then
        channel.retained, channel.retained_until, channel.is_changed = 0, 0, true
        call('HDEL', channel.key, 'r')
    end
end

local function free(channel)
    if channel.exists or channel.is_written then
        call('DEL', channel.key, channel.stream)
        call('ZREM', base .. 'names', channel.name)
        call('ZREM', base .. 'due', channel.name)
    end
    if channel.trimmed > 0 then
        raise(bucket(channel.name), channel.trimmed)
        raise('section ' .. (channel.section or ''), channel.trimmed)
    end
    channel.exists = false
end

local function due_of(channel)
    local due = 0
    for _, at in ipairs({ channel.length > 0 and channel.oldest + channel.age or 0,
                          channel.soonest > 0 and math.max(channel.soonest, channel.walked + 1000) or 0,
                          channel.retained > 0 and channel.retained_until or 0 }) do
        if at > 0 and (due == 0 or at < due) then
            due = at
        end
    end
    return due
end

-- Writes down what trim() and publish() made of it, or frees it.
local function save(channel)
    if channel.length == 0 and channel.retained == 0 then
        return free(channel)
    end
    call('HSET', channel.key, 'n', channel.n, 'bytes', channel.bytes, 'trimmed', whole(channel.trimmed),
         'section', channel.section or '', 'count', channel.count, 'most', whole(channel.most), 'age',
         whole(channel.age), 'soonest', whole(channel.soonest), 'walked', whole(channel.walked), 'rs',
         whole(channel.retained), 'rx', whole(channel.retained_until))
    if not channel.exists then
        if string.sub(channel.name, 1, 1) ~= '$' then -- reserved: in no list, meant by no wildcard
            call('ZADD', base .. 'names', 0, channel.name)
            call('HINCRBY', base .. 'meta', 'names', 1)
        end
        channel.exists = true
    end
    local due = due_of(channel)
    if due > 0 then
        call('ZADD', base .. 'due', whole(due), channel.name)
    else
        call('ZREM', base .. 'due', channel.name)
    end
end

-- As a reader finds it.
local function look(name, limits)
    local channel = open(name, limits)
    channel.length = 0
    if channel.exists then
        trim(channel)
        if channel.is_changed then
            save(channel)
        end
    end
    return channel
end

-- Seq of the first that is not over; from `from` on ('-' or an id).
local function first_fresh(channel, from)
    while true do
        local entries = call('XRANGE', channel.stream, from, '+', 'COUNT', 16)
        for _, entry in ipairs(entries) do
            local fields = fields_of(entry)
            if not is_over(fields.expires) then
                return fields.seq
            end
        end
        if #entries < 16 then
            return 0
        end
        from = '(' .. entries[#entries][1]
    end
end

-- Seq of the first of the `count` newest that are not over.
local function newest(channel, count)
    local first, to = 0, '+'
    while count > 0 do
        local entries = call('XREVRANGE', channel.stream, to, '-', 'COUNT', 64)
        for _, entry in ipairs(entries) do
            local fields = fields_of(entry)
            if count > 0 and not is_over(fields.expires) then
                first, count = fields.seq, count - 1
            end
        end
        if #entries < 64 then
            break
        end
        to = '(' .. entries[#entries][1]
    end
    return first
end

local function send(to, ...)
    call(is_sharded and 'SPUBLISH' or 'PUBLISH', to, table.concat({ ... }, ' '))
end

local function has_listeners(name)
    return call('PUBSUB', is_sharded and 'SHARDNUMSUB' or 'NUMSUB', base .. 'm:' .. name)[2] > 0
end

local function carry(name, kind, seq, n, message)
    local to = base .. 'm:' .. name
    send(to, kind, epoch, whole(seq), n, message)
    if is_sharded and call('PUBSUB', 'NUMPAT') > 0 then
        call('PUBLISH', to, table.concat({ kind, epoch, whole(seq), n, message }, ' '))
    end
end

-- ---- idempotency keys

local function forget_old_keys()
    call('ZREMRANGEBYSCORE', base .. 'keys', '-inf', whole(now - KEY_AGE))
end

-- Whether an older one had to go before its time.
local function remember_key(key, digest, n, most)
    local name = base .. 'i:' .. key
    call('HSET', name, 'at', whole(now), 'digest', digest, 'seq', whole(head), 'n', n)
    call('PEXPIRE', name, KEY_AGE)
    call('ZADD', base .. 'keys', whole(now), key)
    if call('ZCARD', base .. 'keys') <= most then
        return false
    end
    forget_old_keys()
    if call('ZCARD', base .. 'keys') <= most then
        return false
    end
    call('DEL', base .. 'i:' .. call('ZPOPMIN', base .. 'keys')[1])
    return true
end

-- ---- commands

local commands = {}

-- Each message: channel, store, retain, key, digest, count, bytes and age to keep, section, expires,
-- its bytes, itself. Answers status, seq, n, of a user's channel whether any node wants it, and whether an
-- idempotency key had to be forgotten before its time.
local function publish_one(at, most_channels, most_keys)
    local name, store, retain, key, digest = ARGV[at], ARGV[at + 1] == '1', ARGV[at + 2] == '1', ARGV[at + 3],
        ARGV[at + 4]
    local expires, bytes, message = tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10]), ARGV[at + 11]
    local key_name = base .. 'i:' .. name .. ',' .. key
    if key ~= '' then
        local known = call('HMGET', key_name, 'at', 'digest', 'seq', 'n')
        if known[1] and tonumber(known[1]) + KEY_AGE > now then
            return { known[2] == digest and 'replayed' or 'mismatch', known[3], known[4] }
        end
    end
    local channel = open(name, { ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8] })
    if not channel.exists and call('ZCARD', base .. 'names') >= most_channels then
        return { 'full', '0', '0' }
    end
    head = head + 1
    channel.is_written = store or retain
    if store then
        channel.n = channel.n + 1
        channel.bytes = channel.bytes + bytes
        call('XADD', channel.stream, whole(head) .. '-0', 'n', channel.n, 'b', bytes, 't', whole(now), 'x',
             whole(expires), 'd', message)
        if expires > 0 and (channel.soonest == 0 or expires < channel.soonest) then
            channel.soonest = expires
        end
    end
    local n = store and channel.n or 0
    if retain then
        channel.retained, channel.retained_until = head, expires
        call('HSET', channel.key, 'r', message, 'rn', n)
    end
    trim(channel)
    save(channel)
    local is_forgotten = key ~= '' and remember_key(name .. ',' .. key, digest, n, most_keys)
    carry(name, 'm', head, n, message)
    local is_reserved = string.sub(name, 1, 1) == '$' -- of others nobody asks
    return { 'published', whole(head), whole(n), is_reserved and has_listeners(name) and '1' or '0',
             is_forgotten and '1' or '0' }
end

-- most channels, most idempotency keys, messages
function commands.publish()
    local results = { epoch }
    local ceiling = head + (#ARGV - 7) / 12
    call('HSET', base .. 'meta', 'head', whole(ceiling)) -- first: an error must not give a seq twice
    for at = 8, #ARGV, 12 do
        local result = publish_one(at, tonumber(ARGV[6]), tonumber(ARGV[7]))
        results[#results + 1] = result[1]
        results[#results + 1] = result[2]
        results[#results + 1] = tostring(result[3])
        results[#results + 1] = result[4] or '0'
        results[#results + 1] = result[5] or '0'
    end
    if head < ceiling then
        call('HSET', base .. 'meta', 'head', whole(head))
    end
    return results
end

-- Where a reader begins: since's kind, count, epoch and seq; then of each channel name, count, bytes,
-- age, section. Of each: trimmed, the first seq of its replay (0: none), floor, '' or why there is a
-- gap, the seq behind it, and the retained message with its seq and n, or ''.
local function start_one(kind, count, since_epoch, since_seq, name, limits)
    if string.find(name, '*', 1, true) then -- a wildcard: what its section's channels had trimmed
        return { call('HGET', base .. 'gone', 'section ' .. limits[4]) or '0' }
    end
    local channel = look(name, limits)
    local floor, first, gap, behind = channel.trimmed, 0, '', 0
    if kind == 'latest' then
        floor = head
    elseif kind == 'earliest' then
        first = first_fresh(channel, '-')
    elseif kind == 'newest' then
        first = newest(channel, count)
        local from = first > 0 and '(' .. whole(first) .. '-0' or '+'
        local before = call('XREVRANGE', channel.stream, from, '-', 'COUNT', 1)[1]
        if before then
            floor = seq_of(before[1])
        end
    elseif since_epoch ~= epoch or since_seq > head then
        gap = since_epoch == epoch and 'ahead' or 'epoch'
        local oldest = call('XRANGE', channel.stream, '-', '+', 'COUNT', 1)[1]
        first = oldest and seq_of(oldest[1]) or 0
        behind = first
    else
        floor = since_seq
        local entry = call('XRANGE', channel.stream, '(' .. whole(since_seq) .. '-0', '+', 'COUNT', 1)[1]
        first = entry and seq_of(entry[1]) or 0
    end
    local retained = { '', '0', '0' }
    local seq = channel.retained
    if seq > 0 then
        local is_newer = kind ~= 'after' or gap ~= '' or seq > floor
        local id = whole(seq) .. '-0'
        local is_replayed = seq > floor and #call('XRANGE', channel.stream, id, id) > 0
        if is_newer and not is_replayed then
            local kept = call('HMGET', channel.key, 'r', 'rn')
            retained = { kept[1], whole(seq), tostring(kept[2]) }
        end
    end
    return { whole(channel.trimmed), whole(first), whole(floor), gap, whole(behind), retained[1], retained[2],
             retained[3] }
end

function commands.locate()
    local kind, count, since_epoch, since_seq = ARGV[6], tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
    local results = { epoch, whole(head), tostring(call('HGET', base .. 'meta', 'names') or '0') }
    for at = 10, #ARGV, 5 do
        results[#results + 1] = start_one(kind, count, since_epoch, since_seq, ARGV[at],
                                          { ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] })
    end
    return results
end

-- As locate; before it come a channel, a word that is carried there (what comes behind it is above
-- `head`, what came before is not), and how many channels there may be.
function commands.subscribe()
    local inbox, word = table.remove(ARGV, 6), table.remove(ARGV, 6)
    local most, count = tonumber(table.remove(ARGV, 6)), call('ZCARD', base .. 'names')
    for at = 10, #ARGV, 5 do
        if not string.find(ARGV[at], '*', 1, true) and call('EXISTS', base .. 'c:' .. ARGV[at]) == 0 then
            count = count + 1
            if count > most then
                return { epoch, whole(head), 'full' }
            end
        end
    end
    local results = commands.locate()
    send(inbox, 's', epoch, whole(head), word)
    return results
end

-- after, most messages of one channel, most bytes, and of all; then of each channel name, floor, count,
-- bytes, age, section. Of each: trimmed, whether there is more, and the messages (seq, n, itself); or
-- beyond the bytes of all, the seq of the first instead.
local function read_one(after, most, bytes_left, name, floor, limits)
    if string.find(name, '*', 1, true) then
        return { call('HGET', base .. 'gone', 'section ' .. limits[4]) or '0' }
    end
    local channel = look(name, limits)
    local result = { whole(channel.trimmed), '0' }
    local from = math.max(after, floor, channel.trimmed)
    local taken = 0
    while taken < most and bytes_left > 0 do
        local step = math.min(most - taken, 16)
        local entries = call('XRANGE', channel.stream, '(' .. whole(from) .. '-0', '+', 'COUNT', step)
        for _, entry in ipairs(entries) do
            local fields = fields_of(entry)
            from, taken, bytes_left = fields.seq, taken + 1, bytes_left - fields.bytes
            for _, value in ipairs({ whole(fields.seq), fields.n, fields.message }) do
                result[#result + 1] = value
            end
            if bytes_left <= 0 then
                break
            end
        end
        if #entries < step then
            return result
        end
    end
    if call('XRANGE', channel.stream, '(' .. whole(from) .. '-0', '+', 'COUNT', 1)[1] then
        result[2] = '1'
    end
    return result
end

function commands.read()
    local after, most, bytes, left = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
    local results = { epoch, whole(head), tostring(call('HGET', base .. 'meta', 'names') or '0') }
    local lowest -- of those beyond: it is given, so that each page has what comes first
    for at = 10, #ARGV, 6 do
        local is_beyond = left <= 0
        local result = read_one(after, is_beyond and 1 or most, bytes, ARGV[at], tonumber(ARGV[at + 1]),
                                { ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5] })
        for value = 5, #result, 3 do
            left = left - #result[value]
        end
        local first = tonumber(result[3])
        if is_beyond and first then
            local other = result
            if not lowest or first < tonumber(lowest[3]) then
                lowest, other = result, lowest
            end
            if other then
                other[2], other[4], other[5] = '1', nil, nil
            end
        end
        results[#results + 1] = result
    end
    return results
end

-- channel
function commands.remove()
    local channel = open(ARGV[6])
    if not channel.exists and not has_listeners(ARGV[6]) then
        return { epoch, '0' }
    end
    local last = call('XREVRANGE', channel.stream, '+', '-', 'COUNT', 1)[1]
    if last then
        channel.trimmed = math.max(channel.trimmed, seq_of(last[1]))
    end
    head = head + 1 -- a place in the order: who subscribes behind it is not ended
    call('HSET', base .. 'meta', 'head', whole(head))
    free(channel)
    carry(ARGV[6], 'e', head, 0, '')
    return { epoch, '1' }
end

-- Of each channel named: '' or name, messages, bytes, first and last seq, n, section
local function facts_of(name, limits)
    local channel = look(name, limits)
    if not channel.exists then
        return { '' }
    end
    local oldest = call('XRANGE', channel.stream, '-', '+', 'COUNT', 1)[1]
    local last = call('XREVRANGE', channel.stream, '+', '-', 'COUNT', 1)[1]
    return { name, tostring(channel.length), tostring(channel.bytes), oldest and whole(seq_of(oldest[1])) or '0',
             last and whole(seq_of(last[1])) or '0', tostring(channel.n) }
end

function commands.facts()
    local results = { epoch }
    for at = 6, #ARGV, 5 do
        results[#results + 1] = facts_of(ARGV[at], { ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] })
    end
    return results
end

-- prefix, from, how many: names in their order
function commands.list()
    local prefix, from, most = ARGV[6], ARGV[7], tonumber(ARGV[8])
    local lower = from > prefix and from or prefix
    local names = call('ZRANGEBYLEX', base .. 'names', '[' .. lower, '+', 'LIMIT', 0, most)
    local results = { epoch, tostring(call('HGET', base .. 'meta', 'names') or '0') }
    for _, name in ipairs(names) do
        if string.sub(name, 1, #prefix) ~= prefix then
            break
        end
        results[#results + 1] = name
    end
    return results
end
