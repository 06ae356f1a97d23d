-- SPDX-License-Identifier: Apache-2.0
-- The end of broker_redis.lua: who is on a channel, what is due, how far users have read.

-- ---- who is on a channel

local function enter(node, name, user, info, connections, most, record)
    local key, mine = base .. 'p:' .. name, 'n' .. node .. user
    local known = call('HGET', key, 'u' .. user)
    if call('HEXISTS', key, mine) == 0 then
        if not known and (tonumber(call('HGET', key, '#')) or 0) >= most then
            return false
        end
        call('HINCRBY', key, 'c' .. user, 1)
        call('SADD', base .. 'on:' .. node, name .. '\0' .. user)
    end
    call('HSET', key, mine, connections)
    if not known then
        call('HINCRBY', key, '#', 1)
    end
    if known ~= info then
        call('HSET', key, 'u' .. user, info)
        if record ~= '' then
            head = head + 1
            carry(name, 'm', head, 0, record)
        end
    end
    return true
end

local function leave(node, name, user, record)
    local key = base .. 'p:' .. name
    call('SREM', base .. 'on:' .. node, name .. '\0' .. user)
    if call('HDEL', key, 'n' .. node .. user) == 0 or call('HINCRBY', key, 'c' .. user, -1) > 0 then
        return
    end
    call('HDEL', key, 'c' .. user, 'u' .. user)
    if call('HINCRBY', key, '#', -1) == 0 then
        call('DEL', key)
    end
    if record ~= '' then
        head = head + 1
        carry(name, 'm', head, 0, record)
    end
end

