package queue_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// user makes the user of a role on a real server, and gives the URL that it logs in with.
func user(t *testing.T, server, prefix, role string) string {
	t.Helper()
	password := rand.Text()
	args, err := queue.ACL(prefix, role, password)
	if err != nil {
		t.Fatal(err)
	}
	// each queue of a test has users of its own
	args[1] = queue.UserName(role) + rand.Text()
	admin := client(t, server)
	line := []any{"ACL"}
	for _, a := range args {
		line = append(line, a)
	}
	if err := admin.Do(t.Context(), line...).Err(); err != nil {
		t.Fatalf("ACL %v: %v", args, err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(args[1], password)
	return u.String()
}

func client(t *testing.T, server string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(server)
	if err != nil {
		t.Fatal(err)
	}
	o.DisableIdentity = true
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// as opens the queue of the default prefix with the rights of a role.
func as(t *testing.T, server, role string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(user(t, server, queue.DefaultPrefix, role), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// byRole sends each script with the rights of a role that calls it, and everything else with a person's.
type byRole struct {
	clients map[string]*redis.Client
	scripts map[string]string
	// first are the roles in the order of who is to send a script that several call.
	first []string
}

func (b *byRole) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *byRole) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		role := queue.PersonRole
		if cmd.Name() == "evalsha" {
			script := b.scripts[fmt.Sprint(cmd.Args()[1])]
			roles := queue.RolesOf(script)
			// only a dispatcher's push is a delivery, whose id stands after the key
			delivery := script == "push.lua" && fmt.Sprint(cmd.Args()[4]) != ""
			for _, r := range slices.Backward(b.first) {
				if slices.Contains(roles, r) && (!delivery || r != queue.RunnerRole) {
					role = r
				}
			}
		}
		return b.clients[role].Process(ctx, cmd)
	}
}

func (b *byRole) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		p := b.clients[queue.PersonRole].Pipeline()
		for _, c := range cmds {
			_ = p.Process(ctx, c)
		}
		_, err := p.Exec(ctx)
		return err
	}
}

// Broken when: a role lacks a command or a key that one of its scripts needs, in any law of the queue.
func TestEveryScriptRunsAsTheRolesThatCallIt(t *testing.T) {
	server := queuetest.Redis(t)
	for i, l := range queuetest.Laws() {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			q := open(t, server)
			b := &byRole{clients: map[string]*redis.Client{}, scripts: q.Scripts(), first: []string{queue.RunnerRole, queue.DispatcherRole}}
			if i%2 == 1 {
				slices.Reverse(b.first)
			}
			for _, role := range []string{queue.DispatcherRole, queue.RunnerRole, queue.PersonRole} {
				b.clients[role] = client(t, user(t, server, q.Prefix(), role))
			}
			if err := q.LoadScripts(t.Context()); err != nil {
				t.Fatal(err)
			}
			q.Redis().AddHook(b)
			if err := l.Check(t.Context(), q); err != nil {
				t.Error(err)
			}
		})
	}
}

// Broken when: a script is added that nobody may call, or a role names one that is not there.
func TestEveryScriptHasARole(t *testing.T) {
	q := open(t, "redis://127.0.0.1:1")
	for _, name := range q.Scripts() {
		if library := strings.HasSuffix(name, "common.lua"); library == (len(queue.RolesOf(name)) > 0) {
			t.Errorf("roles of %s are %v", name, queue.RolesOf(name))
		}
	}
	for _, r := range queue.Roles("p:") {
		for _, k := range r.Keys {
			if !strings.HasPrefix(k, "p:") {
				t.Errorf("%s may touch %s, beyond the prefix", r.Name, k)
			}
		}
		for _, c := range r.Commands {
			if strings.Trim(c, "abcdefghijklmnopqrstuvwxyz|") != "" {
				t.Errorf("%s may send %q, which is no single command", r.Name, c)
			}
		}
	}
}
