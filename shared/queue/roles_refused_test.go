package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// refused checks that the server does not do what the line says. A word that begins with a quote holds blanks.
func refused(t *testing.T, c *redis.Client, role, line string) {
	t.Helper()
	before, script, quoted := strings.Cut(line, ` "`)
	var words []any
	for _, w := range strings.Fields(before) {
		words = append(words, w)
	}
	if quoted {
		text, after, _ := strings.Cut(script, `"`)
		words = append(words, text)
		for _, w := range strings.Fields(after) {
			words = append(words, w)
		}
	}
	err := c.Do(t.Context(), words...).Err()
	if err == nil || (!redis.HasErrorPrefix(err, "NOPERM") && !strings.Contains(err.Error(), "The user executing the script")) {
		t.Errorf("a %s may send %s: %v", role, line, err)
	}
}

// Broken when: who has the password of a role can stop, read or change what is none of FlyCD's, or the server itself.
func TestRolesAreRefusedTheRest(t *testing.T) {
	server := queuetest.Redis(t)
	admin := client(t, server)
	for key, value := range map[string]string{"other": "1", "flycd": "1", "flycdother:x": "1"} {
		if err := admin.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	lines := map[string]string{
		"": `FLUSHALL
			FLUSHDB
			CONFIG GET *
			CONFIG GET requirepass
			CONFIG SET maxmemory 1
			CONFIG REWRITE
			ACL LIST
			ACL SETUSER default on nopass ~* +@all
			ACL GETUSER default
			ACL CAT
			KEYS *
			KEYS flycd:*
			RANDOMKEY
			DBSIZE
			SCRIPT FLUSH
			SCRIPT KILL
			FUNCTION FLUSH
			FUNCTION LIST
			FCALL f 0
			SHUTDOWN NOSAVE
			SAVE
			BGSAVE
			BGREWRITEAOF
			REPLICAOF 127.0.0.1 1
			CLUSTER RESET
			MONITOR
			CLIENT LIST
			CLIENT KILL ID 1
			SLOWLOG GET
			LATENCY RESET
			SWAPDB 0 1
			PUBLISH x y
			SUBSCRIBE x
			MIGRATE 127.0.0.1 1 flycd:schema 0 100
			DUMP flycd:schema
			RESTORE flycd:x 0 x
			RENAME flycd:schema flycd:x
			COPY flycd:schema flycd:x
			XTRIM flycd:jobs MAXLEN 0
			XREAD COUNT 1 BLOCK 0 STREAMS flycd:jobs $
			SORT flycd:jobs
			GET other
			GET flycd
			GET flycdother:x
			SET other 2
			DEL other
			HGETALL other:job:1
			HSET other:app:web active x`,
		queue.PersonRole: `EVAL "return redis.call('GET', 'other')" 0
			EVAL "return redis.call('FLUSHALL')" 0
			EVAL "return redis.call('KEYS', '*')" 0`,
		queue.DispatcherRole: `SCAN 0
			GET flycd:unknown:key
			GET flycd:build:image
			EVAL "return redis.call('GET', 'other')" 0
			EVAL "return redis.call('DEL', 'flycd:build:image')" 0
			EVAL "return redis.call('FLUSHALL')" 0
			EVAL "return redis.call('UNLINK', 'flycd:jobs')" 0`,
		queue.RunnerRole: `SCAN 0
			SCRIPT LOAD "return 1"
			SCRIPT EXISTS x
			EVAL "return 1" 0
			EVAL "while true do end" 0
			EVAL_RO "return 1" 0
			INFO
			XREADGROUP GROUP runners launch STREAMS flycd:jobs >
			GET flycd:delivery:guid
			SET flycd:delivery:guid x
			GET flycd:take:token
			SET flycd:take:token x
			HGETALL flycd:feed
			HSET flycd:feed cursor 9-9
			ZADD flycd:outbox 0 ops
			DEL flycd:outbox
			LRANGE flycd:outbox:ops 0 -1
			LPUSH flycd:outbox:ops x
			HSET flycd:sending:ops lease x
			XRANGE flycd:undelivered - +
			GET flycd:pushed:nginx:1
			HGETALL flycd:orphans:machines
			HDEL flycd:suspended web
			GET flycd:unknown:key`,
	}
	for _, role := range []string{queue.DispatcherRole, queue.RunnerRole, queue.PersonRole} {
		t.Run(role, func(t *testing.T) {
			url := user(t, server, "flycd:", role)
			c := client(t, url)
			for _, line := range strings.Split(lines[""]+"\n"+lines[role], "\n") {
				refused(t, c, role, strings.TrimSpace(line))
			}
			if err := c.Get(t.Context(), "flycd:schema").Err(); err != nil && !errors.Is(err, redis.Nil) {
				t.Errorf("a %s may not read the schema: %v", role, err)
			}
		})
	}
}

// Broken when: a role's script reaches further because a script, and not the role, sends the command.
func TestScriptOfOneRoleReachesNoFurtherForAnother(t *testing.T) {
	server := queuetest.Redis(t)
	dispatcher, runner := as(t, server, queue.DispatcherRole), as(t, server, queue.RunnerRole)
	if _, err := dispatcher.AppendLetters(t.Context(), queue.Feed{Upto: "1-0"}); err != nil {
		t.Fatal(err)
	}
	if _, err := dispatcher.TakeMany(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	// the server holds both scripts now
	if ok, err := runner.AppendLetters(t.Context(), queue.Feed{After: "1-0", Upto: "2-0"}); ok || err == nil {
		t.Error("a runner moves the cursor of the outbox")
	}
	if list, err := runner.TakeMany(t.Context(), 1, 1); len(list) > 0 || err == nil {
		t.Error("a runner takes jobs")
	}
	cursor, err := dispatcher.FeedCursor(t.Context())
	if err != nil || cursor != "1-0" {
		t.Errorf("the cursor is %q, %v", cursor, err)
	}
}

// Broken when: a rule lets in anybody, or a password that can be guessed, or shows it.
func TestRulesOfARole(t *testing.T) {
	const password = "a password made by chance"
	args, err := queue.ACL(`my[*]app:`, queue.RunnerRole, password)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(args, " ")
	if !strings.HasPrefix(line, "SETUSER flycd-runner reset on #") || strings.Contains(line, password) {
		t.Errorf("the rules are %s", line)
	}
	if !strings.Contains(line, `~my\[\*]app:job:* `) {
		t.Errorf("the prefix is a pattern in %s", line)
	}
	for _, odd := range []string{"+@", "allkeys", "allcommands", "nopass", "~* "} {
		if strings.Contains(line, odd) {
			t.Errorf("%q in %s", odd, line)
		}
	}
	for _, bad := range [][2]string{{"nobody", password}, {queue.RunnerRole, ""}, {queue.RunnerRole, "short"}} {
		if args, err := queue.ACL("", bad[0], bad[1]); err == nil {
			t.Errorf("role %q with password %q gives %v", bad[0], bad[1], args)
		}
	}
}