-- A node; then of each who has come, gone, or has another number of connections: channel, user, info,
-- connections ('': he has gone), how many users there may be, what is to be told (''). Answers how many
-- found no room.
function commands.attend()
    local node, full, ceiling = ARGV[6], 0, head + (#ARGV - 6) / 6
    call('HSET', base .. 'meta', 'head', whole(ceiling)) -- first: an error must not give a seq twice
    call('ZADD', base .. 'nodes', 'NX', whole(micros() + LEASE), node)
    for at = 7, #ARGV, 6 do
        local name, user, connections = ARGV[at], ARGV[at + 1], ARGV[at + 3]
        if connections == '' then
            leave(node, name, user, ARGV[at + 5])
        elseif not enter(node, name, user, ARGV[at + 2], connections, tonumber(ARGV[at + 4]), ARGV[at + 5]) then
            full = full + 1
        end
    end
    if head < ceiling then
        call('HSET', base .. 'meta', 'head', whole(head))
    end
    return { epoch, full }
end

-- channel. Of each user: his name, info, connections
function commands.attendance()
    local fields, infos, connections, results = call('HGETALL', base .. 'p:' .. ARGV[6]), {}, {}, { epoch }
    for i = 1, #fields, 2 do
        local kind, rest = string.sub(fields[i], 1, 1), string.sub(fields[i], 2)
        if kind == 'u' then
            infos[rest] = fields[i + 1]
        elseif kind == 'n' then
            local user = string.sub(rest, 17)
            connections[user] = (connections[user] or 0) + tonumber(fields[i + 1])
        end
    end
    for user, info in pairs(infos) do
        for _, value in ipairs({ user, info, tostring(connections[user] or 0) }) do
            results[#results + 1] = value
        end
    end
    return results
end

-- A node that is another one from now on: who is not there under its new name has left.
function commands.part()
    call('ZADD', base .. 'nodes', '0', ARGV[6])
    return { epoch }
end

-- A node, and a user whose connections it has ended; the others are to do the same.
function commands.send_away()
    call('ZADD', base .. 'away', whole(micros()), ARGV[6] .. ARGV[7])
    return { epoch }
end

-- ---- what is due

-- Renews a node's lease; answers whether it had none any more. Where nobody could for a while, all that
-- ended then are renewed.
local function renew(node, at)
    local last = tonumber(call('HGET', base .. 'meta', 'ticked')) or 0
    if at - last > LEASE / 3 then
        for _, other in ipairs(call('ZRANGEBYSCORE', base .. 'nodes', '(0', whole(at))) do
            call('ZADD', base .. 'nodes', whole(at + LEASE), other)
        end
    end
    call('HSET', base .. 'meta', 'ticked', whole(at))
    local lease = tonumber(call('ZSCORE', base .. 'nodes', node)) or 0
    call('ZADD', base .. 'nodes', whole(at + LEASE), node)
    return lease <= at
end

-- Whose leases have ended: node, channel, user. A few at a time.
local function dead(at)
    local results = {}
    for _, node in ipairs(call('ZRANGEBYSCORE', base .. 'nodes', '-inf', whole(at), 'LIMIT', 0, 4)) do
        local entries = call('SRANDMEMBER', base .. 'on:' .. node, 64)
        if #entries == 0 then
            call('ZREM', base .. 'nodes', node)
        end
        for _, entry in ipairs(entries) do
            local channel, user = string.match(entry, '^(%Z*)%z(.*)$')
            if not channel then -- somebody else wrote it
                call('SREM', base .. 'on:' .. node, entry)
            end
            for _, value in ipairs(channel and { node, channel, user } or {}) do
                results[#results + 1] = value
            end
        end
    end
    return results
end

-- A channel to carry a word to, which has told all before it; the node; since when it wants to know who
-- was sent away (''), and what it is called there. Answers how many channels there are, when what was due
-- has gone, and whether there is more of that; the time; whose leases have ended; who was sent away, and
-- for how long; whether the node had no lease.
function commands.tick()
    local due = call('ZRANGEBYSCORE', base .. 'due', '-inf', whole(now), 'LIMIT', 0, 256)
    for _, name in ipairs(due) do
        local channel = open(name)
        if channel.exists then
            trim(channel)
            save(channel)
        else
            call('ZREM', base .. 'due', name)
        end
    end
    forget_old_keys()
    local at, away = micros(), {}
    local has_lapsed = renew(ARGV[7], at)
    call('ZREMRANGEBYSCORE', base .. 'away', '-inf', whole(at - AWAY_AGE))
    if ARGV[8] ~= '' then
        local found = call('ZRANGEBYSCORE', base .. 'away', '(' .. ARGV[8], '+inf', 'WITHSCORES')
        for i = 1, #found, 2 do
            if string.sub(found[i], 1, 16) ~= ARGV[9] then -- it has done that itself
                away[#away + 1] = string.sub(found[i], 17)
                away[#away + 1] = whole(at - tonumber(found[i + 1]))
            end
        end
    end
    send(ARGV[6], 's', epoch, whole(head), '')
    return { epoch, whole(head), call('ZCARD', base .. 'names'), #due == 256 and '1' or '0', whole(at), dead(at), away,
             has_lapsed and '1' or '0' }
end

-- ---- how far users have read

-- user, channel, epoch, seq, most of all, most of the user's, and where to carry a message (its
-- channel, or ''), the message. Answers what became of it, the marker's seq, and how many were
-- forgotten, of all and of the user's.
function commands.mark()
    local user, channel, seq = ARGV[6], ARGV[7], tonumber(ARGV[9])
    if ARGV[8] ~= epoch then
        return { epoch, 'epoch', '0', '0', '0' }
    elseif seq > head then
        return { epoch, 'ahead', '0', '0', '0' }
    end
    local key, age, field = base .. 'r:' .. user, base .. 'ra:' .. user, user .. '\0' .. channel
    local old = call('HGET', key, channel)
    local old_epoch, old_seq = string.match(old or '', '^(%d+) (%d+)$')
    if old_epoch == epoch and tonumber(old_seq) >= seq then
        return { epoch, 'kept', old_seq, '0', '0' }
    end
    local moves = call('INCR', base .. 'moves')
    call('HSET', key, channel, epoch .. ' ' .. whole(seq))
    call('ZADD', age, moves, channel)
    call('ZADD', base .. 'markers', moves, field)
    local of_user, of_all = 0, 0
    while call('ZCARD', age) > tonumber(ARGV[11]) do
        local oldest = call('ZPOPMIN', age)[1]
        call('HDEL', key, oldest)
        call('ZREM', base .. 'markers', user .. '\0' .. oldest)
        of_user = of_user + 1
    end
    while call('ZCARD', base .. 'markers') > tonumber(ARGV[10]) do
        local oldest = call('ZPOPMIN', base .. 'markers')[1]
        local its_user, its_channel = string.match(oldest, '^(%Z*)%z(.*)$')
        call('HDEL', base .. 'r:' .. its_user, its_channel)
        call('ZREM', base .. 'ra:' .. its_user, its_channel)
        of_all = of_all + 1
    end
    if ARGV[12] ~= '' and has_listeners(ARGV[12]) then
        head = head + 1
        call('HSET', base .. 'meta', 'head', whole(head))
        carry(ARGV[12], 'm', head, 0, ARGV[13])
    end
    return { epoch, 'moved', whole(seq), tostring(of_all), tostring(of_user) }
end

-- user, channels. Of each: the seq of its marker, or ''
function commands.markers()
    local results = { epoch }
    for at = 7, #ARGV do
        local old_epoch, seq = string.match(call('HGET', base .. 'r:' .. ARGV[6], ARGV[at]) or '', '^(%d+) (%d+)$')
        results[#results + 1] = old_epoch == epoch and seq or ''
    end
    return results
end

return commands[ARGV[1]]()
