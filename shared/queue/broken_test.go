package queue_test

import (
	"slices"
	"testing"

	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// mutation breaks one rule of one script; the law must notice.
type mutation struct{ script, was, is, law string }

// mutations has at least one for each script of the moves. Beside the law's name stands what goes
// wrong in the world when it is broken.
func mutations() []mutation {
	return []mutation{
		// A redelivery would queue its jobs again, or answer otherwise.
		{"push.lua", "if answer then return", "if false then return", "ReplayAnswersTheSame"},
		{"push.lua", "if guid ~= '' and ARGV[5] ~= '' then", "if guid ~= '' then", "BigPushIsInWhole"},
		{"push.lua", "if known then return known end", "", "KnownJobStaysAsItIs"},
		// An older push would undo a newer one.
		{"push.lua", "if c < 0 then return m[4] end", "", "OlderHalfNeverOverwrites"},
		{"push.lua", "if c < 0 then return m[4] end", "", "LateOlderWishIsSupersededEvenAfterTheNewerWasDeployed"},
		{"push.lua", "tie, half = '1', unpinned", "tie = '1'", "ATieThatCannotBeToldIsLeftToTheForge"},
		{"push.lua", "(m[5] == '1' and tonumber(m[1]) == j.time)", "false", "ATieThatCannotBeToldIsLeftToTheForge"},
		{"push.lua", "(m[5] == '1' and tonumber(m[1]) == j.time)", "m[5] == '1'", "ATieThatCannotBeToldIsLeftToTheForge"},
		{"push.lua", "time <= 0", "false", "WrongClockPutsOffNoPush"},
		{"push.lua", "time > AT + 60000", "false", "WrongClockPutsOffNoPush"},
		{"push.lua", "shut(n, 'superseded', AT, ttl, j.id)", "", "NewestWishWins"},
		{"push.lua", "      by = n.id", "", "HalvesAreKeptApart"},
		{"push.lua", "if j.force ~= '' and not by", "if false", "ForceOutlivesItsJob"},
		// Two deployers would change one app.
		{"push.lua", "busy and holder(j.subject)", "false", "NewJobParksWhileAnotherIsActive"},
		{"common.lua", "a.time > b.time and 1 or -1", "1", "LateOlderWishIsSupersededAtOnce"},
		{"common.lua", "return follows and 1 or -1", "return 1", "OnATieTheFollowerIsNewer"},
		{"common.lua", "return follows and 1 or -1", "return -1", "OnATieTheFollowerIsNewer"},
		{"common.lua", "if follows == precedes then return 0 end", "", "ATieThatCannotBeToldIsLeftToTheForge"},
		{"common.lua", "if a.kind ~= b.kind and a.side == 'source' then return false end", "", "SourcePushDoesNotContradictADestroy"},
		{"common.lua", "if a.kind ~= b.kind and b.side == 'source' then return true end", "", "SourcePushDoesNotContradictADestroy"},
		{"common.lua", "redis.call('XDEL', P .. j.stream, j.entry)", "", "NewestWishWins"},
		{"common.lua", "redis.call('XACK', P .. j.stream, GROUP, j.entry)", "", "UnlaunchSpendsNoAttempt"},
		{"common.lua", "if n and n.state == 'parked' then enqueue(n) end", "", "NewJobParksWhileAnotherIsActive"},
		{"common.lua", "if outranks(n, j) then", "if true then", "GivenBackJobOutlivesAnOlderParkedWish"},
		{"common.lua", "if outranks(n, j) then", "if false then", "GivenBackJobYieldsToTheParkedWish"},
		{"common.lua", "if lost < max then", "if true then", "LaunchThatNeverBootsIsTriedAgain"},
		{"common.lua", "if j.state == 'delayed' then redis.call('ZREM', P .. 'delayed', j.id) end", "", "NewerWishOvertakesABackoff"},
		{"common.lua", "redis.call('EXPIRE', key, ttl)", "", "NewestWishWins"},
		{"take.lua", "- redis.call('ZCARD', P .. 'active')", "", "NoMoreThanMaxAreActive"},
		{"take.lua", "if #ids >= count then break end", "", "ManyAreTakenAtOnce"},
		{"take.lua", "read('jobs') or read('jobs:low')", "read('jobs:low') or read('jobs')", "LowIsReadSecond"},
		{"take.lua", "j.attempt + 1", "1", "TakeCountsAttemptsAndSetsDeadlines"},
		{"take.lua", "text(AT + tonumber(ARGV[2]))", "text(AT + 2 * tonumber(ARGV[2]))", "TakeCountsAttemptsAndSetsDeadlines"},
		{"take.lua", "if redis.call('HGET', s, 'next') == j.id then", "if false then", "PushedJobIsTaken"},
		// An app would be deployed before what it depends on, too late, or never.
		{"take.lua", "if not o then", "if true then", "DependencyIsDeployedFirst"},
		{"take.lua", "(tonumber(s[6]) or 0) < j.time", "true", "NewerPushesToADependencyStarveNobody"},
		{"take.lua", "(tonumber(s[6]) or 0) < j.time", "false", "PersonsDeployAnswersNoPush"},
		{"take.lua", "if deploying(s, 'app:' .. other) then", "if false then", "NewerPushesToADependencyStarveNobody"},
		{"take.lua", "elseif s[5] then", "elseif false then", "FailedDependencyFailsItsDependantsUntilItIsMended"},
		{"take.lua", "and select(2, needs(other))", "", "DependencyWithNothingToDoIsNoObstacle"},
		{"take.lua", "elseif not s[4] and", "elseif false and", "NeverDeployedDependencyIsWaitedForInBounds"},
		{"take.lua", "if due <= AT then", "if false then", "NeverDeployedDependencyIsWaitedForInBounds"},
		{"take.lua", "if #list > 0 and way then", "if false then", "CircleIsRejectedAndComesBack"},
		{"take.lua", "if name == app then", "if name == line[i] then", "CircleIsRejectedAndComesBack"},
		{"take.lua", "return n and pending(n.state)", "return nil", "CancelledDependencyLetsGo"},
		{"take.lua", "j.kind == 'deploy' and needs(name) or {}", "needs(name)", "DestroyWaitsForNobody"},
		{"take.lua", "redis.call('SADD', P .. 'waits:' .. o[2], j.id)", "", "DependencyIsDeployedFirst"},
		{"take.lua", "if o[1] == 'failed' then dead(", "if false then dead(", "NeverDeployedDependencyIsWaitedForInBounds"},
		{"take.lua", "if redis.call('HGET', s, 'next') == j.id then redis.call('HDEL', s, 'next', 'next_kind') end\n    redis.call('HSET', s, 'last'", "redis.call('HSET', s, 'last'", "FailedDependencyFailsItsDependantsUntilItIsMended"},
		{"take.lua", "redis.call('HSET', s, 'last', j.id, 'last_outcome', o[1])", "", "CircleIsRejectedAndComesBack"},
		{"common.lua", "wake(string.match(j.subject, ':(.*)'), done)", "", "DependencyIsDeployedFirst"},
		{"common.lua", "    elseif done then\n      revive(j)", "    elseif false then", "FailedDependencyFailsItsDependantsUntilItIsMended"},
		{"common.lua", "    elseif done then\n      revive(j)", "    else\n      revive(j)", "FailedDependencyRevivesNobody"},
		{"common.lua", "if s[1] ~= j.id or s[2] or holder(j.subject) then return unwait(j) end", "", "OnlyTheNewestJobComesBack"},
		{"common.lua", "redis.call('PERSIST', P .. 'job:' .. j.id)", "", "FailedDependencyFailsItsDependantsUntilItIsMended"},
		{"common.lua", "redis.call('HDEL', P .. 'job:' .. j.id, 'ended', 'since')", "", "NeverDeployedDependencyIsWaitedForInBounds"},
		{"common.lua", "redis.call('HEXISTS', P .. 'job:' .. j.id, 'entered') == 0", "true", "PersonsDeployAnswersNoPush"},
		{"common.lua", "redis.call('HDEL', s, 'trouble')", "", "FailedDependencyFailsItsDependantsUntilItIsMended"},
		{"common.lua", "redis.call('SREM', set .. j[why], j.id)", "", "DependencyIsDeployedFirst"},
		{"common.lua", "  unqueue(j)\n  unwait(j)", "  unqueue(j)", "WaitingDependantIsSupersededAndCancelled"},
		{"common.lua", "if holder(j.subject) then park(j) else enqueue(j) end", "enqueue(j)", "PersonsDeployParksWhatIsWoken"},
		{"cancel.lua", "unwait(j)", "", "OnlyTheNewestJobComesBack"},
		{"finish.lua", "'hold', 'done', 'trouble')", "'hold')", "DestroyedDependencyCountsForNothing"},
		{"write.lua", "if needs ~= '' then", "if false then", "DependencyIsDeployedFirst"},
		{"giveback.lua", "if ARGV[3] == '' then redis.call('HSET'", "if false then redis.call('HSET'", "ClosedWindowCountsNothing"},
		{"giveback.lua", ", 86400000)", ", 1e15)", "BackoffIsADayAtMost"},
		{"unlaunch.lua", "j.attempt - 1", "j.attempt", "UnlaunchSpendsNoAttempt"},
		{"unlaunch.lua", "j.state ~= 'launching'", "false", "UnlaunchOfAClaimedJobChangesNothing"},
		{"unlaunch.lua", "at + tonumber(ARGV[3])", "at", "UnlaunchedJobWaitsAMoment"},
		// A second or late machine would deploy beside the first.
		{"claim.lua", "j.machine == ARGV[3]", "true", "ClaimIsForItsAttemptOnly"},
		{"claim.lua", "j.attempt ~= tonumber(ARGV[2])", "false", "MachineThatComesLateIsRefused"},
		{"claim.lua", "if not again then", "if true then", "ClaimAgainGivesTheSameFence"},
		{"claim.lua", "math.min(tonumber(ARGV[4]), math.max(j.deadline - at, 0))", "tonumber(ARGV[4])", "HoldNeverOutlastsTheDeadline"},
		{"claim.lua", "if j.cancel and not again then", "if false then", "CancelledAttemptEndsItsJob"},
		{"hold.lua", "j.fence ~= ARGV[2]", "false", "SilentHolderLosesJob"},
		{"hold.lua", "j.state ~= 'claimed'", "false", "HoldStandsUntilItLapses"},
		{"hold.lua", "math.min(tonumber(ARGV[3]), j.deadline - at)", "tonumber(ARGV[3])", "OverrunningAttemptLosesItsHold"},
		{"hold.lua", "return { 1, j.cancel and 1 or 0, hold }", "return { 1, 0, hold }", "CancelledJobEnds"},
		{"hold.lua", "redis.call('ZADD'", "tostring('ZADD'", "HoldStandsUntilItLapses"},
		{"finish.lua", "j.fence ~= ARGV[2]", "false", "SilentHolderLosesJob"},
		{"finish.lua", "if j.state == ARGV[3] then return 1 end", "", "FinishIsSafeToRepeat"},
		{"finish.lua", "if j.state ~= 'claimed' then return 0 end", "", "SilentHolderLosesJob"},
		{"finish.lua", "redis.call('HGET', d, field) == was", "true", "FinishClearsByValue"},
		{"finish.lua", "redis.call('HDEL', d, field)", "", "FinishClearsByValue"},
		{"finish.lua", "follow(j.subject)", "", "FinishClearsByValue"},
		{"finish.lua", "if ARGV[6] == '1' then redis.call('HSET', s, 'result'", "if true then redis.call('HSET', s, 'result'", "RejectedWishStays"},
		{"finish.lua", "(ARGV[6] == '1' or ARGV[3] == 'cancelled')", "true", "RejectedWishStays"},
		{"finish.lua", "for i = 1, #facts, 2 do redis.call('HDEL', s, facts[i]) end", "", "DestroyedAppIsForgotten"},
		{"finish.lua", "if ARGV[6] == '1' then redis.call('HDEL', s, 'hold') end", "", "HeldAppIsReleasedByADoneDeploy"},
		{"finish.lua", "if ARGV[3] == 'failed' then", "if false then", "FailedFinishIsVisibleInDead"},
		{"giveback.lua", "j.fence ~= ARGV[2]", "false", "SilentHolderLosesJob"},
		{"giveback.lua", "if failed >= tonumber(ARGV[4]) then", "if false then", "FailedAttemptsAreLimited"},
		{"giveback.lua", "4 ^ (failed - 1)", "1", "BackoffGrowsFourfold"},
		{"giveback.lua", "if j.state ~= 'claimed' then return j.state end", "", "GiveBackIsSafeToRepeat"},
		{"giveback.lua", "if j.cancel then", "if false then", "CancelledJobEnds"},
		{"giveback.lua", "if ARGV[3] == 'lost' then", "if false then", "LostAttemptsAreLimited"},
		{"giveback.lua", "if ARGV[3] == 'failed' then", "if true then", "ClosedWindowCountsNothing"},
		{"retry.lua", "failed >= tonumber(ARGV[3])", "false", "RetryCountsAndKeepsTheClaim"},
		{"retry.lua", "if redis.call('HEXISTS', P .. j.subject, 'next') == 1 then return 0 end", "", "RetryCountsAndKeepsTheClaim"},
		// A machine that died would hold its app for ever.
		{"due.lua", "if j and active(j.state) then", "if false then", "LaunchThatNeverBootsIsTriedAgain"},
		{"due.lua", "ZRANGEBYSCORE', P .. 'active', '-inf', text(at)", "ZRANGEBYSCORE', P .. 'active', '-inf', '+inf'", "HoldStandsUntilItLapses"},
		{"due.lua", "ZRANGEBYSCORE', P .. 'delayed', '-inf', text(at)", "ZRANGEBYSCORE', P .. 'delayed', '-inf', '+inf'", "DelayedJobIsReleasedWhenItIsDue"},
		{"due.lua", "    else\n      again(j)", "    else", "DelayedJobIsReleasedWhenItIsDue"},
		{"common.lua", "if holder(j.subject) then park(j) else enqueue(j) end", "enqueue(j)", "ReleasedJobParksWhileAPersonDeploys"},
		{"due.lua", "'LIMIT', 0, limit", "'LIMIT', 0, 1000", "DuePassIsBounded"},
		{"due.lua", "(b >= 0 and b < a)", "false", "NextDueIsTheFirstDeadline"},
		{"lapse.lua", "j.attempt ~= tonumber(ARGV[2])", "false", "LapseIsForItsAttemptOnly"},
		{"cancel.lua", "redis.call('HSET', P .. 'job:' .. j.id, 'cancel', 1)", "", "CancelledJobEnds"},
		{"common.lua", "redis.call('HDEL', d, side)", "", "CancelledJobEnds"},
		{"common.lua", "  withdraw(j)", "", "CancelledAttemptEndsItsJob"},
		{"common.lua", "if j.cancel then return call_off(j, at, ttl) end", "", "CancelledAttemptEndsItsJob"},
		{"cancel.lua", "redis.call('HDEL', s, 'next', 'next_kind')", "", "CancelledJobEnds"},
		{"suspect.lua", "at - first >= tonumber(ARGV[2])", "true", "NothingIsConfirmedOnOneSighting"},
		{"suspect.lua", "if not seen[id] then", "if false then", "NothingIsConfirmedOnOneSighting"},
		{"suspect.lua", "if not first then", "first = first or 0 if first == at then", "NothingIsConfirmedOnOneSighting"},
		{"routes.lua", "live(generation, config)", "true", "GenerationIsUnseenUntilTheSwitch"},
		{"routes.lua", "#apps >= limit", "#apps > limit", "RoutesAreLimited"},
		{"entry.lua", "catalog:' .. config .. ':' .. generation", "catalog:' .. config .. ':2'", "GenerationIsUnseenUntilTheSwitch"},
		{"begin.lua", "redis.call('HINCRBY', P .. 'config:' .. id, 'last_generation', 1)", "1", "GenerationIsUnseenUntilTheSwitch"},
		{"begin.lua", "redis.call('HSET', P .. 'trees:'", "tostring('HSET', P .. 'trees:'", "TreeIsRoutedEvenIfItWasNeverRead"},
		{"write.lua", "holds(owner, app)", "false", "AppBelongsToOneTree"},
		{"write.lua", "if redis.call('HEXISTS', P .. 'catalog:' .. config .. ':' .. current, app) == 1 then return true end", "if true then return true end", "ClaimMovesWhenTheTreeDropsTheApp"},
		{"write.lua", "at - tonumber(list[i + 1]) < tonumber(ARGV[3])", "false", "UnfinishedGenerationKeepsItsClaimForAWhile"},
		// A push to a registry would be missed, or deployed twice.
		{"images.lua", "live(generation, config)", "true", "ImageRoutesAreOfTheCurrentGeneration"},
		{"images.lua", "until cursor == '0'", "until true", "ManyAppsFollowOneImage"},
		{"images.lua", "if last ~= mark then", "if true then", "PushThatIsToldTwiceIsOne"},
		{"images.lua", "if last ~= mark then", "if not last then", "TagThatComesBackIsAnotherPush"},
		{"images.lua", "if mark == '' then return text(now()) end", "", "PushWithoutAMarkIsItsOwn"},
		{"images.lua", "if out[count] > 0 then", "if true then", "ImagesLeadToTheAppsThatNameThem"},
		{"write.lua", "for r = 1, routes do", "for r = 2, routes do", "ImagesLeadToTheAppsThatNameThem"},
		// Two would build one image, or nobody would after a holder has died.
		{"turn.lua", "if holder and holder ~= ARGV[2] and tonumber(deadline) > at then return holder end", "", "OneHasTheTurn"},
		{"turn.lua", "and tonumber(deadline) > at", "", "SilentHolderLosesItsTurn"},
		{"turn.lua", "text(at + tonumber(ARGV[3]))", "(deadline or text(at + tonumber(ARGV[3])))", "TurnIsRenewed"},
		{"unturn.lua", "if holder ~= ARGV[2] then return 0 end", "", "StaleReleaseFreesNobodysTurn"},
		{"unturn.lua", "return redis.call('DEL', key)", "return 1", "OneHasTheTurn"},
		{"switch.lua", "compare(mine,", "math.max(0, ", "OlderGenerationNeverReplacesANewer"},
		{"switch.lua", "ARGV[7] ~= '0'", "false", "LateSyncOfALostClaimSwitchesNothing"},
		{"enter.lua", "if busy then return busy end", "", "NobodyEntersABusyApp"},
		{"enter.lua", "redis.call('HSET', P .. ARGV[3], 'active', ARGV[1], 'active_kind', ARGV[2])", "", "EnteredJobTakesTheAppsPlace"},
		{"enter.lua", "'lost', ARGV[8]", "'lost', 0", "EnteredJobHasOneAttempt"},
		{"append.lua", "for i = 4, #ARGV do", "for i = 5, #ARGV do", "LogIsReadInOrder"},
	}
}

func TestBrokenScriptIsNoticed(t *testing.T) {
	laws := map[string]queuetest.Law{}
	for _, l := range queuetest.Laws() {
		laws[l.Name] = l
	}
	embedded := queuetest.Embedded(t)
	for i, m := range slices.Concat(mutations(), outboxMutations(), moveMutations()) {
		if sampled && i%5 != 0 {
			continue
		}
		t.Run(m.script+"/"+m.law, func(t *testing.T) {
			law, ok := laws[m.law]
			if !ok {
				t.Fatalf("there is no law %s", m.law)
			}
			// The embedded server forgives more than the real one, for example an entry without XACK.
			if !m.noticed(t, law, embedded) && !m.noticed(t, law, queuetest.Redis(t)) {
				t.Errorf("%s with %q for %q keeps %s", m.script, m.is, m.was, m.law)
			}
		})
	}
}

func (m mutation) noticed(t *testing.T, law queuetest.Law, url string) bool {
	t.Helper()
	q := open(t, url)
	if err := q.Break(m.script, m.was, m.is); err != nil {
		t.Fatal(err)
	}
	return law.Check(t.Context(), q) != nil
}
