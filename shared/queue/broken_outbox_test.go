package queue_test

// outboxMutations are the mutations of the outbox's scripts.
func outboxMutations() []mutation {
	return []mutation{
		// An event would be told twice, or never.
		{"outbox_feed.lua", "if (feed[1] or '') ~= ARGV[1] then", "if false then", "EventsAreFedOnce"},
		{"outbox_feed.lua", "'cursor', ARGV[2], ", "", "EventsAreFedOnce"},
		// An older state would be told after a newer one.
		{"outbox_feed.lua", "'RPUSH'", "'LPUSH'", "LettersOfAChannelGoInOrder"},
		{"outbox_feed.lua", "'NX', ", "", "OneLetterOfAChannelIsSentAtATime"},
		{"outbox_feed.lua", "sent(channel) and redis.call('LPOP', key)", "false", "LetterBeingSentIsNotOvertaken"},
		{"outbox_feed.lua", "sent(channel) and 1 or 0", "0", "OutboxIsBounded"},
		{"outbox_feed.lua", "redis.call('LPUSH', key, first)", "", "LetterBeingSentIsNotOvertaken"},
		{"outbox_feed.lua", "    settle(channel, tonumber(redis.call('ZSCORE', P .. 'outbox', channel) or at))\n", "", "LetterBeingSentIsNotOvertaken"},
		{"outbox_take.lua", "redis.call('ZADD', P .. 'outbox', text(at + tonumber(ARGV[1])), channel)", "", "OneLetterOfAChannelIsSentAtATime"},
		// The outbox would fill the server.
		{"outbox_feed.lua", "> tonumber(ARGV[4])", "> 1000", "ChannelIsBounded"},
		{"outbox_feed.lua", "thin(tonumber(ARGV[5]))", "", "OutboxIsBounded"},
		{"outbox_feed.lua", "a[1] < b[1] or", "a[1] > b[1] or", "OutboxIsBounded"},
		{"outbox_feed.lua", "if line then undeliver(channel, line, why, 0) end", "", "ChannelIsBounded"},
		// One letter would keep all others back.
		{"outbox_feed.lua", "if ARGV[i + 3] ~= '' then", "if false then", "BadLetterKeepsNobodyBack"},
		{"outbox_take.lua", "tries >= tonumber(ARGV[3])", "false", "LetterWhoseSendersDieIsGivenUp"},
		{"outbox_fail.lua", "text(at + wait)", "text(at)", "FailedLetterStaysFirst"},
		{"outbox_fail.lua", "  redis.call('ZADD', P .. 'outbox', text(at + wait), ARGV[1])\n", "", "FailedLetterStaysFirst"},
		{"outbox_fail.lua", "tries >= tonumber(ARGV[9])", "false", "TriesOfALetterAreLimited"},
		{"outbox_fail.lua", "at + wait - parts(line) > tonumber(ARGV[10])", "false", "OldLetterIsGivenUpWhenItFails"},
		{"outbox_fail.lua", "final and at or at + wait", "at", "OldLetterIsGivenUpWhenItFails"},
		{"outbox_fail.lua", "final and at or at + wait", "at + wait", "RefusedLetterIsGivenUp"},
		{"outbox_fail.lua", "if final or", "if", "RefusedLetterIsGivenUp"},
		{"outbox_fail.lua", "2 ^ (failures - 1)", "1", "BackoffOfAChannelDoubles"},
		{"outbox_fail.lua", "if wait == 0 then", "if true then", "DestinationSaysHowLongToWait"},
		{"outbox_common.lua", "redis.call('HINCRBY', P .. 'feed', 'undelivered', 1)", "", "RefusedLetterIsGivenUp"},
		{"outbox_common.lua", "redis.call('ZREM', P .. 'outbox', channel)", "", "LettersOfAChannelGoInOrder"},
		// What may have arrived would be sent again blindly, or what certainly did not looked for.
		{"outbox_take.lua", "if same and s[3] ~= '' then unsure = '1' end", "", "DeadSenderIsOutlivedAndTold"},
		{"outbox_take.lua", "if same and s[3] ~= '' then", "if same then", "FailedLetterStaysFirst"},
		{"outbox_take.lua", "same and s[4] or ''", "''", "DoubtAboutALetterStays"},
		{"outbox_take.lua", "local same = id and s[1] == id", "local same = id", "DeadSenderIsOutlivedAndTold"},
		{"outbox_fail.lua", "if ARGV[5] == '1' then", "if false then", "DoubtAboutALetterStays"},
		// A slow sender would end what another one sends.
		{"outbox_done.lua", "if redis.call('HGET', key, 'lease') ~= ARGV[2] then return 0 end", "", "StaleSenderEndsNobodysLetter"},
		{"outbox_fail.lua", "if redis.call('HGET', key, 'lease') ~= ARGV[2] then return 0 end", "", "StaleSenderEndsNobodysLetter"},
		{"outbox_due.lua", "first[2] and", "false and", "NextLetterIsTold"},
	}
}
